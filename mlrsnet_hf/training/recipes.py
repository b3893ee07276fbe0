"""Whole configurations by name; a variant derives from another and says why it differs.

Each recipe takes any setting of `TrainingConfig` as a keyword, which then counts instead of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlrsnet_hf.configuration.settings import Settings, setting
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.models import RANDOM
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS, find_paper_network
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.families import FAMILIES, family_of

Recipe = Callable[..., TrainingConfig]
_ROW_CHOICE = ("model", "weights", "family", "batch_size")
"""Settings that choose a row of the families, and its rate."""
_OF_THE_ROWS = frozenset({"family", "head_init_scale"})
"""Settings that there were not before the families."""

_PLAIN: dict[str, Any] = {
    "batch_size": 32,
    "head_rate": 1.0,
    "layer_decay": 1.0,
    "clip_norm": 0.0,
    "drop_rate": 0.0,
    "drop_path_rate": 0.0,
    "ema": 0.0,
    "loss": "bce",
    "label_smoothing": 0.0,
    "train_scale": 1.0,
    "crop_pct": 1.0,
    "crop_ratio": 1.0,
    "jitter": 0.0,
    "eval_symmetries": 1,
}
"""Batches of the usual size, and nothing beside the loss and the optimizer."""


def modern(**changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field of the configuration
    """Fine-tune a pretrained network for the best multi-label scores, each family of networks by its own row.

    Command: `accelerate launch -m mlrsnet_hf train --data-dir PATH`.
    Hardware, time and scores, and what each part of the recipe is worth: see docs/recipes.md.

    The row of `families.FAMILIES` that the model's name tells, or that `family` names, gives rate, layer decay,
    schedule and what else it holds. Random weights, and names that tell none, take the defaults of `TrainingConfig`,
    the row of networks with BatchNorm.
    """
    defaults = TrainingConfig(**{name: changes[name] for name in _ROW_CHOICE if changes.get(name) is not None})
    family = defaults.family
    if family is None and defaults.weights != RANDOM:
        family = family_of(defaults.model, defaults.weights)
    return TrainingConfig(**(FAMILIES[family].settings(defaults.batch_size) if family else {}) | changes)


def paper(network: str | None = None, **changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field
    """Train as the paper did: section 3.1 and Table 5 of Qi et al. (2020).

    Command: `accelerate launch -m mlrsnet_hf train --recipe paper --network DenseNet201 --data-dir PATH`.
    Hardware, time and scores: the paper used one TITAN RTX and gives its scores in Tables 6 and 7; for ours see
    docs/recipes.md.

    From the paper: all weights of an ImageNet network are trained, its last layer replaced by one sigmoid output per
    label; binary cross-entropy, Adam at a rate of 0.01, batches of 32, 10 epochs, a threshold of 0.5. Keras' Adam
    knows no warm-up, decay, clipping or averaging of weights unless told, and Table 5 tells of none. The last epoch is
    scored.

    Ours, where the paper is silent: the input size (`paper_networks`), and that nothing is augmented, for a paper that
    lists what was used "to improve the generalization capability" would name it.

    The weights are not those of Keras, and a rate of 0.01 is a hundred times what a VGG is usually fine-tuned with: its
    units may die, after which it gives every image the same scores. That is then the result, and is reported as such.

    Args:
        network: The paper's name of it, such as `ResNet50`, the default; instead of `model`.
        **changes: Other settings.

    Raises:
        UnknownNameError: The paper has no such network.
        ConfigurationError: Both `network` and `model` are given.
    """
    if network is not None and "model" in changes:
        raise ConfigurationError(
            f"network={network!r} and model={changes['model']!r} both name the model", "Leave out one of them."
        )
    chosen = find_paper_network(network or "ResNet50")
    settings = _PLAIN | {
        "model": chosen.model,
        "image_size": chosen.image_size,
        "epochs": 10,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "crop_scale": 1.0,
        "symmetries": 1,
        "tune_thresholds": False,
        "keep": "last",
    }
    return _without_row("paper", settings | changes)


def linear_probe(**changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field of the configuration
    """Train the classifier alone, on what a pretrained network sees: how good its features are as they stand.

    Command: `mlrsnet train --recipe linear_probe --data-dir PATH`.
    Hardware, time and scores: see docs/recipes.md.

    As the defaults of `TrainingConfig`, but at a higher rate, for one layer from zero; neither decay nor
    stochastic depth serve it.
    """
    settings = {"freeze_backbone": True, "learning_rate": 1e-2, "head_rate": 1.0, "weight_decay": 0.0}
    return _without_row("linear_probe", settings | {"drop_path_rate": 0.0} | changes)


def debug_cpu(**changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field of the configuration
    """Run every stage in seconds on one core; the scores mean nothing.

    Command: `mlrsnet train --recipe debug_cpu --protocol demo`, which draws its images.
    """
    settings: dict[str, Any] = {
        "model": "test_resnet",
        "weights": RANDOM,
        "image_size": 32,
        "train_scale": 1.0,
        "epochs": 2,
        "batch_size": 8,
        "checkpoint_steps": 5,
        "log_every": 1,
        "cpu_threads": 1,
        "trackers": (),
    }
    return _without_row("debug_cpu", settings | changes)


def demo(**changes: Any) -> TrainingConfig:  # noqa: ANN401 - any field of the configuration
    """Learn the synthetic demo set from random weights: a test split's mAP of 0.76 in two minutes on two cores.

    Command: `mlrsnet demo`.

    Every setting that the score depends on stands here, so that it stays what it is when `modern` changes. A network
    this small, trained from nothing, wants one high rate for all layers.
    """
    settings = _PLAIN | {
        "model": "test_resnet",
        "weights": RANDOM,
        "image_size": 64,
        "epochs": 36,
        "optimizer": "adamw",
        "learning_rate": 8e-3,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup": 0.1,
        "crop_scale": 0.6,
        "symmetries": 8,
        "keep": "best",
    }
    return _without_row("demo", settings | changes)


def _without_row(recipe: str, settings: dict[str, Any]) -> TrainingConfig:
    """Return the settings of a recipe that takes nothing from the rows of the families."""
    if settings.get("family") is not None:
        raise ConfigurationError(
            f"family={settings['family']!r} changes nothing in recipe {recipe}",
            "Leave family out, or take recipe modern, which goes by it.",
        )
    return TrainingConfig(**settings)


RecipeName = Literal["modern", "paper", "linear_probe", "debug_cpu", "demo"]
RECIPES: dict[str, Recipe] = {
    "modern": modern,
    "paper": paper,
    "linear_probe": linear_probe,
    "debug_cpu": debug_cpu,
    "demo": demo,
}
"""Recipes by the name that `--recipe` and settings.yaml give them."""


@dataclass(frozen=True, kw_only=True)
class RecipeChoice(Settings):
    """What the other settings start from."""

    recipe: RecipeName | None = setting(
        "modern", "Settings to start from; the defaults shown are modern's, as are those of none.", section="Recipe"
    )
    network: str | None = setting(
        None, f"Network of the recipe paper, if unset ResNet50: {', '.join(PAPER_NETWORKS)}.", metavar="NAME"
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        if self.network is not None and self.recipe != "paper":
            raise ConfigurationError(
                f"network={self.network!r} goes with recipe paper alone", "Give model, or --recipe paper."
            )


def recipe_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the recipe that some values name, under `recipe` and `network`."""
    recipe = values.get("recipe", "modern")
    if recipe == "modern" and _is_older_than_rows(values):
        return TrainingConfig().to_dict()
    names = {"paper": ("network", "model", "family"), "modern": _ROW_CHOICE}.get(recipe, ("family",))
    chosen = {name: values[name] for name in names if values.get(name) is not None}
    return {} if recipe is None else RECIPES[recipe](**chosen).to_dict()


def _is_older_than_rows(values: Mapping[str, Any]) -> bool:
    """Tell the settings.yaml of a run that knew no rows: it gives all that one decides, but what came with them."""
    row = FAMILIES["cnn_batchnorm"].settings(1).keys()
    return row - _OF_THE_ROWS <= values.keys() and _OF_THE_ROWS.isdisjoint(values)
