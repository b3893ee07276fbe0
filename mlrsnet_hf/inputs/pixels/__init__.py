"""From the bytes of an image file, whatever its size, bands and range, to the pixels that a model is given."""
