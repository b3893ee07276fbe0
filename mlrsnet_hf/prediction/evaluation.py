"""What saved predictions are worth: scores with intervals, of labels and of scenes; and `evaluation.json`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import Defined, Name, json_as, read_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import on_one_line, quoted, shortened
from mlrsnet_hf.evaluation.intervals import (
    CONFIDENCE,
    DRAWS,
    SEED,
    Bounds,
    DrawnScores,
    Intervals,
    SplitIntervals,
    draw_scores,
    interval,
)
from mlrsnet_hf.evaluation.scores import Metrics, evaluate, label_scores, metric_text
from mlrsnet_hf.files import nulls_for_nan, whole_file
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD
from mlrsnet_hf.prediction.predictions_file import PredictionsInfo, SavedPredictions, ScoredPredictions
from mlrsnet_hf.training.results import library_versions

EVALUATION = "evaluation.json"
"""The file's name in the folder of an evaluation."""
FORMAT = 1
_REMEDY = "Give the evaluation.json that `mlrsnet evaluate` wrote, or its folder."
_LISTED = 12
"""Names of labels in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelResult:
    """Scores of a label; of a scene, where scenes alone are scored."""

    label: Name
    images: CountOrZero
    """Images of the split that have it."""
    average_precision: Defined
    """NaN for a label that does not occur."""
    average_precision_interval: Bounds
    f1: Defined
    """At the threshold; of a scene, of the highest score."""
    f1_interval: Bounds
    threshold: float | None
    """None for a scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneResult:
    """Scores of the labels over the images of one scene, at the thresholds."""

    scene: Name
    images: CountOrZero
    scores: Metrics
    intervals: Intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """Everything that evaluation.json holds."""

    info: PredictionsInfo
    scores: Metrics
    """Labels at the threshold 0.5, as in the paper."""
    at_thresholds: Metrics | None
    """Labels at the thresholds of `info`; None where all of these are 0.5."""
    intervals: SplitIntervals
    """Of `scores`, and as `tuned` of `at_thresholds`."""
    draws: Count
    seed: CountOrZero
    confidence: float
    """Share of the draws that an interval covers."""
    labels: tuple[LabelResult, ...]
    scenes: tuple[SceneResult, ...]
    """In the order of the data's scenes, those that occur; empty where the data names none, or scenes are scored."""
    versions: Mapping[Name, Name] = field(default_factory=library_versions)

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        content = nulls_for_nan({"format": FORMAT, **asdict(self)})
        with whole_file(path) as partial:
            partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "EvaluationResult":
        """Read the JSON file, or that of a folder.

        Raises:
            ConfigurationError: There is none, it is damaged, or it has another format.
        """
        path = path / EVALUATION if path.is_dir() else path
        content = read_json(path, Mapping[str, Any], _REMEDY)
        if content.get("format") != FORMAT:
            raise ConfigurationError(
                f"{path}: an evaluation of format {quoted(content.get('format'))}, this version reads {FORMAT}",
                "Evaluate again, or use the version of mlrsnet-hf that wrote it.",
            )
        values = {name: value for name, value in content.items() if name != "format"}
        result: EvaluationResult = json_as(values, cls, str(path), _REMEDY)
        return result

    @property
    def title(self) -> str:
        """Model, dataset and split in words."""
        data = self.info.data
        protocol = f" {data.protocol}" if data.protocol else ""
        return f"{self.info.model.name} on {data.name}{protocol}, split {data.split}"

    def report(self) -> str:
        """Return the lines that tell a person the scores."""
        lines = [f"{on_one_line(self.title)}: {self.info.data.images:,} images"]
        for name, value in self.scores.items():
            line = f"  {metric_text(name, value)}{_brackets(self.intervals.scores, name)}"
            other = (self.at_thresholds or {}).get(name, value)
            if other != value and other == other:
                line += f", {other:.4f}{_brackets(self.intervals.tuned, name)} with the thresholds of "
                line += on_one_line(self.info.thresholds_from)
            lines.append(line)
        lines.append(f"  in brackets {self.intervals_text}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes())])

    @property
    def intervals_text(self) -> str:
        """What the intervals are."""
        return (
            f"the middle {self.confidence:.0%} of {self.draws:,} bootstrap draws of the images (seed {self.seed}); "
            "what does not occur in a draw counts in no mean of that draw"
        )

    def notes(self) -> list[str]:
        """Return what a reader has to know before comparing, in sentences."""
        info, found = self.info, []
        what = "scene" if info.kind == "scene" else "label"
        if info.only_in_data:
            found.append(f"not scored, as the model does not know them: {_listed(info.only_in_data)}")
        if info.only_in_model:
            found.append(f"not scored, as the data does not name them: {_listed(info.only_in_model)}")
        absent = sum(not label.images for label in self.labels)
        if absent:
            found.append(f"{absent} of {len(self.labels)} {what}s do not occur there and count in no mean over {what}s")
        if info.trained_on:
            found.append(f"the model was trained on {info.trained_on:,} of these images: the scores flatter")
        elif info.trained_on is None:
            found.append("whether the model was trained on some of these images is not known here")
        return [*found, *info.notes, *info.threshold_notes]


def draw_saved(saved: SavedPredictions, draws: int = DRAWS, groups: npt.ArrayLike | None = None) -> DrawnScores:
    """Return the scores of saved predictions in each of many draws, at 0.5 and at their thresholds.

    Args:
        saved: The predictions.
        draws: How many draws of the images.
        groups: (N,) the number of each image's group; see `draw_scores`.
    """
    thresholds = saved.thresholds if saved.task.label_outputs else None
    return draw_scores(saved.predictions, saved.task, thresholds, draws, every=True, groups=groups)


def summarize(saved: SavedPredictions, drawn: DrawnScores, with_scenes: bool = True) -> EvaluationResult:
    """Return what saved predictions are worth.

    Args:
        saved: The predictions.
        drawn: Of `draw_saved`.
        with_scenes: Whether the images of each scene are scored apart, which takes as long again.
    """
    task, predictions = saved.task, saved.predictions
    own = saved.thresholds if task.label_outputs and (saved.thresholds != PAPER_THRESHOLD).any() else None
    draws = len(drawn.f1)
    tuned = None if own is None or drawn.tuned is None else _intervals(drawn.tuned)
    rows = label_scores(predictions, task, saved.thresholds if task.label_outputs else None)
    return EvaluationResult(
        info=saved.info,
        scores=evaluate(predictions, task, every=True),
        at_thresholds=None if own is None else evaluate(predictions, task, own, every=True),
        intervals=SplitIntervals(scores=_intervals(drawn.scores), tuned=tuned),
        draws=draws,
        seed=SEED,
        confidence=CONFIDENCE,
        labels=tuple(
            LabelResult(
                **asdict(row),
                average_precision_interval=interval(drawn.average_precision[:, number]),
                f1_interval=interval(drawn.f1[:, number]),
            )
            for number, row in enumerate(rows)
        ),
        scenes=_scenes(saved, draws) if with_scenes else (),
    )


def _scenes(saved: SavedPredictions, draws: int) -> tuple[SceneResult, ...]:
    """Return the scores of the labels over the images of each scene."""
    if saved.scenes is None or not saved.task.label_outputs:
        return ()
    task = Task(kind="labels", label_names=saved.task.label_names)
    found = []
    for number, name in enumerate(saved.task.scene_names):
        rows = np.flatnonzero(saved.scenes == number)
        if not len(rows):
            continue
        part = saved.predictions
        predictions = ScoredPredictions.of_scores(part.targets[rows], part.scores[rows])
        drawn = draw_scores(predictions, task, saved.thresholds, draws, every=True)
        assert drawn.tuned is not None, "thresholds are given"
        scores = evaluate(predictions, task, saved.thresholds, every=True)
        found.append(SceneResult(scene=name, images=len(rows), scores=scores, intervals=_intervals(drawn.tuned)))
    return tuple(found)


def _intervals(values: Mapping[str, Any]) -> dict[str, Bounds]:
    return {name: interval(part) for name, part in values.items()}


def _brackets(intervals: Intervals | None, name: str) -> str:
    bounds = (intervals or {}).get(name)
    return "" if bounds is None or not bounds.are_defined else f" ({bounds.text})"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(shortened(on_one_line(name), 60) for name in names[:_LISTED]) + more
