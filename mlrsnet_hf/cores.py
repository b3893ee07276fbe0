"""How many processor cores this process may use."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the cores that the process may use: its affinity, within a container's quota (cgroup v2); at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(_QUOTA)
    return max(1, cores if quota is None else min(cores, quota))


def local_processes() -> int:
    """Return how many processes of this run the machine holds, as torchrun and `accelerate launch` tell it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _quota(path: Path) -> int | None:
    """Return the whole cores that a cgroup allows, or None where nothing limits them."""
    try:
        allowed, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else int(allowed) // int(period)
