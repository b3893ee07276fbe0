"""What a run found: results.json, and the report that a person reads.

The one reader of that file, for training, publishing and retrieval; it needs no torch. A result's shape: `recipe`,
`config` (a `TrainingConfig`), `data` (`source`, `label_names`, `scene_names`, `images` by split), `model`, `task`,
`history` (`Epoch`s), `scored_epoch`, `scores` and `tuned` (metrics of `validation` and `test`), `eval_symmetries`,
`labels` (`LabelScore`s), `run`, `intervals` (`ScoreIntervals`), and `rate_trials` where learning rates were tried. A
metric that is not defined is NaN here and null in the file.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from mlrsnet_hf.configuration.json_file import Name, json_as, read_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero, PositiveOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import on_one_line, quoted
from mlrsnet_hf.evaluation.intervals import Intervals, ScoreIntervals
from mlrsnet_hf.evaluation.scores import FEW_IMAGES, LabelScore, Metrics, SplitScores, TunedScores, metric_text
from mlrsnet_hf.files import nulls_for_nan, whole_file
from mlrsnet_hf.inputs.config import TaskKind
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.training.config import AUTO, TrainingConfig
from mlrsnet_hf.training.history import Epoch, history_fault
from mlrsnet_hf.training.rate_scores import RateTrials

if TYPE_CHECKING:  # they bring `datasets` and torch
    from mlrsnet_hf.inputs.task import ImageData
    from mlrsnet_hf.models.saved_model import SavedModel

RESULTS = "results.json"
FORMAT = 2
"""Raised when a reader of the old one would go wrong."""

_CHOSEN = "; these images chose the epoch too, so expect less on others"

_LISTED = 8
"""Names of labels in one line."""
_LIBRARIES = ("mlrsnet-hf", "torch", "torchvision", "timm", "accelerate", "datasets", "pillow", "numpy")


_AS_WRITTEN = "Use them as a run wrote them."


class DataSource(TypedDict, total=False):
    """Where data came from, as in `ImageData`; there may be more."""

    dataset: Name
    hub_id: Name | None
    protocol: Name | None
    split_seed: CountOrZero | None
    held_out: CountOrZero | None
    labels: Name | None
    """Label version."""
    repaired: CountOrZero | None
    synthetic: bool
    fingerprint: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """The data that a run learned from and was measured on."""

    source: DataSource
    label_names: tuple[Name, ...]
    scene_names: tuple[Name, ...]
    images: Mapping[Name, CountOrZero]
    """Number of images by split."""

    @classmethod
    def of(cls, data: "ImageData") -> "DataSummary":
        """Return the summary of a run's data."""
        return cls(
            source=cast(DataSource, data.source),
            label_names=data.label_names,
            scene_names=data.scene_names,
            images={name: len(split) for name, split in data.splits.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """The network of a run."""

    name: Name
    """As the settings call it."""
    architecture: Name
    """timm's name."""
    parameters: CountOrZero
    weights: Name
    """Where they came from."""
    image_size: Count
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

    processes: Count
    precision: Name
    """As Accelerate calls it: no, bf16 or fp16."""
    device: Name
    batch: Mapping[Name, CountOrZero]
    """Images of an optimizer step: `global`, `per_process`, and the number of parts of the latter, `accumulation`."""
    seconds: PositiveOrZero
    """Seconds from the first step to the last metric; of a resumed run, of all its parts up to their checkpoints."""
    resumed: bool
    versions: Mapping[Name, Name] = field(default_factory=library_versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Everything that results.json holds."""

    recipe: Name | None
    """Name of the recipe that the settings began with."""
    config: TrainingConfig
    data: DataSummary
    model: ModelSummary
    task: TaskKind
    history: tuple[Epoch, ...]
    scored_epoch: Count
    """The epoch whose model is saved and measured."""
    scores: SplitScores
    """Labels at the threshold 0.5."""
    tuned: TunedScores | None
    """Labels at their own thresholds; None unless thresholds were tuned."""
    eval_symmetries: Count
    """Views of each image whose logits were averaged in `scores` and `tuned`, not in the history."""
    labels: tuple[LabelScore, ...]
    """The per-label table of `scored_split`, at the tuned thresholds if there are any."""
    run: RunSummary
    intervals: ScoreIntervals | None = None
    """How sure `scores` and `tuned` are; None in results of before they were measured."""
    rate_trials: RateTrials | None = None
    """What `learning_rate: auto` has tried; None where a number was given."""

    @property
    def learning_rate(self) -> float:
        """The highest rate of the run, given or chosen."""
        chosen = None if self.rate_trials is None else self.rate_trials.chosen
        return self.config.fixed_rate if chosen is None else chosen

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
        if self.rate_trials is None:
            del values["rate_trials"]
        else:
            values["rate_trials"] = {"chosen": self.learning_rate, **asdict(self.rate_trials)}
        return {name: nulls_for_nan(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingResult":
        """Return the result that `to_dict` gave.

        Raises:
            ConfigurationError: The values are others, or a setting cannot be used.
            UnknownNameError: A setting names what this version does not know.
        """
        return _result(values, "these results")

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
        values = read_json(path, Any, remedy)
        if not isinstance(values, dict):
            raise ConfigurationError(f"{path}: holds no results", remedy)
        if values.get("format") != FORMAT:
            raise ConfigurationError(
                f"{path}: these results have format {quoted(values.get('format'))}, this version reads {FORMAT}",
                "Train again, or use the version of mlrsnet-hf that wrote them.",
            )
        return _result(values, str(path))

    def report(self) -> str:
        """Return the lines that tell a person the scores."""
        split = self.scored_split
        images = f"{self.data.images.get(split, 0):,} images"
        lines = [f"{split.capitalize()} split, {images}, model of epoch {self.scored_epoch}:"]
        if split == "validation":
            lines.append(f"  there is no test split{_CHOSEN if self.config.keep == 'best' else ''}")
        chosen = self.config.selection_metric
        if self.config.keep == "best" and all(math.isnan(epoch.validation[chosen]) for epoch in self.history):
            lines.append(f"  {metric_title(chosen)} was defined in no epoch and chose none: the last is kept")
        if self.rate_trials is not None:
            lines.append(f"  {self.rate_trials.report()}")
        if self.eval_symmetries > 1:
            lines.append(f"  logits averaged over {self.eval_symmetries} symmetries of each image")
        lines += self._metric_lines()
        if self.intervals is not None:
            lines.append(f"  in brackets {self.intervals.text}")
        if self.labels_left_out:
            what = "scenes" if self.task == "scene" else "labels"
            lines.append(
                f"  {self.labels_left_out:,} of {len(self.labels):,} {what} do not occur there and count in no mean "
                f"over {what}"
            )
        if self.tuned is not None and self.tuned.untuned:
            lines.append(f"  no validation image has {_listed(self.tuned.untuned)}: threshold 0.5 kept")
        if self.tuned is not None and self.tuned.few:
            few = [f"{name} ({count})" for name, count in sorted(self.tuned.few.items(), key=lambda one: one[1])]
            lines.append(
                f"  warning: fewer than {FEW_IMAGES} validation images with, or without, the label chose the threshold "
                f"of {_listed(few)}; on other images it may be far off"
            )
        return "\n".join(lines)

    def _metric_lines(self) -> list[str]:
        """Return a line for each metric; where thresholds were tuned, a second column if that changes the value."""
        tuned: Metrics = {}
        if self.tuned is not None:
            tuned = self.tuned.validation if self.tuned.test is None else self.tuned.test
        split = None if self.intervals is None else getattr(self.intervals, self.scored_split)
        lines = []
        for name, value in self.reported.items():
            other = tuned.get(name, value)
            # A value that is not defined differs from itself, but tells no more the second time.
            shown = ""
            if other != value and other == other:
                shown = f", {other:.4f}{_brackets(split and split.tuned, name)} with tuned thresholds"
            lines.append(f"  {metric_text(name, value)}{_brackets(split and split.scores, name)}{shown}")
        return lines


def _listed(names: Sequence[str]) -> str:
    """Return the first names in a line, the others counted."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(on_one_line, names[:_LISTED])) + more


def _brackets(intervals: Intervals | None, name: str) -> str:
    """Return the interval of a score behind it; "" where there is none."""
    bounds = (intervals or {}).get(name)
    return "" if bounds is None or not bounds.are_defined else f" ({bounds.text})"


def _result(values: Mapping[str, Any], source: str) -> TrainingResult:
    """Return what `TrainingResult.to_dict` gave; `source` is where it lies, for errors."""
    content = {name: value for name, value in values.items() if name != "format"}
    if isinstance(data := content.get("data"), dict):  # where the source stands among the rest
        own = {name: data[name] for name in ("label_names", "scene_names", "images") if name in data}
        content["data"] = own | {"source": {name: value for name, value in data.items() if name not in own}}
    if isinstance(trials := content.get("rate_trials"), dict):  # `chosen` follows from the rest
        content["rate_trials"] = {name: value for name, value in trials.items() if name != "chosen"}
    result: TrainingResult = json_as(content, TrainingResult, source, _AS_WRITTEN)
    if fault := _fault(result):
        raise ConfigurationError(f"{source}: {fault}", _AS_WRITTEN)
    return result


def _fault(result: TrainingResult) -> str:
    """Say what does not fit together in results; "" if all does."""
    chosen = result.config.selection_metric
    if fault := history_fault(result.history):
        return fault
    if result.config.learning_rate == AUTO and (result.rate_trials is None or result.rate_trials.chosen is None):
        return "learning_rate is auto, and rate_trials chooses none"
    if result.config.keep == "best" and not all(chosen in epoch.validation for epoch in result.history):
        return f"the epochs have no {chosen}, which chooses among them"
    return ""
