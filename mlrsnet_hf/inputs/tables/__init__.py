"""Tables and annotation files of a dataset, in the forms in which people write them, with the image files they name."""
