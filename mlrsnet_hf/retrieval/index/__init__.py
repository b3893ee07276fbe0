"""An index of embeddings on Milvus that stays: built once, searched by picture, id and filter."""

COLLECTION = "mlrsnet_images"
"""Name of the collection, on a server unless another is given."""
