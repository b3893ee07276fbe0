"""An index of embeddings on Milvus that stays: built once, searched by picture, id and filter."""
