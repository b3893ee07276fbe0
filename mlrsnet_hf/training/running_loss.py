"""The mean loss of an epoch, read from the device only now and then."""

import math

import torch

from mlrsnet_hf.errors import ConfigurationError


class RunningLoss:
    """Collects the losses of the steps and reads them together, because each reading waits for the device.

    Args:
        first_step: Number of the epoch's first step, for errors.
    """

    def __init__(self, first_step: int) -> None:
        self._step = first_step
        self._unread: list[torch.Tensor] = []
        self._sum = 0.0
        self._count = 0

    def add(self, loss: torch.Tensor) -> None:
        """Take the scalar loss of the next step."""
        self._unread.append(loss.detach())

    def mean(self) -> float:
        """Return the mean of all losses so far.

        Raises:
            ConfigurationError: A loss is infinite or not a number.
        """
        if self._unread:
            for value in torch.stack(self._unread).tolist():
                if not math.isfinite(value):
                    raise ConfigurationError(
                        f"the loss is {value} at step {self._step}", "Lower learning_rate, or look at the weights."
                    )
                self._sum += value
                self._count += 1
                self._step += 1
            self._unread.clear()
        return self._sum / max(1, self._count)
