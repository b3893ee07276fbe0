"""A trained model at work: labels and scores of any images, and how good they are."""
