"""What a run found: results.json, and the report that a person reads.

The one reader of that file, for training, publishing and retrieval; it needs no torch. A result's shape: `recipe`,
`config` (a `TrainingConfig`), `data` (`source`, `label_names`, `scene_names`, `images` by split), `model`, `task`,
`history` (`Epoch`s), `scored_epoch`, `scores` and `tuned` (metrics of `validation` and `test`), `eval_symmetries`,
`labels` (`LabelScore`s) and `run`. A metric that is not defined is NaN here and null in the file.
"""

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.evaluation.scores import LabelScore, Metrics, SplitScores, TunedScores, metric_text
from mlrsnet_hf.files import nulls_for_nan, whole_file
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.history import Epoch, nan_for_nulls

if TYPE_CHECKING:  # they bring `datasets` and torch
    from mlrsnet_hf.inputs.task import ImageData, TaskKind
    from mlrsnet_hf.models.saved_model import SavedModel

RESULTS = "results.json"
FORMAT = 2
"""Raised when a reader of the old one would go wrong."""

_CHOSEN = "; these images chose the epoch too, so expect less on others"

_LISTED = 8
"""Names of labels in one line."""
_LIBRARIES = ("mlrsnet-hf", "torch", "torchvision", "timm", "accelerate", "datasets", "pillow", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """The data that a run learned from and was measured on."""

    source: Mapping[str, Any]
    """As in `ImageData`: dataset, protocol, split seed, label version, fingerprint."""
    label_names: tuple[str, ...]
    scene_names: tuple[str, ...]
    images: Mapping[str, int]
    """Number of images by split."""

    @classmethod
    def of(cls, data: "ImageData") -> "DataSummary":
        """Return the summary of a run's data."""
        return cls(
            source=data.source,
            label_names=data.label_names,
            scene_names=data.scene_names,
            images={name: len(split) for name, split in data.splits.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """The network of a run."""

    name: str
    """As the settings call it."""
    architecture: str
    """timm's name."""
    parameters: int
    weights: str
    """Where they came from."""
    image_size: int
    """Side in pixels of the square that evaluation sees."""

    @classmethod
    def of(cls, saved: "SavedModel", name: str, weights: str) -> "ModelSummary":
        """Return the summary of a saved model, with what its settings say of it."""
        return cls(
            name=name,
            architecture=cast(dict[str, Any], saved.model.pretrained_cfg)["architecture"],
            parameters=sum(parameter.numel() for parameter in saved.model.parameters()),
            weights=weights,
            image_size=saved.preprocessing.image_size,
        )


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a score may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How the run was carried out."""

    processes: int
    precision: str
    """As Accelerate calls it: no, bf16 or fp16."""
    device: str
    batch: Mapping[str, int]
    """Images of an optimizer step: `global`, `per_process`, and the number of parts of the latter, `accumulation`."""
    seconds: float
    """Seconds from the first step to the last metric; of a resumed run, of all its parts up to their checkpoints."""
    resumed: bool
    versions: Mapping[str, str] = field(default_factory=library_versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Everything that results.json holds."""

    recipe: str | None
    """Name of the recipe that the settings began with."""
    config: TrainingConfig
    data: DataSummary
    model: ModelSummary
    task: "TaskKind"
    history: tuple[Epoch, ...]
    scored_epoch: int
    """The epoch whose model is saved and measured."""
    scores: SplitScores
    """Labels at the threshold 0.5."""
    tuned: TunedScores | None
    """Labels at their own thresholds; None unless thresholds were tuned."""
    eval_symmetries: int
    """Views of each image whose logits were averaged in `scores` and `tuned`, not in the history."""
    labels: tuple[LabelScore, ...]
    """The per-label table of `scored_split`, at the tuned thresholds if there are any."""
    run: RunSummary

    @property
    def scored_split(self) -> str:
        """The split that the reported scores are of: `test`, or `validation` where there is none."""
        return "validation" if self.scores.test is None else "test"

    @property
    def reported(self) -> Metrics:
        """The scores of `scored_split` at the threshold 0.5."""
        return self.scores.validation if self.scores.test is None else self.scores.test

    @property
    def labels_left_out(self) -> int:
        """Number of labels that do not occur in `scored_split` and so do not count in its means over labels."""
        return sum(label.images == 0 for label in self.labels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None stands for a number that is not defined."""
        data = asdict(self.data)
        values = {
            "format": FORMAT,
            **asdict(self),
            "config": self.config.to_dict(),
            "data": data.pop("source") | data,
            "run": asdict(self.run) | {"seconds": round(self.run.seconds, 2)},
        }
        return {name: nulls_for_nan(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingResult":
        """Return the result that `to_dict` gave.

        Raises:
            ConfigurationError: The values are others, or a setting cannot be used.
            UnknownNameError: A setting names what this version does not know.
        """
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise ConfigurationError(
                f"these results are not whole: {', '.join(missing)} missing", "Use them as a run wrote them."
            )
        try:
            return cls(**_fields(values))
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"these results are not whole ({type(error).__name__}: {error})", "Use them as a run wrote them."
            ) from error

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        with whole_file(path) as partial:
            partial.write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "TrainingResult":
        """Read the JSON file.

        Raises:
            ConfigurationError: There is none, it is damaged, or it has another format.
        """
        remedy = f"Give the {path.name} of a finished run."
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path}: cannot be read ({error})", remedy) from error
        if not isinstance(values, dict):
            raise ConfigurationError(f"{path}: holds no results", remedy)
        if values.get("format") != FORMAT:
            raise ConfigurationError(
                f"{path}: these results have format {values.get('format')!r}, this version reads {FORMAT}",
                "Train again, or use the version of mlrsnet-hf that wrote them.",
            )
        try:
            return cls.from_dict(values)
        except MLRSNetError as error:
            raise ConfigurationError(f"{path}: {error.found}", error.remedy) from error

    def report(self) -> str:
        """Return the lines that tell a person the scores."""
        split = self.scored_split
        lines = [f"{split.capitalize()} split, {self.data.images[split]} images, model of epoch {self.scored_epoch}:"]
        if split == "validation":
            lines.append(f"  there is no test split{_CHOSEN if self.config.keep == 'best' else ''}")
        chosen = self.config.selection_metric
        if self.config.keep == "best" and all(math.isnan(epoch.validation[chosen]) for epoch in self.history):
            lines.append(f"  {metric_title(chosen)} was defined in no epoch and chose none: the last is kept")
        if self.eval_symmetries > 1:
            lines.append(f"  logits averaged over {self.eval_symmetries} symmetries of each image")
        lines += self._metric_lines()
        if self.labels_left_out:
            what = "scenes" if self.task == "scene" else "labels"
            lines.append(
                f"  {self.labels_left_out} of {len(self.labels)} {what} do not occur there and count in no mean over "
                f"{what}"
            )
        if self.tuned is not None and self.tuned.untuned:
            untuned = self.tuned.untuned
            more = f" and {len(untuned) - _LISTED} more" if len(untuned) > _LISTED else ""
            lines.append(f"  no validation image has {', '.join(untuned[:_LISTED])}{more}: threshold 0.5 kept")
        return "\n".join(lines)

    def _metric_lines(self) -> list[str]:
        """Return a line for each metric; where thresholds were tuned, a second column if that changes the value."""
        tuned: Metrics = {}
        if self.tuned is not None:
            tuned = self.tuned.validation if self.tuned.test is None else self.tuned.test
        lines = []
        for name, value in self.reported.items():
            other = tuned.get(name, value)
            # A value that is not defined differs from itself, but tells no more the second time.
            shown = f", {other:.4f} with tuned thresholds" if other != value and other == other else ""
            lines.append(f"  {metric_text(name, value)}{shown}")
        return lines


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `TrainingResult`; `KeyError` or `TypeError` tell of what is missing or unknown."""
    data, tuned = dict(values["data"]), values["tuned"]
    own = {name: data.pop(name) for name in ("label_names", "scene_names", "images")}
    own |= {name: tuple(own[name]) for name in ("label_names", "scene_names")}
    read = {
        "config": TrainingConfig(**values["config"]),
        "data": DataSummary(source=data, **own),
        "model": ModelSummary(**values["model"]),
        "history": tuple(Epoch.from_dict(epoch) for epoch in values["history"]),
        "scores": SplitScores(**_scores(values["scores"])),
        "tuned": None if tuned is None else TunedScores(**_scores(tuned) | {"untuned": tuple(tuned["untuned"])}),
        "labels": tuple(
            LabelScore(**row | nan_for_nulls({name: row[name] for name in ("average_precision", "f1")}))
            for row in values["labels"]
        ),
        "run": RunSummary(**values["run"]),
    }
    return {field.name: read.get(field.name, values[field.name]) for field in fields(TrainingResult)}


def _scores(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of the splits with NaN for None, and what else there is as it is."""
    return dict(values) | {
        name: None if values[name] is None else nan_for_nulls(values[name]) for name in ("validation", "test")
    }
