"""Which unlabeled tiles are most worth labeling."""
