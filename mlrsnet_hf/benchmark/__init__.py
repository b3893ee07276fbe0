"""Many trainings and what is made of them: a grid of jobs, who runs them, and their report."""
