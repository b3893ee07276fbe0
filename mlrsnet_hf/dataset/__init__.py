"""Records to `datasets`."""
