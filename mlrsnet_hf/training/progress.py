"""How far a run has come: all that a checkpoint stores beside tensors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlrsnet_hf.training.history import Epoch
from mlrsnet_hf.training.running_loss import RunningLoss


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
    """Optimiser steps taken since the run began."""
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
