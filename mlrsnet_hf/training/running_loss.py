"""The mean loss of an epoch over all processes, read from the device only now and then."""

import math
from collections.abc import Callable, Sequence

import torch

from mlrsnet_hf.errors import ConfigurationError

_LISTED = 256


class RunningLoss:
    """Collects the losses of the steps and reads them together, because each reading waits for the device.

    The sum grows step by step in float64, so that it does not depend on when it is read.

    Args:
        gather: Returns the (K,) float32 values of each process as (processes, K); all processes read together.
        name_images: Returns the ids of the images of a step of the run, counted from 0, for errors.
        step: Steps of the run that were taken before.
        total: Sum of the losses of the epoch under way.
        count: Number of the losses in it.
    """

    def __init__(
        self,
        gather: Callable[[torch.Tensor], torch.Tensor],
        name_images: Callable[[int], Sequence[str]],
        step: int = 0,
        total: float = 0.0,
        count: int = 0,
    ) -> None:
        self._gather = gather
        self._name_images = name_images
        self._step = step
        self._unread: list[torch.Tensor] = []
        self.total = total
        self.count = count

    def begin_epoch(self) -> None:
        """Take the mean anew; the losses of the epoch before must have been read."""
        self.total, self.count = 0.0, 0

    def add(self, loss: torch.Tensor) -> None:
        """Take this process's scalar loss of the next step."""
        self._unread.append(loss.detach())

    def read(self) -> float:
        """Return the mean of the epoch's losses so far; `total` and `count` then hold them all.

        Raises:
            ConfigurationError: A loss is infinite or not a number; on all processes alike.
        """
        if self._unread:
            values = self._gather(torch.stack(self._unread).float()).cpu().double().mean(dim=0)
            for value in values.tolist():
                if not math.isfinite(value):
                    raise self._no_number(value)
                self.total += value
                self.count += 1
                self._step += 1
            self._unread.clear()
        return self.total / max(1, self.count)

    def _no_number(self, value: float) -> ConfigurationError:
        ids = self._name_images(self._step)
        more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
        return ConfigurationError(
            f"the loss is {value} at step {self._step + 1}, of the images {', '.join(ids[:_LISTED])}{more}",
            "Lower learning_rate, set clip_norm, or look at these images and at the weights.",
        )
