"""What a run keeps so that it can go on: checkpoints, history, progress, the run folder."""
