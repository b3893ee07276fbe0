"""Two models on the same images: how much better one is, with intervals of the differences (paired bootstrap)."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlrsnet_hf.configuration.json_file import Defined, Name
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.evaluation.intervals import CONFIDENCE, DRAWS, SEED, Bounds, DrawnScores, interval
from mlrsnet_hf.files import nulls_for_nan, whole_file
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.prediction.evaluation import EvaluationResult, draw_saved, summarize
from mlrsnet_hf.prediction.predictions_file import SavedPredictions, ScoredPredictions
from mlrsnet_hf.training.results import library_versions

COMPARISON = "comparison.json"
"""The file's name in the folder of a comparison."""
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDifference:
    """A score of two models on the same images."""

    first: Defined
    second: Defined
    difference: Defined
    """First less second; NaN where one of them is not defined."""
    bounds: Bounds
    """The middle of the differences in the draws, in each of which both models see the same images."""

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.bounds.low > 0 or self.bounds.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDifference:
    """The scores of a label; of a scene, where scenes alone are scored."""

    label: Name
    images: int
    average_precision: ScoreDifference
    f1: ScoreDifference
    """At the thresholds of each model; of a scene, of the highest score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that comparison.json holds."""

    first: EvaluationResult
    second: EvaluationResult
    scores: Mapping[Name, ScoreDifference]
    """Labels at the threshold 0.5."""
    at_thresholds: Mapping[Name, ScoreDifference] | None
    """Labels at the thresholds of each model; None where all of these are 0.5."""
    labels: tuple[LabelDifference, ...]
    only_in_first: tuple[Name, ...]
    """Labels of the data that the second model does not know; they are not compared."""
    only_in_second: tuple[Name, ...]
    draws: int
    seed: int = SEED
    confidence: float = CONFIDENCE
    versions: Mapping[Name, Name] = field(default_factory=library_versions)

    def save(self, path: Path) -> None:
        """Write the JSON file, whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        content = asdict(self)
        for side in ("first", "second"):  # the folder has the whole evaluations beside it
            content[side] = content[side]["info"]
        text = json.dumps(nulls_for_nan({"format": FORMAT, **content}), indent=1, allow_nan=False)
        with whole_file(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    def report(self) -> str:
        """Return the lines that tell a person which model is better, and how sure that is."""
        first, second = (on_one_line(side.info.model.name) for side in (self.first, self.second))
        lines = [f"{first} less {second}, on the same {self.first.info.data.images:,} images:"]
        rows = list(self.scores.items())
        if self.at_thresholds is not None:
            rows += [
                (f"{name} at thresholds", one) for name, one in self.at_thresholds.items() if one != self.scores[name]
            ]
        for name, one in rows:
            plain = name.removesuffix(" at thresholds")
            title = metric_title(plain) + name.removeprefix(plain)
            lower = plain in METRICS and not METRICS[plain].higher_is_better
            lines.append(f"  {title} {_text(one)}{', lower is better' if lower else ''}")
        compared = [row for row in self.labels if not math.isnan(row.average_precision.difference)]
        sure = [row for row in compared if row.average_precision.is_sure]
        better = sum(row.average_precision.difference > 0 for row in sure)
        what = "scenes" if self.first.info.kind == "scene" else "labels"
        lines.append(
            f"  average precision, with an interval that leaves 0 out: {better} {what} better, {len(sure) - better} "
            f"worse, of {len(compared)}; by chance alone about {(1 - self.confidence) * len(compared):.0f}"
        )
        lines.append(
            f"  in brackets the middle {self.confidence:.0%} of the differences in {self.draws:,} draws of the images"
        )
        for names, other in ((self.only_in_first, second), (self.only_in_second, first)):
            if names:
                shown = ", ".join(map(on_one_line, names[:12])) + (" and more" if len(names) > 12 else "")
                lines.append(f"  not compared, as {other} does not know them: {shown}")
        return "\n".join(lines)

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Return the header and the rows of a table of all scores, for CSV; what is not defined is None."""
        header = ["score", "label", "images", "first", "second", "difference", "low", "high"]
        rows = [[metric_title(name), "", "", *_cells(one)] for name, one in self.scores.items()]
        for name, one in (self.at_thresholds or {}).items():
            if one != self.scores[name]:
                rows.append([f"{metric_title(name)} at thresholds", "", "", *_cells(one)])
        for row in self.labels:
            rows.append(["average precision", row.label, row.images, *_cells(row.average_precision)])
            rows.append(["F1", row.label, row.images, *_cells(row.f1)])
        return header, rows


def same_images(first: SavedPredictions, second: SavedPredictions) -> tuple[SavedPredictions, SavedPredictions]:
    """Return the predictions of two models for the images and labels that both have, in one order.

    Raises:
        ConfigurationError: They are of other images, or the images have other labels, or nothing is common.
    """
    names = [side.info.model.name for side in (first, second)]
    rows = {image: row for row, image in enumerate(second.ids)}
    if len(first.ids) != len(second.ids) or any(image not in rows for image in first.ids):
        raise ConfigurationError(
            f"{names[0]} and {names[1]} were evaluated on other images",
            "Evaluate both on the same split of the same data.",
        )
    order = np.array([rows[image] for image in first.ids])
    second = _selected(second, order)
    with_labels = first.task.label_outputs and second.task.label_outputs
    with_scenes = first.task.scene_outputs and second.task.scene_outputs
    labels = [name for name in first.task.label_names if with_labels and name in second.task.label_names]
    if with_labels and not labels:
        with_labels = 0
    if with_scenes and first.task.scene_names != second.task.scene_names:
        with_scenes = 0
    if not with_labels and not with_scenes:
        raise ConfigurationError(
            f"{names[0]} and {names[1]} have no label in common", "Give two models of the same labels."
        )
    kind = "scene" if not with_labels else "labels+scene" if with_scenes else "labels"
    one, other = (_restricted(side, kind, labels) for side in (first, second))
    if not np.array_equal(one.predictions.targets, other.predictions.targets, equal_nan=True):
        raise ConfigurationError(
            f"{names[0]} and {names[1]} were evaluated on other labels of the same images",
            "Evaluate both with the same options of the data, --label-version above all.",
        )
    return one, other


def compare(first: SavedPredictions, second: SavedPredictions, draws: int = DRAWS) -> Comparison:
    """Return the differences of two models' scores, with intervals of a paired bootstrap over the images.

    In each draw both models are measured on the same images, so that what makes some images hard for both does not
    count.

    Args:
        first: Of `same_images`.
        second: Likewise.
        draws: How many draws of the images.
    """
    drawn = draw_saved(first, draws), draw_saved(second, draws)
    results = summarize(first, drawn[0], with_scenes=False), summarize(second, drawn[1], with_scenes=False)
    with_thresholds = any(result.at_thresholds is not None for result in results)
    whole = [result.at_thresholds or result.scores for result in results]
    return Comparison(
        first=results[0],
        second=results[1],
        scores=_differences(results[0].scores, results[1].scores, drawn[0].scores, drawn[1].scores),
        at_thresholds=_differences(whole[0], whole[1], drawn[0].tuned or {}, drawn[1].tuned or {})
        if with_thresholds
        else None,
        labels=_label_differences(results, drawn),
        only_in_first=(),
        only_in_second=(),
        draws=draws,
    )


def compare_models(first: SavedPredictions, second: SavedPredictions, draws: int = DRAWS) -> Comparison:
    """Return what `compare` does, of what two models' predictions have in common.

    Raises:
        ConfigurationError: See `same_images`.
    """
    common = same_images(first, second)
    known = set(common[0].task.label_names)
    left = [
        tuple(name for name in side.task.label_names[: side.task.label_outputs] if name not in known)
        for side in (first, second)
    ]
    return replace(compare(*common, draws), only_in_first=left[0], only_in_second=left[1])


def _differences(
    first: Mapping[str, float], second: Mapping[str, float], one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, ScoreDifference]:
    return {name: _difference(first[name], second[name], one[name], other[name]) for name in first}


def _difference(first: float, second: float, one: Any, other: Any) -> ScoreDifference:  # noqa: ANN401 - (D,) values
    return ScoreDifference(first=first, second=second, difference=first - second, bounds=interval(one - other))


def _label_differences(
    results: tuple[EvaluationResult, EvaluationResult], drawn: tuple[DrawnScores, DrawnScores]
) -> tuple[LabelDifference, ...]:
    first, second = drawn
    return tuple(
        LabelDifference(
            label=one.label,
            images=one.images,
            average_precision=_difference(
                one.average_precision,
                other.average_precision,
                first.average_precision[:, number],
                second.average_precision[:, number],
            ),
            f1=_difference(one.f1, other.f1, first.f1[:, number], second.f1[:, number]),
        )
        for number, (one, other) in enumerate(zip(results[0].labels, results[1].labels, strict=True))
    )


def _selected(saved: SavedPredictions, rows: np.ndarray) -> SavedPredictions:
    """Return the predictions of some images, in the order of the rows."""
    part = saved.predictions
    predictions = ScoredPredictions.of_scores(
        part.targets[rows],
        part.scores[rows],
        None if part.scenes is None else part.scenes[rows],
        None if part.scenes is None else part.scene_scores[rows],
    )
    scenes = None if saved.scenes is None else saved.scenes[rows]
    return replace(saved, ids=tuple(saved.ids[row] for row in rows), predictions=predictions, scenes=scenes)


def _restricted(saved: SavedPredictions, kind: Any, labels: list[str]) -> SavedPredictions:  # noqa: ANN401 - a TaskKind
    """Return the predictions of some labels alone, and of scenes where the kind has them."""
    part, names = saved.predictions, saved.task.label_names
    columns = [names.index(name) for name in labels]
    with_scenes = kind != "labels"
    predictions = ScoredPredictions.of_scores(
        part.targets[:, columns],
        part.scores[:, columns],
        part.scenes if with_scenes else None,
        part.scene_scores if with_scenes else None,
    )
    thresholds = {name: saved.info.thresholds[name] for name in labels}
    return replace(
        saved,
        info=replace(saved.info, kind=kind, thresholds=thresholds),
        task=Task(kind=kind, label_names=tuple(labels), scene_names=saved.task.scene_names),
        predictions=predictions,
    )


def _text(one: ScoreDifference) -> str:
    if one.difference != one.difference:
        return "not defined"
    bounds = f" ({one.bounds.low:+.4f} to {one.bounds.high:+.4f})" if one.bounds.are_defined else ""
    return f"{one.first:.4f} - {one.second:.4f} = {one.difference:+.4f}{bounds}"


def _cells(one: ScoreDifference) -> list[Any]:
    values = [one.first, one.second, one.difference, one.bounds.low, one.bounds.high]
    return [None if value != value else value for value in values]
