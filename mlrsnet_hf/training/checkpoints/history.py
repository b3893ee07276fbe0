"""The course of a run, written after each epoch: history.json for programs, history.csv for tables.

Neither holds a time of the clock, so a run that was stopped and resumed leaves the same bytes as one that was not.
Numbers are written with the digits that give the same float64 back.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_file

JSON_FILE = "history.json"
CSV_FILE = "history.csv"

_PREFIX = "validation/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the history."""

    epoch: int
    """From 1."""
    step: int
    """Optimizer steps taken since the run began."""
    loss: float
    """Mean of the training loss over the epoch."""
    learning_rate: float
    """`TrainingConfig.learning_rate` times the schedule's factor, at the epoch's last step."""
    validation: Mapping[str, float]
    """Metrics by name, as fractions; NaN where one is not defined."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None stands for a metric that is not defined."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "validation": nulls_for_nan(self.validation),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Epoch":
        """Return the epoch that `to_dict` gave.

        Raises:
            KeyError: A value is missing.
        """
        return cls(
            epoch=values["epoch"],
            step=values["step"],
            loss=values["loss"],
            learning_rate=values["learning_rate"],
            validation=nan_for_nulls(values["validation"]),
        )


def write_history(epochs: Sequence[Epoch], folder: Path) -> None:
    """Write both files, each whole, in place of those of the epoch before.

    Args:
        epochs: One or more, all with the same metrics.
        folder: The run folder.

    Raises:
        ConfigurationError: They cannot be written.
    """
    with whole_file(folder / JSON_FILE) as partial:
        partial.write_text(json.dumps([epoch.to_dict() for epoch in epochs], indent=2) + "\n", encoding="utf-8")
    with whole_file(folder / CSV_FILE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = [_row(epoch) for epoch in epochs]
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a history.json.

    Raises:
        ConfigurationError: The file cannot be read, or is another.
    """
    try:
        return tuple(Epoch.from_dict(values) for values in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{path}: is not the history of a run ({error})", f"Give the {JSON_FILE} of a run folder."
        ) from error


def nulls_for_nan(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return the metrics with None for NaN, which JSON does not know."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def nan_for_nulls(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Return the metrics with NaN for None."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _row(epoch: Epoch) -> dict[str, Any]:
    """Return a line of the table by column; an empty cell is a metric that is not defined."""
    values = epoch.to_dict()
    metrics = values.pop("validation")
    return values | {f"{_PREFIX}{name}": value for name, value in metrics.items()}
