"""Protocols: which image is in which split."""
