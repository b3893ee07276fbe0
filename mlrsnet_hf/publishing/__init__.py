"""Datasets and models to repositories: folders that are ready for the Hub."""
