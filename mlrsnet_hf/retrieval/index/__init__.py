"""An index of embeddings on Milvus that stays: built once, searched by picture, id and filter."""

from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import Range

MOST_EFFORT = 32_768
"""Candidates that a server looks at, at most, while it walks the graph."""
Kind = Literal["hnsw", "flat"]
Effort = Annotated[int, Range(1, MOST_EFFORT)]
COLLECTION = "mlrsnet_images"
"""Name of the collection, on a server unless another is given."""
