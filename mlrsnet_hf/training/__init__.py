"""Fine-tuning: settings and recipes, the trainer, its checkpoints and results."""
