"""A model at work on one large raster: windows of it, and where on Earth they have which labels."""
