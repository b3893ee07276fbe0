"""How far a run has come: all that a checkpoint stores beside tensors."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.training.checkpoints.history import Epoch

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


@dataclass(frozen=True, slots=True)
class KeptModel:
    """The saved model of the best epoch so far, or of the last; a folder beside the checkpoints."""

    name: str
    """Of the folder."""
    files: Mapping[str, str]
    """SHA-256 of each file, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a run had come at some moment."""

    step: int = 0
    """Optimizer steps taken since the run began."""
    history: tuple[Epoch, ...] = ()
    """The epochs that are trained and evaluated."""
    kept: KeptModel | None = None
    """The model that is the run's so far; None before the first evaluation."""
    loss_total: float = 0.0
    """Sum of the losses of the epoch under way."""
    loss_count: int = 0
    seconds: float = 0.0
    """That the run has taken so far."""

    @property
    def is_evaluated(self) -> bool:
        """Whether the last step was an epoch's, and that is evaluated."""
        return bool(self.history) and self.history[-1].step == self.step

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "step": self.step,
            "history": [epoch.to_dict() for epoch in self.history],
            "kept": None if self.kept is None else {"name": self.kept.name, "files": dict(self.kept.files)},
            "loss_total": self.loss_total,
            "loss_count": self.loss_count,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Position":
        """Return the position that `to_dict` gave.

        Raises:
            KeyError, TypeError: The values are others.
        """
        kept = values["kept"]
        history = tuple(Epoch.from_dict(epoch) for epoch in values["history"])
        return cls(**{**values, "history": history, "kept": None if kept is None else KeptModel(**kept)})


class Progress:
    """The position of the run under way, on every process alike.

    Args:
        position: Where it begins, or goes on.
        losses: Begins there too.
    """

    def __init__(self, position: Position, losses: RunningLoss) -> None:
        self.losses = losses
        self.step = position.step
        self.history = list(position.history)
        self.kept = position.kept
        self._started = time.perf_counter() - position.seconds

    @property
    def seconds(self) -> float:
        """That the run has taken, with its parts before a resumption."""
        return time.perf_counter() - self._started

    def position(self) -> Position:
        """Return the position now; reads the losses, so all processes must ask.

        Raises:
            ConfigurationError: A loss is infinite or not a number.
        """
        self.losses.read()
        return Position(
            step=self.step,
            history=tuple(self.history),
            kept=self.kept,
            loss_total=self.losses.total,
            loss_count=self.losses.count,
            seconds=self.seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run is, in plain values as JSON gives them back."""

    settings: Mapping[str, Any]
    """As `TrainingConfig.to_dict` gives them."""
    data: Mapping[str, Any]
    """`ImageData.source`."""
    processes: int
    precision: str
    """As Accelerate calls it: no, bf16 or fp16."""
    device: str
    """Kind of the devices: cpu, cuda and so on."""
    run_id: str
    """The same for all parts of a resumed run."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunRecord":
        """Return the record that `to_dict` gave.

        Raises:
            TypeError: The values are others.
        """
        return cls(**values)
