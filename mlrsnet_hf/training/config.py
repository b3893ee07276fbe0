"""What a training run does: every setting, in one frozen dataclass."""

# ruff: noqa: RUF009 - _setting returns a dataclass field
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics import training_metrics

_METRICS = training_metrics()

PRETRAINED = "pretrained"
RANDOM = "random"


def _setting(default: Any, text: str) -> Any:  # noqa: ANN401 - the type is the annotated field's
    """Return a field whose help text serves both the reader and `--help`."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one run, checked when made; the defaults are those of `recipes.finetune`.

    Precision, devices and processes are Accelerate's to choose (`accelerate config`, `accelerate launch`).

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: The metric that picks the best epoch is not known.
    """

    model: str = _setting("tf_efficientnet_lite0", "Name of a timm model.")
    weights: str = _setting(
        PRETRAINED, "Where the weights come from: a file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    output_dir: Path = _setting(Path("runs/train"), "Run folder: the best model, results.json and TensorBoard logs.")
    overwrite: bool = _setting(False, "Replace the run that output_dir already holds.")

    epochs: int = _setting(10, "Passes over the training split.")
    batch_size: int = _setting(16, "Images per optimiser step, over all processes.")
    learning_rate: float = _setting(1e-3, "Highest learning rate of the backbone (AdamW).")
    head_rate: float = _setting(3.0, "Learning rate of the classifier as a multiple of learning_rate.")
    weight_decay: float = _setting(0.05, "AdamW's weight decay of all tensors with two dimensions or more.")
    warmup: float = _setting(0.1, "Share of the steps in which the rate climbs; then it falls as a cosine to 0.")
    seed: int = _setting(0, "Seed of the new weights, the order of the images and the augmentation.")

    image_size: int | None = _setting(None, "Side in pixels of the square that the model sees; its own if unset.")
    crop_pct: float = _setting(1.0, "Evaluation resizes to image_size / crop_pct and takes the centre; 1 sees all.")
    crop_scale: float = _setting(0.6, "Training crops are squares of at least this share of the largest square's area.")

    eval_batch_size: int = _setting(64, "Images per evaluation step and process.")
    best_metric: str = _setting("map", f"The validation metric that picks the best epoch: {', '.join(_METRICS)}.")
    num_workers: int = _setting(0, "Processes beside each training process that read images; 0 reads in line.")
    cpu_threads: int = _setting(0, "Threads of a process that trains on the CPU; 0 shares all cores fairly.")
    cache_megabytes: int = _setting(1024, "Decode a training or validation split only once if it fits in this.")
    log_every: int = _setting(10, "Steps between two readings of the loss, each of which waits for the device.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        for name in ("epochs", "batch_size", "eval_batch_size", "log_every"):
            self._require(name, getattr(self, name) >= 1, "a whole number of at least 1")
        self._require("seed", 0 <= self.seed < 2**32, "a whole number from 0 to below 2^32")
        for name in ("num_workers", "cpu_threads", "cache_megabytes"):
            self._require(name, getattr(self, name) >= 0, "a whole number of at least 0")
        for name in ("learning_rate", "head_rate"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a positive number")
        self._require("weight_decay", 0 <= self.weight_decay < math.inf, "a number of at least 0")
        self._require("warmup", 0 <= self.warmup < 1, "a number from 0 to below 1")
        for name in ("crop_pct", "crop_scale"):
            self._require(name, 0 < getattr(self, name) <= 1, "a number above 0 and up to 1")
        if self.image_size is not None:
            self._require("image_size", self.image_size >= 16, "a whole number of at least 16")
        if self.best_metric not in _METRICS:
            raise UnknownNameError(
                f"best_metric={self.best_metric!r} is not a known metric", name_alternatives(self.best_metric, _METRICS)
            )

    def _require(self, name: str, fits: bool, expected: str) -> None:
        if not fits:
            raise ConfigurationError(f"{name}={getattr(self, name)!r} cannot be used", f"Give {expected}.")

    def to_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the settings as plain values, for JSON and trackers."""
        return dataclasses.asdict(self) | {"output_dir": str(self.output_dir)}
