"""What is in a copy of the release beside what was published."""
