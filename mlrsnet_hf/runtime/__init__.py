"""What whatever runs for long shares: device, processes, signals, progress."""
