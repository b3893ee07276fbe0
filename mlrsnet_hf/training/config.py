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

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "linear", "constant")
LOSSES = ("bce", "asymmetric")
PRECISIONS = ("no", "bf16", "fp16")
CACHES = ("off", "memory", "disk")
KEEPS = ("best", "last")

PRETRAINED = "pretrained"
RANDOM = "random"


def _setting(default: Any, text: str) -> Any:  # noqa: ANN401 - the type is the annotated field's
    """Return a field whose help text serves both the reader and `--help`."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one run, checked when made; the defaults are those of `recipes.modern`.

    Devices and processes are Accelerate's to choose (`accelerate config`, `accelerate launch`).

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: The metric that picks the best epoch is not known.
    """

    model: str = _setting("tf_efficientnet_lite0", "Name of a timm model.")
    weights: str = _setting(
        PRETRAINED, "Where the weights come from: a file, 'pretrained' (timm's own, from the Hub) or 'random'."
    )
    output_dir: Path = _setting(Path("runs/train"), "Run folder: model, results, history, curves and checkpoints.")
    overwrite: bool = _setting(False, "Replace the run that output_dir already holds.")
    resume: bool = _setting(False, "Go on from the newest checkpoint of output_dir; begin anew if there is none.")
    seed: int = _setting(0, "Seed of the new weights, the order of the images, the augmentation and dropout.")

    scene_head: bool = _setting(False, "Learn the scene beside the labels, as a second task.")
    scene_weight: float = _setting(0.5, "Weight of the scene's loss beside that of the labels.")
    single_label: bool = _setting(False, "Learn the scene alone, one class per image.")
    freeze_backbone: bool = _setting(False, "Train the classifier alone (linear probe).")

    epochs: int = _setting(10, "Passes over the training split.")
    batch_size: int = _setting(32, "Images per optimiser step, over all processes and accumulation steps.")
    accumulation: int = _setting(1, "Parts into which each process splits its share of a batch, to save memory.")
    optimizer: str = _setting("adamw", f"One of {', '.join(OPTIMIZERS)}.")
    learning_rate: float = _setting(1e-3, "Highest learning rate of the backbone.")
    head_rate: float = _setting(3.0, "Learning rate of the classifier as a multiple of learning_rate.")
    layer_decay: float = _setting(1.0, "Rate of each block of layers as a multiple of the next one's; 1 is one rate.")
    weight_decay: float = _setting(0.05, "Weight decay of all tensors with two dimensions or more.")
    schedule: str = _setting("cosine", f"Course of the rate after the warm-up, one of {', '.join(SCHEDULES)}.")
    warmup: float = _setting(0.1, "Share of the steps in which the rate climbs.")
    clip_norm: float = _setting(1.0, "Largest norm of the gradient; 0 does not clip.")
    drop_rate: float = _setting(0.0, "Dropout before the classifier.")
    drop_path_rate: float = _setting(0.0, "Stochastic depth, for the models that have it.")
    ema: float = _setting(0.99, "Decay per step of the averaged weights, which are evaluated and saved; 0 is none.")
    loss: str = _setting("bce", f"Loss of the labels, one of {', '.join(LOSSES)}.")
    label_smoothing: float = _setting(0.0, "Targets move this far from 0 and 1 towards one half.")

    precision: str | None = _setting(None, f"One of {', '.join(PRECISIONS)}; by default Accelerate's own setting.")
    compile: bool = _setting(False, "Compile the model with torch.compile.")
    channels_last: bool = _setting(True, "Keep the channels last in memory, where convolutions are fastest.")
    cpu_threads: int = _setting(0, "Threads of a process that trains on the CPU; 0 shares all cores fairly.")

    image_size: int | None = _setting(None, "Side in pixels of the square that evaluation sees; the model's if unset.")
    train_size: int | None = _setting(None, "Side in pixels of the squares that training sees; image_size if unset.")
    crop_pct: float = _setting(1.0, "Evaluation resizes to image_size / crop_pct and takes the centre; 1 sees all.")
    crop_scale: float = _setting(0.6, "Training crops have at least this share of the area of the largest square.")
    crop_ratio: float = _setting(1.0, "Training crops are up to this much wider than high, or higher than wide.")
    symmetries: int = _setting(
        8, "Turned and mirrored views in training: 1 none, 2 mirrored, 4 mirrored both ways, 8 all."
    )
    jitter: float = _setting(0.0, "Brightness, contrast and saturation change by a factor of up to 1 +- this.")
    num_workers: int = _setting(
        0, "Processes beside each training process that read images; 0 reads in its own threads."
    )
    cache: str = _setting("memory", f"Where decoded images are kept, one of {', '.join(CACHES)}.")
    cache_megabytes: int = _setting(1024, "A split is kept decoded only if it fits in this.")

    eval_batch_size: int = _setting(64, "Images per evaluation step and process.")
    eval_symmetries: int = _setting(1, "Views whose scores are averaged in the final evaluation: 1, 2, 4 or 8.")
    tune_thresholds: bool = _setting(True, "Choose each label's threshold on the validation split, beside 0.5.")
    best_metric: str = _setting("map", f"The validation metric that picks the best epoch: {', '.join(_METRICS)}.")
    keep: str = _setting("best", f"The epoch whose model is saved and scored, one of {', '.join(KEEPS)}.")

    checkpoint_steps: int = _setting(0, "Steps between two checkpoints; 0 sets none by steps.")
    checkpoint_minutes: float = _setting(10.0, "Minutes between two checkpoints; 0 sets none by time.")
    keep_checkpoints: int = _setting(2, "So many of the newest checkpoints are kept.")
    log_every: int = _setting(10, "Steps between two readings of the loss, each of which waits for the device.")
    trackers: tuple[str, ...] = _setting(("tensorboard",), "Accelerate's trackers, of those that are installed.")

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
