"""What was published, on disk, to records."""
