"""Who runs which chain of jobs: `run_chains` of the module that an engine's name calls."""
