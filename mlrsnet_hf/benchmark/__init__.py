"""A grid of networks, protocols and repetitions, run as jobs on any number of machines, and read as one report."""
