"""What a model gets right and wrong on a split, to be looked at."""
