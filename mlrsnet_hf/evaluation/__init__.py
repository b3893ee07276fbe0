"""A model and a split to predictions, scores and thresholds; the trainer and every later evaluation ask here."""
