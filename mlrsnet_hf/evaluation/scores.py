"""Predictions of a split to metrics, tuned thresholds and the per-label table; NumPy alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import Defined, Name
from mlrsnet_hf.configuration.settings import CountOrZero
from mlrsnet_hf.metrics import (
    METRICS,
    best_thresholds,
    calibration_error,
    classification_report,
    mean_average_precision,
    metric_title,
    metrics_of,
    training_values,
)
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD

if TYPE_CHECKING:  # it brings `datasets`
    from mlrsnet_hf.inputs.task import Task

Scores = npt.NDArray[np.float64]
Metrics = Mapping[Name, Defined]
"""Values by name, as fractions; NaN where one is not defined."""

FURTHER_METRICS = tuple(name for name, metric in metrics_of("classification").items() if not metric.in_training)
"""Metrics of labels that training does without."""
FEW_IMAGES = 20
"""Of fewer, reports warn of the threshold that they chose."""

SCENE_ACCURACY = "scene_accuracy"
"""Name of the share of images whose highest scene score is the right one; higher is better."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """The model's answer to a split, one row per image in the split's order."""

    targets: npt.NDArray[np.float32]
    """(N, L), 0 or 1, NaN where it is not known; L is 0 where no labels are learned."""
    logits: npt.NDArray[np.floating]
    """(N, L)."""
    scenes: npt.NDArray[np.int64] | None = None
    """(N,) scene ids; None where no scene is learned."""
    scene_logits: npt.NDArray[np.floating] | None = None
    """(N, number of scenes)."""

    @property
    def scores(self) -> Scores:
        """(N, L) sigmoid of the logits."""
        with np.errstate(over="ignore"):  # exp gives infinity far out, and the sigmoid 0 as it should
            return 1.0 / (1.0 + np.exp(-self.logits.astype(np.float64)))

    @property
    def counted(self) -> tuple[npt.NDArray[np.float32], Scores]:
        """Targets and scores of labels as metrics take them, in which those that are not known count nothing.

        They are negatives that score lower than all that is known of their label, and below every threshold: no
        precision, recall, ranking or threshold sees them. Images of which nothing is known are left out.
        """
        unknown = np.isnan(self.targets)
        if not unknown.any():
            return self.targets, self.scores
        some = ~unknown.all(axis=1)
        if not some.any():  # a mean over no image is not defined; metrics want one
            return np.zeros_like(self.targets[:1]), np.full_like(self.scores[:1], -1.0)
        targets, scores, unknown = self.targets[some], self.scores[some], unknown[some]
        lowest = np.where(unknown, 1.0, scores).min(axis=0)
        return np.where(unknown, 0, targets), np.where(unknown, lowest - 1.0, scores)

    @property
    def scene_scores(self) -> Scores:
        """(N, number of scenes) softmax of the scenes' logits."""
        assert self.scene_logits is not None, "the task learns scenes"
        exponents = np.exp(self.scene_logits.astype(np.float64) - self.scene_logits.max(axis=1, keepdims=True))
        return exponents / exponents.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """A row of the per-label table."""

    label: Name
    """Name of the label; of the scene where scenes alone are learned."""
    images: CountOrZero
    """Images of the split that have the label."""
    average_precision: Defined
    """NaN for a label that does not occur."""
    f1: Defined
    """F1 at the threshold; for a scene, of the highest score. NaN for a label that does not occur."""
    threshold: float | None
    """Scores above it predict the label; None for a scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScores:
    """Metrics of a model on the splits that are held out."""

    validation: Metrics
    test: Metrics | None
    """None for data without a test split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedScores:
    """The same at thresholds that were chosen on the validation split."""

    thresholds: Mapping[Name, float]
    """Thresholds by label."""
    untuned: tuple[Name, ...]
    """Labels that keep 0.5, because no image of the validation split has them."""
    validation: Metrics
    test: Metrics | None
    few: Mapping[Name, CountOrZero] = field(default_factory=dict)
    """Labels tuned on fewer than `FEW_IMAGES`: images of the validation split with the label, or without it, whichever
    are fewer. A threshold that so few chose, such as one of nearly 0, says little of other images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is said of a model's scores."""

    scores: SplitScores
    """Labels at the threshold 0.5."""
    tuned: TunedScores | None
    """Labels at their own thresholds; None unless thresholds were tuned."""
    labels: tuple[LabelScore, ...]
    """The per-label table of the test split, or of validation where there is none; at the tuned thresholds, if any."""


def evaluate(
    predictions: Predictions, task: "Task", thresholds: Scores | None = None, every: bool = False
) -> dict[str, float]:
    """Return the metrics of a task by name, as fractions; NaN where one is not defined.

    Of labels every metric that the registry wants evaluated in training, or has at all; of scenes the share of images
    whose highest score is the right one, and where scenes alone are learned the macro-F1 over those that occur.

    Args:
        predictions: Of a split.
        task: What the model learns.
        thresholds: (L,) one for each label, as `tune_thresholds` gives them; by default the paper's 0.5 for all.
        every: Whether the metrics are given that training does without.
    """
    values: dict[str, float] = {}
    if task.label_outputs:
        threshold = PAPER_THRESHOLD if thresholds is None else thresholds
        values |= training_values(*predictions.counted, threshold)
        if every:
            values |= _further_values(predictions, threshold)
    if task.scene_outputs:
        report = classification_report(*scene_decisions(predictions))
        values[SCENE_ACCURACY] = float(report.subset_accuracy)
        if task.kind == "scene":
            values["macro_f1"] = float(report.macro_f1_of_occurring)
    return values


def _further_values(predictions: Predictions, threshold: float | Scores) -> dict[str, float]:
    """Return the metrics of labels that training does without; a label that is not known is no decision."""
    report = classification_report(*predictions.counted, threshold=threshold)
    known = ~np.isnan(predictions.targets)
    true, scores = predictions.targets[known][:, None], predictions.scores[known][:, None]
    decided = (predictions.scores > threshold)[known][:, None]
    if not known.any():
        return dict.fromkeys(FURTHER_METRICS, math.nan)
    return {
        "sample_precision": float(report.sample_precision),
        "sample_recall": float(report.sample_recall),
        "subset_accuracy": float(report.subset_accuracy),
        "hamming_loss": float(classification_report(true, decided).hamming_loss),
        "calibration_error": float(calibration_error(true, scores)),
    }


def tune_thresholds(validation: Predictions) -> Scores:
    """Return the threshold of each label that gives its highest F1 on the validation split.

    A label without an image there keeps 0.5. The scores on the validation split at these thresholds are optimistic,
    because they were chosen on it; those on the test split are not.

    Args:
        validation: Predictions of the split, with labels.

    Returns:
        (L,) float64; scores above it predict the label. In [0, 1], but below 0 where a score of 0 is to predict it.
    """
    thresholds = best_thresholds(*validation.counted, default=PAPER_THRESHOLD)
    # One below 0 says no more than 0, every image has the label, unless a score is 0.
    return np.where(validation.scores.min(axis=0) > 0, np.maximum(thresholds, 0.0), thresholds)


def few_images(validation: Predictions, task: "Task") -> dict[str, int]:
    """Return the labels whose thresholds few images choose, see `TunedScores.few`.

    Args:
        validation: Predictions of the split that thresholds are tuned on.
        task: What the model learns.
    """
    there, absent = ((validation.targets == value).sum(axis=0).tolist() for value in (1, 0))
    counts = {name: (some, others) for name, some, others in zip(task.label_names, there, absent, strict=True)}
    return {name: min(both) for name, both in counts.items() if both[0] and min(both) < FEW_IMAGES}


def threshold_text(threshold: float | None) -> str:
    """Return a threshold as tables show it, to three digits; nothing for a scene, which has none.

    Examples:
        >>> threshold_text(0.5), threshold_text(0.00012), threshold_text(0.9999), threshold_text(-0.1)
        ('0.500', '< 0.001', '> 0.999', '< 0')
    """
    if threshold is None:
        return ""
    if threshold < 0:
        return "< 0"
    if 0 < threshold < 0.001:
        return "< 0.001"
    return "> 0.999" if 0.999 < threshold < 1 else f"{threshold:.3f}"


def evaluate_splits(predictions: Mapping[str, Predictions], task: "Task", tune: bool = False) -> Evaluation:
    """Return all that is said of a model's scores on the held-out splits.

    Args:
        predictions: Of `validation` and, if there is one, `test`.
        task: What the model learns.
        tune: Also choose each label's threshold on the validation split; for a scene alone there is none.
    """
    validation, test = predictions["validation"], predictions.get("test")
    thresholds = tune_thresholds(validation) if tune and task.label_outputs else None

    def evaluate_both(thresholds: Scores | None) -> dict[str, Any]:
        return {
            "validation": evaluate(validation, task, thresholds),
            "test": None if test is None else evaluate(test, task, thresholds),
        }

    tuned = None
    if thresholds is not None:
        images = validation.counted[0].sum(axis=0).tolist()
        tuned = TunedScores(
            **evaluate_both(thresholds),
            thresholds=dict(zip(task.label_names, thresholds.tolist(), strict=True)),
            untuned=tuple(name for name, count in zip(task.label_names, images, strict=True) if not count),
            few=few_images(validation, task),
        )
    return Evaluation(
        scores=SplitScores(**evaluate_both(None)),
        tuned=tuned,
        labels=label_scores(test or validation, task, thresholds),
    )


def label_scores(predictions: Predictions, task: "Task", thresholds: Scores | None = None) -> tuple[LabelScore, ...]:
    """Return the per-label table, arguments as in `evaluate`; where scenes alone are learned, that of the scenes."""
    if task.label_outputs:
        names = task.label_names
        used = np.full(len(names), PAPER_THRESHOLD) if thresholds is None else thresholds
        shown: list[float | None] = used.tolist()
        targets: npt.NDArray[Any]
        targets, scores = predictions.counted
        report = classification_report(targets, scores, threshold=used)
    else:
        names, scores = task.scene_names, predictions.scene_scores
        shown = [None] * len(names)
        targets, predicted = scene_decisions(predictions)
        report = classification_report(targets, predicted)
    precisions = mean_average_precision(targets, scores).values
    columns = zip(names, report.images_per_label, precisions, report.macro_f1_of_occurring.values, shown, strict=True)
    return tuple(
        LabelScore(label=name, images=int(images), average_precision=float(ap), f1=float(f1), threshold=threshold)
        for name, images, ap, f1, threshold in columns
    )


def scene_decisions(predictions: Predictions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return true and predicted scenes as (N, number of scenes) arrays with a single 1 in each row."""
    assert predictions.scenes is not None, "the task learns scenes"
    assert predictions.scene_logits is not None, "the task learns scenes"
    one_hot = np.eye(predictions.scene_logits.shape[1], dtype=np.int64)
    return one_hot[predictions.scenes], one_hot[predictions.scene_logits.argmax(axis=1)]


def metric_text(name: str, value: float) -> str:
    """Return a metric and its value as a report gives them.

    Examples:
        >>> metric_text("map", 0.97154), metric_text("map", float("nan"))
        ('mAP 0.9715', 'mAP not defined')
    """
    return f"{metric_title(name)} {'not defined' if math.isnan(value) else f'{value:.4f}'}"


def is_better(name: str, value: float, best: float) -> bool:
    """Tell whether a metric's value is better than the best so far; any value is better than one that is not defined.

    Examples:
        >>> is_better("map", 0.5, float("nan")), is_better("map", 0.5, 0.5), is_better("map", float("nan"), 0.5)
        (True, False, False)
    """
    if math.isnan(best):
        return not math.isnan(value)
    higher_is_better = name == SCENE_ACCURACY or METRICS[name].higher_is_better
    return value > best if higher_is_better else value < best
