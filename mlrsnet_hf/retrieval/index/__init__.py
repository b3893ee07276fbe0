"""An index of embeddings on Milvus that stays."""
