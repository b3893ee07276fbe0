"""How a dataclass of settings is read from Python, YAML and the command line; no setting of its own."""
