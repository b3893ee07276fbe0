"""What columns mean: any names and types become `id`, `image`, `labels` and `scene`."""
