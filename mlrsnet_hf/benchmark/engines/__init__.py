"""Who runs the jobs of a benchmark: this process, Ray or SLURM."""
