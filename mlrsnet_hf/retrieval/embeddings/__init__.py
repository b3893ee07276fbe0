"""Embeddings of images: how they are computed, stored and read."""
