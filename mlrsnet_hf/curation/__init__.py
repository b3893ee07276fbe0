"""Building and cleaning a dataset of labeled scenes: vocabulary, votes, confidence, diversity and wrong labels."""
