"""What a training run does: every setting, in one frozen dataclass."""

# ruff: noqa: RUF009 - _setting returns a dataclass field
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.configuration.fields import check_types
from mlrsnet_hf.configuration.fields import setting as _setting
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics import training_metrics
from mlrsnet_hf.models import PRETRAINED

_METRICS = tuple(training_metrics())
_SCENE_METRICS = ("scene_accuracy", "macro_f1")
"""Of a run that learns the scene alone."""

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "linear", "constant")
LOSSES = ("bce", "asymmetric")
PRECISIONS = ("no", "bf16", "fp16")
CACHES = ("off", "memory", "disk")
KEEPS = ("best", "last")
VIEWS = (1, 2, 4, 8)
TRACKERS = ("tensorboard", "trackio", "wandb", "mlflow", "comet_ml", "aim", "clearml", "dvclive", "swanlab")
"""Names that Accelerate knows."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one run, checked when made; the defaults are those of `recipes.modern`.

    Devices and processes are Accelerate's to choose (`accelerate config`, `accelerate launch`).

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: A metric, loss, optimizer, schedule, precision, cache or tracker is not known.
    """

    model: str = _setting(
        "tf_efficientnet_lite0", "Name of a timm model, or hf-hub:USER/NAME.", section="Model and run folder"
    )
    weights: str = _setting(
        PRETRAINED,
        "Where the weights come from: 'pretrained' (timm's own, from the Hub), 'random', a file, a run's folder, or "
        "hf-hub:USER/NAME.",
    )
    output_dir: Path = _setting(Path("runs/train"), "Run folder: model, results, history, curves and checkpoints.")
    overwrite: bool = _setting(False, "Replace the run that output_dir already holds.")
    resume: bool = _setting(False, "Go on from the newest checkpoint of output_dir; begin anew if there is none.")
    seed: int = _setting(0, "Seed of the new weights, the order of the images, the augmentation and dropout.")

    scene_head: bool = _setting(
        False, "Learn the scene beside the labels, as a second task.", section="What is learned"
    )
    scene_weight: float = _setting(0.5, "Weight of the scene's loss beside that of the labels.")
    single_label: bool = _setting(False, "Learn the scene alone, one class per image.")
    freeze_backbone: bool = _setting(False, "Train the classifier alone (linear probe).")

    epochs: int = _setting(18, "Passes over the training split.", section="Optimization")
    batch_size: int = _setting(32, "Images per optimizer step, over all processes and accumulation steps.")
    accumulation: int = _setting(1, "Parts into which each process splits its share of a batch, to save memory.")
    optimizer: str = _setting("adamw", f"One of {', '.join(OPTIMIZERS)}.")
    learning_rate: float = _setting(1e-3, "Highest learning rate of the backbone.")
    head_rate: float = _setting(3.0, "Learning rate of the classifier as a multiple of learning_rate.")
    layer_decay: float = _setting(1.0, "Rate of each block of layers as a multiple of the next one's; 1 is one rate.")
    weight_decay: float = _setting(0.05, "Weight decay of all tensors with two dimensions or more.")
    schedule: str = _setting("constant", f"Course of the rate after the warm-up, one of {', '.join(SCHEDULES)}.")
    warmup: float = _setting(0.1, "Share of the steps in which the rate climbs.")
    clip_norm: float = _setting(1.0, "Largest norm of the gradient; 0 does not clip.")
    drop_rate: float = _setting(0.0, "Dropout before the classifier.")
    drop_path_rate: float = _setting(0.0, "Stochastic depth, for the models that have it.")
    ema: float = _setting(
        0.998,
        "Decay per step of the averaged weights, which are evaluated and saved; 0 is none. In the first steps a plain "
        "mean.",
    )
    loss: str = _setting("bce", f"Loss of the labels, one of {', '.join(LOSSES)}.")
    label_smoothing: float = _setting(0.0, "Targets move this far from 0 and 1 towards one half.")

    precision: str | None = _setting(
        None, f"One of {', '.join(PRECISIONS)}; by default Accelerate's own setting.", section="Device"
    )
    compile: bool = _setting(False, "Compile the model with torch.compile.")
    channels_last: bool = _setting(True, "Keep the channels last in memory, where convolutions are fastest.")
    cpu_threads: int = _setting(0, "Threads of a process that trains on the CPU; 0 shares all cores fairly.")

    image_size: int | None = _setting(
        None, "Side in pixels of the square that evaluation sees; the model's if unset.", section="Images"
    )
    train_scale: float = _setting(
        0.857,
        "Side of the squares that training sees as a share of image_size, to the nearest 32 pixels; 1 for models that "
        "take one size only.",
    )
    crop_pct: float = _setting(
        1.0,
        "Evaluation resizes the shorter side to image_size / crop_pct and takes the center square; 1 sees all of a "
        "square image.",
    )
    crop_scale: float = _setting(0.6, "Training crops have at least this share of the area of the largest square.")
    crop_ratio: float = _setting(1.0, "Training crops are up to this much wider than high, or higher than wide.")
    symmetries: int = _setting(
        8, "Turned and mirrored views in training: 1 none, 2 mirrored, 4 mirrored both ways, 8 all."
    )
    jitter: float = _setting(0.0, "Brightness, contrast and saturation change by a factor of up to 1 +- this.")
    num_workers: int = _setting(
        0, "Processes beside each training process that read images; 0 reads in its own threads."
    )
    cache: str = _setting(
        "memory",
        f"Where decoded images are kept, one of {', '.join(CACHES)}. Several processes on one machine share a file on "
        "the disk, also with memory.",
    )
    cache_dir: Path | None = _setting(
        None, "Folder of decoded images on the disk, which later runs take up; if unset in the run folder."
    )
    cache_megabytes: int = _setting(1024, "A split is kept decoded only if it fits in this.")

    eval_batch_size: int = _setting(64, "Images per evaluation step and process.", section="Evaluation")
    eval_symmetries: int = _setting(1, "Views whose scores are averaged in the final evaluation: 1, 2, 4 or 8.")
    tune_thresholds: bool = _setting(True, "Choose each label's threshold on the validation split, beside 0.5.")
    best_metric: str | None = _setting(
        None,
        f"The validation metric that picks the best epoch: {', '.join(_METRICS)} or, where scenes are learned, "
        "scene_accuracy; if unset map, or scene_accuracy where scenes alone are learned.",
    )
    keep: str = _setting("best", f"The epoch whose model is saved and scored, one of {', '.join(KEEPS)}.")

    checkpoint_steps: int = _setting(
        0, "Steps between two checkpoints; 0 sets none by steps.", section="Checkpoints and logs"
    )
    checkpoint_minutes: float = _setting(10.0, "Minutes between two checkpoints; 0 sets none by time.")
    keep_checkpoints: int = _setting(2, "So many of the newest checkpoints are kept.")
    log_every: int = _setting(10, "Steps between two readings of the loss, each of which waits for the device.")
    trackers: tuple[str, ...] = _setting(("tensorboard",), "Accelerate's trackers, of those that are installed.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        check_types(self)
        self._check_task()
        self._check_optimization()
        self._check_images()
        self._check_run()

    def _check_task(self) -> None:
        if self.scene_head and self.single_label:
            raise ConfigurationError(
                "scene_head and single_label exclude each other",
                "scene_head learns labels and scenes, single_label scenes alone: give one of them.",
            )
        self._require("scene_weight", 0 < self.scene_weight < math.inf, "a positive number")
        metrics = _SCENE_METRICS if self.single_label else _METRICS + _SCENE_METRICS[:1] * self.scene_head
        self._require_name("best_metric", self.selection_metric, metrics)

    def _check_optimization(self) -> None:
        for name in ("epochs", "batch_size", "accumulation"):
            self._require(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("learning_rate", "head_rate"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a positive number")
        for name in ("weight_decay", "clip_norm"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "a number of at least 0")
        for name in ("warmup", "drop_rate", "drop_path_rate", "ema", "label_smoothing"):
            self._require(name, 0 <= getattr(self, name) < 1, "a number from 0 to below 1")
        self._require("layer_decay", 0 < self.layer_decay <= 1, "a number above 0 and up to 1")
        self._require_name("optimizer", self.optimizer, OPTIMIZERS)
        self._require_name("schedule", self.schedule, SCHEDULES)
        self._require_name("loss", self.loss, LOSSES)

    def _check_images(self) -> None:
        self._require("image_size", self.image_size is None or self.image_size >= 16, "a whole number of at least 16")
        for name in ("crop_pct", "crop_scale", "train_scale"):
            self._require(name, 0 < getattr(self, name) <= 1, "a number above 0 and up to 1")
        self._require("crop_ratio", 1 <= self.crop_ratio < math.inf, "a number of at least 1")
        self._require("jitter", 0 <= self.jitter < 1, "a number from 0 to below 1")
        for name in ("symmetries", "eval_symmetries"):
            self._require(name, getattr(self, name) in VIEWS, "a number of views: 1, 2, 4 or 8")
        for name in ("num_workers", "cache_megabytes"):
            self._require(name, getattr(self, name) >= 0, "a whole number of at least 0")
        self._require_name("cache", self.cache, CACHES)

    def _check_run(self) -> None:
        self._require("seed", 0 <= self.seed < 2**32, "a whole number from 0 to below 2^32")
        for name in ("cpu_threads", "checkpoint_steps"):
            self._require(name, getattr(self, name) >= 0, "a whole number of at least 0")
        for name in ("eval_batch_size", "keep_checkpoints", "log_every"):
            self._require(name, getattr(self, name) >= 1, "a whole number of at least 1")
        self._require("checkpoint_minutes", 0 <= self.checkpoint_minutes < math.inf, "a number of at least 0")
        self._require_name("keep", self.keep, KEEPS)
        if self.precision is not None:
            self._require_name("precision", self.precision, PRECISIONS)
        for tracker in self.trackers:
            self._require_name("trackers", tracker, TRACKERS)

    def _require(self, name: str, fits: bool, expected: str) -> None:
        if not fits:
            raise ConfigurationError(f"{name}={getattr(self, name)!r} cannot be used", f"Give {expected}.")

    def _require_name(self, setting: str, name: str, known: Sequence[str]) -> None:
        if name not in known:
            raise UnknownNameError(f"{setting}={name!r} is not known", name_alternatives(name, known))

    @property
    def selection_metric(self) -> str:
        """The validation metric that picks the best epoch."""
        return self.best_metric or ("scene_accuracy" if self.single_label else "map")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON, YAML and trackers."""
        return dataclasses.asdict(self) | {
            "output_dir": str(self.output_dir),
            "cache_dir": None if self.cache_dir is None else str(self.cache_dir),
            "trackers": list(self.trackers),
        }
