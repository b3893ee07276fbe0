"""Embeddings, exact search and a persistent index."""
