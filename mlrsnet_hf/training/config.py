"""What a training run does: every setting, in one frozen dataclass; light to import."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mlrsnet_hf.configuration.settings import (
    Count,
    CountOrZero,
    Fraction,
    Positive,
    PositiveOrZero,
    Range,
    Seed,
    Settings,
    Share,
    setting,
)
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics import training_metrics
from mlrsnet_hf.models import PRETRAINED
from mlrsnet_hf.runtime import Precision
from mlrsnet_hf.training.families import FamilyName

_METRICS = tuple(training_metrics())
_SCENE_METRICS = ("scene_accuracy", "macro_f1")
"""Metrics of a run that learns the scene alone."""

AUTO: Literal["auto"] = "auto"
"""A learning rate that is yet to be chosen."""
Views = Literal[1, 2, 4, 8]
Tracker = Literal["tensorboard", "trackio", "wandb", "mlflow", "comet_ml", "aim", "clearml", "dvclive", "swanlab"]
"""Names that Accelerate knows."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Settings):
    """Settings of one run, checked when made; the defaults are those of `recipes.modern` for its network.

    Devices and processes are Accelerate's to choose (`accelerate config`, `accelerate launch`).

    Raises:
        ConfigurationError: A value cannot be used.
        UnknownNameError: A metric, loss, optimizer, schedule, precision, cache or tracker is not known.
    """

    model: str = setting(
        "tf_efficientnet_lite0", "Name of a timm model, or hf-hub:USER/NAME.", section="Model and run folder"
    )
    weights: str = setting(
        PRETRAINED,
        "Where the weights come from: 'pretrained' (timm's own, from the Hub), 'random', a file, a run's folder, or "
        "hf-hub:USER/NAME, or a file there, hf-hub:USER/NAME/FILE.",
    )
    family: FamilyName | None = setting(
        None, "Row of the table of recipes by family (docs/recipes.md) that modern goes by; if unset the name's."
    )
    output_dir: Path = setting(Path("runs/train"), "Run folder: model, results, history, curves and checkpoints.")
    overwrite: bool = setting(False, "Replace the run that output_dir already holds.")
    resume: bool = setting(False, "Go on from the newest checkpoint of output_dir; begin anew if there is none.")
    seed: Seed = setting(0, "Seed of the new weights, the order of the images, the augmentation and dropout.")

    scene_head: bool = setting(False, "Learn the scene beside the labels, as a second task.", section="Task")
    scene_weight: Positive = setting(0.5, "Weight of the scene's loss beside that of the labels.")
    single_label: bool = setting(False, "Learn the scene alone, one class per image.")
    freeze_backbone: bool = setting(False, "Train the classifier alone (linear probe).")

    epochs: Count = setting(18, "Passes over the training split.", section="Optimization")
    batch_size: Count = setting(32, "Images per optimizer step, over all processes and accumulation steps.")
    accumulation: Count = setting(1, "Parts into which each process splits its share of a batch, to save memory.")
    repeat_threshold: Fraction = setting(
        0.0,
        "Images with labels that fewer than this share of the training images show are seen several times an epoch; 0 "
        "sees each image once.",
    )
    optimizer: Literal["adamw", "adam", "sgd"] = setting("adamw", "Optimizer.")
    learning_rate: Positive | Literal["auto"] = setting(
        1e-3,
        "Highest learning rate of the backbone; 'auto' tries multiples of the recipe's on a part of the training "
        "images, and goes on with the best.",
    )
    head_rate: Positive = setting(3.0, "Learning rate of the classifier as a multiple of learning_rate.")
    layer_decay: Share = setting(1.0, "Rate of each block of layers as a multiple of the next one's; 1 is one rate.")
    head_init_scale: Positive = setting(1.0, "Factor on the first values of a classifier that is started anew.")
    weight_decay: PositiveOrZero = setting(0.05, "Weight decay of all tensors with two dimensions or more.")
    schedule: Literal["cosine", "linear", "constant"] = setting("constant", "Course of the rate after the warm-up.")
    warmup: Fraction = setting(0.1, "Share of the steps in which the rate climbs.")
    clip_norm: PositiveOrZero = setting(1.0, "Largest norm of the gradient; 0 does not clip.")
    drop_rate: Fraction = setting(0.0, "Dropout before the classifier.")
    drop_path_rate: Fraction = setting(0.0, "Stochastic depth, for the models that have it.")
    ema: Fraction = setting(
        0.998,
        "Decay per step of the averaged weights, which are evaluated and saved; 0 is none. In the first steps a "
        "plain mean.",
    )
    loss: Literal["bce", "asymmetric"] = setting("bce", "Loss of the labels.")
    label_smoothing: Fraction = setting(0.0, "How far targets move from 0 and 1 towards one half.")

    precision: Precision | None = setting(None, "Mixed precision; if unset Accelerate's own setting.", section="Device")
    compile: bool = setting(False, "Compile the model with torch.compile.")
    channels_last: bool = setting(True, "Keep the channels last in memory, where convolutions are fastest.")
    cpu_threads: CountOrZero = setting(
        0, "Threads of a process that trains on the CPU; 0 takes OMP_NUM_THREADS, or shares all cores."
    )

    image_size: Annotated[int, Range(16)] | None = setting(
        None, "Side in pixels of the square that evaluation sees; the model's if unset.", section="Images"
    )
    train_scale: Share = setting(
        0.857,
        "Side of the squares that training sees as a share of image_size, to the nearest 32 pixels; 1 for models that "
        "take one size only.",
    )
    crop_pct: Share = setting(
        1.0,
        "Share of the image that evaluation sees: the center square, after the shorter side was resized to "
        "image_size / crop_pct.",
    )
    crop_scale: Share = setting(0.6, "Least area of a training crop as a share of that of the largest square.")
    crop_ratio: Annotated[float, Range(1)] = setting(1.0, "Largest ratio of the sides of a training crop.")
    symmetries: Views = setting(
        8, "Turned and mirrored views in training: 1 none, 2 mirrored, 4 mirrored both ways, 8 all."
    )
    jitter: Fraction = setting(0.0, "Largest change of brightness, contrast and saturation, a factor of 1 +- this.")
    num_workers: CountOrZero = setting(
        0, "Processes beside each training process that read images; 0 reads in its own threads."
    )
    cache: Literal["off", "memory", "disk"] = setting(
        "memory",
        "Place of the decoded images. Several processes on one machine share a file on the disk, also with memory. "
        "Streamed images are not kept decoded.",
    )
    cache_dir: Path | None = setting(
        None,
        "Folder of decoded images on the disk, which later runs take up, and of what is kept of streamed splits; if "
        "unset in the run folder.",
    )
    cache_megabytes: CountOrZero = setting(
        1024,
        "Largest size at which a split is kept decoded; of a streamed split so much is kept of its files.",
    )

    eval_batch_size: Count = setting(64, "Images per evaluation step and process.", section="Evaluation")
    eval_symmetries: Views = setting(1, "Views whose scores are averaged in the final evaluation.")
    tune_thresholds: bool = setting(True, "Choose each label's threshold on the validation split, beside 0.5.")
    best_metric: str | None = setting(
        None,
        f"Validation metric that picks the best epoch: {', '.join(_METRICS)} or, where scenes are learned, "
        "scene_accuracy; if unset map, or scene_accuracy where scenes alone are learned.",
    )
    keep: Literal["best", "last"] = setting("best", "Epoch whose model is saved and scored.")

    checkpoint_steps: CountOrZero = setting(
        0, "Steps between two checkpoints; 0 sets none by steps.", section="Checkpoints and logs"
    )
    checkpoint_minutes: PositiveOrZero = setting(10.0, "Minutes between two checkpoints; 0 sets none by time.")
    keep_checkpoints: Count = setting(2, "Checkpoints that are kept, the newest.")
    log_every: Count = setting(10, "Steps between two readings of the loss, each of which waits for the device.")
    trackers: tuple[Tracker, ...] = setting(("tensorboard",), "Accelerate's trackers, of those that are installed.")

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.scene_head and self.single_label:
            raise ConfigurationError(
                "scene_head and single_label exclude each other",
                "scene_head learns labels and scenes, single_label scenes alone: give one of them.",
            )
        metrics = _SCENE_METRICS if self.single_label else _METRICS + _SCENE_METRICS[:1] * self.scene_head
        if self.selection_metric not in metrics:
            raise UnknownNameError(
                f"best_metric={self.selection_metric!r} is not known", name_alternatives(self.selection_metric, metrics)
            )

    @property
    def fixed_rate(self) -> float:
        """The learning rate of a run that is under way, when `auto` has given way to a number."""
        assert self.learning_rate != AUTO, "no rate is chosen yet"
        return self.learning_rate

    @property
    def selection_metric(self) -> str:
        """The validation metric that picks the best epoch."""
        return self.best_metric or ("scene_accuracy" if self.single_label else "map")
