"""Exact search of embeddings, at any depth."""
