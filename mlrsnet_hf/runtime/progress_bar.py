"""The progress bar of training: loss, learning rate and images per second."""

import time
from types import TracebackType

from tqdm.auto import tqdm


class ProgressBar:
    """A bar over the steps of a run, on the main process alone.

    Args:
        steps: Of the whole run.
        done: Steps taken before a resumption.
        shown: Whether this process shows it.
    """

    def __init__(self, steps: int, done: int, shown: bool) -> None:
        self._bar = tqdm(total=steps, initial=done, unit="step", disable=not shown)
        self._images = 0
        self._since = time.perf_counter()

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def begin_epoch(self, title: str) -> None:
        """Name the epoch, and measure the speed of training alone from here."""
        self._bar.set_description(title)
        self._images, self._since = 0, time.perf_counter()

    def update(self, images: int) -> None:
        """Count a step of so many images."""
        self._bar.update()
        self._images += images

    def show(self, loss: float, rate: float) -> float:
        """Show loss and learning rate, just read from the device; return the images per second since the last time."""
        now = time.perf_counter()
        speed = self._images / max(now - self._since, 1e-9)
        self._images, self._since = 0, now
        self._bar.set_postfix_str(f"loss {loss:.4f}, rate {rate:.2e}, {speed:.0f} images/s")
        return speed

    def write(self, text: str) -> None:
        """Print a line above the bar."""
        if not self._bar.disable:
            self._bar.write(text)
