"""What a run found: results.json and the report that a person reads."""

import json
import math
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.run_folder import RunFolder

_LIBRARIES = ("mlrsnet-hf", "torch", "torchvision", "timm", "accelerate", "datasets", "pillow", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the history."""

    epoch: int
    """From 1."""
    loss: float
    """Mean of the training loss."""
    validation: dict[str, float]
    """Metrics by name, as fractions."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Everything that results.json holds."""

    config: TrainingConfig
    history: tuple[Epoch, ...]
    best_epoch: int
    test: dict[str, float]
    """Metrics of the best epoch's model by name, as fractions."""
    test_average_precision: dict[str, float | None]
    """By label; None for the labels that do not occur in the test split."""
    images: dict[str, int]
    """By split."""
    processes: int
    precision: str
    seconds: float
    """From the start of training to the last metric."""

    @property
    def labels_left_out(self) -> int:
        """Number of labels that do not occur in the test split and so do not count in its macro means."""
        return sum(value is None for value in self.test_average_precision.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None stands for a metric that is not defined."""
        return {
            "config": self.config.to_dict(),
            "images": self.images,
            "history": [
                asdict(epoch) | {"validation": {n: _finite(v) for n, v in epoch.validation.items()}}
                for epoch in self.history
            ],
            "best_epoch": self.best_epoch,
            "test": {name: _finite(value) for name, value in self.test.items()},
            "test_labels_left_out": self.labels_left_out,
            "test_average_precision": self.test_average_precision,
            "processes": self.processes,
            "precision": self.precision,
            "seconds": round(self.seconds, 2),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        }

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)

    def report(self) -> str:
        """Return the lines that end a run."""
        lines = [f"Test split, {self.images['test']} images, model of epoch {self.best_epoch}:"]
        lines += [f"  {METRICS[name].title} {value:.4f}" for name, value in self.test.items()]
        left_out = self.labels_left_out
        if left_out:
            labels = len(self.test_average_precision)
            lines.append(f"  {left_out} of {labels} labels do not occur there and count in no mean over labels")
        folder = RunFolder(self.config.output_dir)
        lines += [
            f"model:   {folder.model} (for timm and transformers)",
            f"results: {folder.results}",
            f"curves:  tensorboard --logdir {folder.logs}",
        ]
        return "\n".join(lines)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
