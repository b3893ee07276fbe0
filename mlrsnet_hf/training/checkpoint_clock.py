"""When a checkpoint is due: every so many steps, and every so many minutes."""

import time


class CheckpointClock:
    """Tells when the next checkpoint is due.

    Args:
        steps: Between two checkpoints; 0 sets none by steps.
        minutes: Between two checkpoints; 0 sets none by time.
    """

    def __init__(self, steps: int, minutes: float) -> None:
        self.steps = steps
        self.seconds = minutes * 60
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._last = time.monotonic()

    def is_due_at(self, step: int) -> bool:
        """Tell whether one is due after a step, on all processes alike."""
        return bool(self.steps) and step % self.steps == 0

    @property
    def is_due_now(self) -> bool:
        """Whether one is due by this process's time."""
        return bool(self.seconds) and time.monotonic() - self._last >= self.seconds
