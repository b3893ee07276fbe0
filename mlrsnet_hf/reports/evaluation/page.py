"""The page of an evaluation: one HTML file that shows how good a model is on a split, and what it gets wrong."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from mlrsnet_hf.evaluation.decisions import (
    Calibration,
    Confusion,
    Decisions,
    calibration,
    confused_images,
    confusion_counts,
    precision_recall,
    ranked_confusions,
    worst_errors,
)
from mlrsnet_hf.evaluation.intervals import Bounds, Intervals
from mlrsnet_hf.evaluation.scores import LabelScore, Metrics, Predictions, Scores, label_scores, threshold_text
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.reports.evaluation import charts
from mlrsnet_hf.reports.evaluation.pictures import PageThumbnails, example_images, typical_images
from mlrsnet_hf.reports.pages import render

PER_LABEL = 8
"""Images of a label's wrong and of its missed ones, the worst."""
MOST_IMAGES = 600
TYPICAL = 5
"""Images of each sort in Fig. 9."""
_PAIRS, _PAIR_IMAGES = 30, 2
"""Confusions in the list, and images of each."""
_CELLS = 24
"""Rows and columns of the heat map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumn:
    """Scores of a model under one title."""

    title: str
    """Such as `at 0.5`; with two models, the model's name."""
    scores: Metrics
    """Those that differ from the column before; a metric that is not here has an empty cell."""
    intervals: Intervals | None = None
    is_compared: bool = False
    """Whether they are those of the second model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """A model and its answers to the split."""

    name: str
    predictions: Predictions
    thresholds: Scores
    """(L,) at which the page decides on the task's labels."""

    def decisions(self, task: Task) -> Decisions:
        """Return the decisions on labels; where scenes alone are learned, on these."""
        if task.label_outputs:
            return Decisions.of_labels(self.predictions, task, self.thresholds)
        return Decisions.of_scenes(self.predictions, task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A score of the first model less that of the second, on the same images."""

    value: float
    interval: Bounds | None = None

    @property
    def text(self) -> str:
        """The difference and its interval, with their signs."""
        if math.isnan(self.value):
            return "-"
        if self.interval is None or not self.interval.are_defined:
            return f"{self.value:+.4f}"
        return f"{self.value:+.4f} ({self.interval.low:+.4f} to {self.interval.high:+.4f})"

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Scores beside each other: of one model, or of two at the same thresholds."""

    columns: Sequence[ScoreColumn]
    title: str = ""
    """Of the table; empty where there is one alone."""
    differences: Mapping[str, Difference] | None = None
    """The first model's scores less the second's, by metric; None of one model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A further table of the page, such as the scores of each scene."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    """As they are shown; the first column is text, the others numbers."""


def write_evaluation_page(
    path: Path,
    *,
    title: str,
    task: Task,
    ids: Sequence[str],
    rows: datasets.Dataset,
    model: EvaluatedModel,
    scores: Sequence[ScoreTable],
    compared: EvaluatedModel | None = None,
    label_differences: Mapping[str, Difference] | None = None,
    tables: Sequence[PageTable] = (),
    about: Sequence[str] = (),
    notes: Sequence[str] = (),
    attribution: str = "",
) -> None:
    """Write the page of a model on a split, whole or not at all.

    Args:
        path: The HTML file.
        title: Of the page.
        task: What the outputs stand for.
        ids: (N,) ids of the images, in the order of the predictions.
        rows: The images, in the same order, in the column `image`.
        model: Whose errors are shown.
        scores: The tables of scores, with those of a second model too.
        compared: A second model, whose curves and average precisions are shown beside.
        label_differences: The first model's average precisions less the second's, by label; by default those without
            intervals.
        tables: Further tables.
        about: What was measured, a line each.
        notes: What a reader has to know before comparing, a line each.
        attribution: Whose images they are.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    scenes = Decisions.of_scenes(model.predictions, task) if task.scene_outputs else None
    decisions = model.decisions(task)
    thumbnails = PageThumbnails(rows, ids)
    typical, sorts = typical_images(decisions, TYPICAL)
    examples = example_images(thumbnails.fitting(typical), ids, decisions, scenes)
    confused = ranked_confusions(decisions)
    pairs = _worth_listing(confused)
    rows_of_errors = [error.image for error in worst_errors(decisions, PER_LABEL, MOST_IMAGES)]
    rows_of_errors += [row for pair in pairs for row in confused_images(decisions, pair, _PAIR_IMAGES)]
    other = None if compared is None else compared.decisions(task)
    worst = example_images(thumbnails.fitting(rows_of_errors), ids, decisions, scenes, other)
    labels = _label_rows(model, compared, decisions, task, label_differences or {})
    content = render(
        "evaluation.html",
        title=title,
        noun="scene" if task.kind == "scene" else "label",
        model=model,
        compared=compared,
        images=len(ids),
        about=about,
        notes=notes,
        attribution=attribution,
        scores=[
            {
                "title": table.title,
                "columns": table.columns,
                "rows": _score_rows(table),
                "has_differences": table.differences is not None,
            }
            for table in scores
        ],
        marks={column.title: look for table in scores for column, look in _looks(table.columns)},
        has_intervals=any(column.intervals for table in scores for column in table.columns),
        axis=_axis([column for table in scores for column in table.columns]),
        tables=tables,
        labels=labels,
        absent=len(decisions.names) - len(labels),
        said_absent=_said_absent(decisions),
        small_charts=_charts(model, compared, decisions, task, labels),
        overall=_overall(decisions),
        overall_compared=None if other is None else _overall(other),
        bars_height=charts.BARS,
        confused=pairs,
        confused_pairs=len(confused),
        heat=_heat_map(decisions),
        scene_confused=[] if scenes is None or task.kind == "scene" else _worth_listing(ranked_confusions(scenes)),
        scene_names=task.scene_names,
        names=decisions.names,
        examples=examples,
        sorts=sorts,
        worst=worst,
        worst_labels=dict(sorted((one.label, one.name) for example in worst for one in example.errors)),
        worst_errors=dict(sorted(((one.label, one.kind), one.name) for example in worst for one in example.errors)),
        per_label=PER_LABEL,
        pictures=thumbnails.addresses,
    )
    with whole_file(path) as partial:
        partial.write_text(content, encoding="utf-8")


def _worth_listing(pairs: Sequence[Confusion]) -> Sequence[Confusion]:
    """Return the first confusions; those of a single image only where there are few others."""
    several = [pair for pair in pairs if pair.images > 1]
    return several[:_PAIRS] if len(several) >= _PAIRS // 3 else pairs[: _PAIRS // 3]


def _looks(columns: Sequence[ScoreColumn]) -> list[tuple[ScoreColumn, str]]:
    """Return columns with the classes of their marks: a color for each model, hollow but for its first column."""
    looks: list[str] = []
    for column in columns:
        color = "two" if column.is_compared else "one"
        looks.append(f"{color} hollow" if color in looks else color)
    return list(zip(columns, looks, strict=True))


def _score_rows(table: ScoreTable) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for column in table.columns for name in column.scores)
    return [
        {
            "title": metric_title(name),
            "lower": name in METRICS and not METRICS[name].higher_is_better,
            "cells": [_score_cell(column, look, name) for column, look in _looks(table.columns)],
            "difference": (table.differences or {}).get(name),
        }
        for name in names
    ]


def _score_cell(column: ScoreColumn, look: str, name: str) -> dict[str, Any]:
    value, bounds = column.scores.get(name, math.nan), (column.intervals or {}).get(name)
    return {
        "title": column.title,
        "look": look,
        "is_given": name in column.scores,
        "value": None if math.isnan(value) else value,
        "bounds": bounds if bounds is not None and bounds.are_defined else None,
    }


def _axis(columns: Sequence[ScoreColumn]) -> charts.Axis:
    """Return the scale of the intervals."""
    values = [value for column in columns for value in column.scores.values()]
    for column in columns:
        for bounds in (column.intervals or {}).values():
            values += [bounds.low, bounds.high]
    return charts.Axis.around(value for value in values if not value > 1)  # a metric of ranks may be


def _label_rows(
    model: EvaluatedModel,
    compared: EvaluatedModel | None,
    decisions: Decisions,
    task: Task,
    differences: Mapping[str, Difference],
) -> list[dict[str, Any]]:
    """Return the rows of the labels that occur."""
    first = label_scores(model.predictions, task, model.thresholds)
    second: Sequence[LabelScore | None] = [None] * len(first)
    if compared is not None:
        second = label_scores(compared.predictions, task, compared.thresholds)
    wrong, missed = decisions.wrong.sum(axis=0).tolist(), decisions.missed.sum(axis=0).tolist()
    found = []
    for label in decisions.occurring:
        own, other = first[label], second[label]
        gap = differences.get(own.label)
        if gap is None and other is not None:
            gap = Difference(value=own.average_precision - other.average_precision)
        found.append(
            {
                "id": label,
                "score": own,
                "threshold": threshold_text(own.threshold),
                "compared": other,
                "difference": gap,
                "wrong": wrong[label],
                "missed": missed[label],
            }
        )
    return found


def _said_absent(decisions: Decisions) -> list[tuple[str, int]]:
    """Return the labels that no image has and the model says of some, with their number."""
    said = decisions.wrong.sum(axis=0).tolist()
    there = set(decisions.occurring)
    return [(name, said[label]) for label, name in enumerate(decisions.names) if said[label] and label not in there]


def _charts(
    model: EvaluatedModel,
    compared: EvaluatedModel | None,
    decisions: Decisions,
    task: Task,
    labels: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the curves of each label, the lowest average precision first."""
    models = [decisions] + ([] if compared is None else [compared.decisions(task)])
    made = []
    for row in sorted(labels, key=lambda row: row["score"].average_precision):
        label, threshold = row["id"], row["score"].threshold
        known = decisions.known[:, label]
        true = decisions.true[known, label]
        curves = [precision_recall(true, one.scores[known, label]) for one in models]
        reliable = calibration(true, decisions.scores[known, label])
        said = decisions.said[known, label]
        hits = int((said & true).sum())
        point = (hits / int(true.sum()), hits / int(said.sum())) if said.any() else None
        bins = charts.bins(reliable)
        made.append(
            {
                "row": row,
                "curves": [charts.curve(one) for one in curves],
                "point": None if point is None else charts.at(*point),
                "described": _described(point, threshold),
                "bins": bins,
                "line": charts.line(bins),
                "error": reliable.error,
            }
        )
    return made


def _described(point: tuple[float, float] | None, threshold: float | None) -> str:
    if point is None:
        return "said of no image"
    where = "where it is decided" if threshold is None else f"at the threshold {threshold_text(threshold)}"
    return f"{where}: recall {point[0]:.3f}, precision {point[1]:.3f}"


def _overall(decisions: Decisions) -> dict[str, Any]:
    """Return the reliability of all decisions taken together."""
    found: Calibration = calibration(decisions.true[decisions.known], decisions.scores[decisions.known])
    bins = charts.bins(found)
    return {"bins": bins, "line": charts.line(bins), "error": found.error, "counts": found.counts.tolist()}


def _heat_map(decisions: Decisions) -> dict[str, Any] | None:
    """Return the confusions of the labels with most of them; None where there are none."""
    counts = confusion_counts(decisions)
    if not counts.any():
        return None
    missed = decisions.missed.sum(axis=0)
    rows = [row for row in (-counts.sum(axis=1)).argsort(kind="stable").tolist() if counts[row].any()][:_CELLS]
    columns = [one for one in (-counts.sum(axis=0)).argsort(kind="stable").tolist() if counts[:, one].any()][:_CELLS]
    return {
        "columns": columns,
        "rows": [
            {
                "label": row,
                "missed": int(missed[row]),
                "cells": [
                    {
                        "label": column,
                        "count": int(counts[row, column]),
                        "share": float(counts[row, column] / missed[row]),
                        "is_itself": row == column,
                    }
                    for column in columns
                ],
            }
            for row in rows
        ],
        "all_rows": int(counts.any(axis=1).sum()),
        "all_columns": int(counts.any(axis=0).sum()),
    }
