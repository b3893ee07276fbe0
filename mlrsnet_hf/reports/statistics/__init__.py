"""Counts of scenes, labels and pixels as tables and figures."""
