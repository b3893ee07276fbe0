"""Embeddings of images: computed, stored, read and searched."""
