"""Exact search of vectors, at any depth: a database, its distances, and the ranking on the processor or on a device."""
