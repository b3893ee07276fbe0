"""The commands: each is a dataclass of its options, which the command line parses, and calls its stage."""
