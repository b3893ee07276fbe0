"""A model and a split to predictions, thresholds and scores."""
