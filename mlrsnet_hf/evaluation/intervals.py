"""How sure scores are: bootstrap intervals of every score over the images of a split, all draws at once.

A draw takes as many images as the split has, with replacement, so each image counts 0, 1, 2, ... times. The decisions
and the ranking of the images are the same in every draw; only these counts differ. So each label is sorted once, and a
draw's average precision is that of the one ranking with the counts as weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import Defined, Name
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.evaluation.scores import FURTHER_METRICS, SCENE_ACCURACY, Predictions, Scores, scene_decisions
from mlrsnet_hf.metrics.classification import CALIBRATION_BINS, calibration_bins
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD
from mlrsnet_hf.metrics.sorting import descending_keys, radix_argsort

if TYPE_CHECKING:  # it brings `datasets`
    from mlrsnet_hf.inputs.task import Task

DRAWS = 1000
SEED = 0
CONFIDENCE = 0.95
_AT_ONCE = 50
"""Draws whose weights are in memory together."""

Values = npt.NDArray[np.float64]
Decisions = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Ends of an interval; NaN where the score is defined in no draw."""

    low: Defined
    high: Defined

    @property
    def are_defined(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def text(self) -> str:
        """The interval as a report gives it."""
        return f"{self.low:.4f} to {self.high:.4f}"


Intervals = Mapping[Name, Bounds]
"""Interval of each score by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitIntervals:
    """Intervals of the scores of a split."""

    scores: Intervals
    """Labels at the threshold 0.5."""
    tuned: Intervals | None
    """Labels at their own thresholds, which are the same in every draw; None unless thresholds were tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreIntervals:
    """Percentile bootstrap intervals (Efron 1979) over the images of each split.

    The draws depend on the seed and the number of images alone: two models on one split are drawn alike, image by
    image. A label that does not occur in a draw is left out of that draw's means over labels. The model is the same in
    all draws, so the intervals say nothing of how training varies from seed to seed. Those of average precision lie a
    little high, for an image that is drawn twice stands twice at its rank: with 395 images and 17 labels at an mAP of
    0.647, their middle is 0.652.
    """

    draws: Count
    seed: CountOrZero
    confidence: float
    """Share of the draws that an interval covers."""
    validation: SplitIntervals
    test: SplitIntervals | None

    @property
    def text(self) -> str:
        """What the intervals are, for reports."""
        return (
            f"the middle {self.confidence:.0%} of {self.draws:,} bootstrap draws of the images (seed {self.seed}); "
            "what does not occur in a draw counts in no mean of that draw"
        )


def bootstrap_scores(
    predictions: Mapping[str, Predictions], task: "Task", thresholds: Scores | None = None, draws: int = DRAWS
) -> ScoreIntervals:
    """Return an interval for each score that `evaluate` gives, on each split.

    Args:
        predictions: Of `validation` and, if there is one, `test`.
        task: What the model learns.
        thresholds: (L,) tuned ones, if any.
        draws: How many draws of the images.
    """
    found = {name: _of_split(split, task, thresholds, draws) for name, split in predictions.items()}
    return ScoreIntervals(
        draws=draws, seed=SEED, confidence=CONFIDENCE, validation=found["validation"], test=found.get("test")
    )


def _of_split(predictions: Predictions, task: "Task", thresholds: Scores | None, draws: int) -> SplitIntervals:
    drawn = draw_scores(predictions, task, thresholds, draws)
    plain, tuned = (
        None if values is None else {name: interval(part) for name, part in values.items()}
        for values in (drawn.scores, drawn.tuned)
    )
    assert plain is not None, "only tuned scores may be missing"
    return SplitIntervals(scores=plain, tuned=tuned)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnScores:
    """The scores of a split in each of D draws of its images; NaN where one is not defined."""

    scores: Mapping[str, Values]
    """(D,) values by name, of labels at the threshold 0.5."""
    tuned: Mapping[str, Values] | None
    """The same at thresholds that were given; None unless they were."""
    average_precision: Values
    """(D, L) of each label, or of each scene where scenes alone are learned."""
    f1: Values
    """(D, L) likewise, at the thresholds that were given, else at 0.5; of a scene, of the highest score."""


def draw_scores(
    predictions: Predictions,
    task: "Task",
    thresholds: Scores | None = None,
    draws: int = DRAWS,
    every: bool = False,
    groups: npt.ArrayLike | None = None,
) -> DrawnScores:
    """Return what `evaluate` and `label_scores` give, in each of many draws of the images, or of groups of them.

    Which images are drawn depends on their number and groups alone: two models on the same images are drawn alike.

    Args:
        predictions: Of a split.
        task: What the model learns.
        thresholds: (L,) tuned ones, if any.
        draws: How many draws of the images.
        every: Whether the metrics are given that training does without.
        groups: (N,) the number of each image's group, such as that of its near-duplicates: a draw takes as many whole
            groups as there are, with replacement. Without it each image is drawn for itself.
    """
    images = len(predictions.targets)
    units: np.ndarray = np.unique(np.arange(images) if groups is None else np.asarray(groups), return_inverse=True)[1]
    assert len(units) == images, "each image has a group"
    drawn_units = int(units.max(initial=-1)) + 1
    draw = np.random.default_rng(SEED)
    measure = _Measure(predictions, task, thresholds, every)
    parts = []
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        parts.append(measure.values(np.stack([_counts(draw, drawn_units) for _ in range(size)])[:, units]))

    def joined(of_parts: Sequence[Mapping[str, Values] | None]) -> dict[str, Values] | None:
        present = [part for part in of_parts if part is not None]
        return {name: np.concatenate([part[name] for part in present]) for name in present[0]} if present else None

    return DrawnScores(
        scores=joined([part.scores for part in parts]) or {},
        tuned=joined([part.tuned for part in parts]),
        average_precision=np.concatenate([part.average_precision for part in parts]),
        f1=np.concatenate([part.f1 for part in parts]),
    )


def _counts(draw: np.random.Generator, number: int) -> npt.NDArray[np.float32]:
    """Return (N,) how often each of N is drawn; float32 holds counts and their sums exactly up to 16 million."""
    return np.bincount(draw.integers(number, size=number), minlength=number).astype(np.float32)


def interval(values: Values) -> Bounds:
    """Return the middle `CONFIDENCE` of (D,) values that are defined."""
    values = values[~np.isnan(values)]
    if not len(values):
        return Bounds(low=float("nan"), high=float("nan"))
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Bounds(low=float(low), high=float(high))


class _Measure:
    """The scores of a split, prepared once for draws of any weights."""

    def __init__(self, predictions: Predictions, task: "Task", thresholds: Scores | None, every: bool) -> None:
        self.task = task
        self.every = every
        if task.label_outputs:
            self.known = ~np.isnan(predictions.targets).all(axis=1)
            true, scores = predictions.counted
            self.true = true > 0
            self.plain = scores > PAPER_THRESHOLD
            self.tuned = None if thresholds is None else scores > thresholds
            self.occurring = np.flatnonzero(self.true.any(axis=0))
            self.rankings = rankings(self.true, scores)
            if every and self.known.any():
                self.decided = ~np.isnan(predictions.targets[self.known])
                self.gaps = _calibration_gaps(self.true, np.where(self.decided, scores, 0.0), self.decided)
        if task.scene_outputs:
            scenes, predicted = scene_decisions(predictions)
            self.scenes, self.predicted_scenes = scenes > 0, predicted > 0
            if task.kind == "scene":
                self.occurring = np.flatnonzero(self.scenes.any(axis=0))
                self.rankings = rankings(self.scenes, predictions.scene_scores)

    def values(self, weights: npt.NDArray[np.float32]) -> DrawnScores:
        """Return the scores for (D, N) weights."""
        scene: dict[str, Values] = {}
        if self.task.scene_outputs:
            right = (self.scenes & self.predicted_scenes).any(axis=1)
            scene[SCENE_ACCURACY] = _ratio(weights @ right.astype(np.float32), weights.sum(axis=1))
            if self.task.kind == "scene":
                f1 = _label_f1(self.scenes, self.predicted_scenes, weights)
                scene["macro_f1"] = _mean_of_defined(f1)
                precisions = self._average_precisions(self.scenes.shape[1], weights)
                return DrawnScores(scores=scene, tuned=None, average_precision=precisions, f1=f1)
        # Where nothing is known, the one image of `Predictions.counted` stands for none.
        weights = weights[:, self.known] if self.known.any() else np.zeros((len(weights), 1), np.float32)
        precisions = self._average_precisions(self.true.shape[1], weights)
        common = {"map": _mean_of_defined(precisions)} | scene
        plain, f1 = self._decided(self.plain, weights)
        tuned = None
        if self.tuned is not None:
            tuned, f1 = self._decided(self.tuned, weights)
            tuned |= common
        return DrawnScores(scores=plain | common, tuned=tuned, average_precision=precisions, f1=f1)

    def _decided(self, decided: Decisions, weights: npt.NDArray[np.float32]) -> tuple[dict[str, Values], Values]:
        """Return the scores of decisions on labels, those that are wanted, and the (D, L) F1 of each label."""
        f1 = _label_f1(self.true, decided, weights)
        found = _of_decisions(self.true, decided, f1, weights)
        if self.every:
            return found | self._further(decided, weights), f1
        return {name: values for name, values in found.items() if name not in FURTHER_METRICS}, f1

    def _further(self, decided: Decisions, weights: npt.NDArray[np.float32]) -> dict[str, Values]:
        """Return the metrics that training does without, but for those of `_of_decisions`."""
        if not self.known.any():
            return {name: np.full(len(weights), np.nan) for name in FURTHER_METRICS}
        wrong = (self.true != decided) & self.decided
        wide, images = weights.astype(np.float64), weights.sum(axis=1, dtype=np.float64)
        decisions = wide @ np.count_nonzero(self.decided, axis=1)
        return {
            "subset_accuracy": _ratio(wide @ ~wrong.any(axis=1), images),
            "hamming_loss": _ratio(wide @ np.count_nonzero(wrong, axis=1), decisions),
            "calibration_error": _ratio(np.abs(wide @ self.gaps).sum(axis=1), decisions),
        }

    def _average_precisions(self, labels: int, weights: npt.NDArray[np.float32]) -> Values:
        """Return the (D, labels) average precision of each label in each draw; NaN where it does not occur."""
        values = np.full((len(weights), labels), np.nan)
        values[:, self.occurring] = _average_precisions(self.rankings, weights)
        return values


def _calibration_gaps(true: Decisions, scores: Scores, decided: Decisions) -> Values:
    """Return for each image and bin of `calibration_error` what the scores in the bin say too much, (N, bins)."""
    gaps = np.zeros((len(true), CALIBRATION_BINS))
    bins = calibration_bins(scores, CALIBRATION_BINS)
    for label in range(true.shape[1]):
        rows = np.flatnonzero(decided[:, label])
        gaps[rows, bins[rows, label]] += scores[rows, label] - true[rows, label]
    return gaps


@dataclass(frozen=True, slots=True)
class Ranking:
    """A label's ranking of the images, made once for any weights of the images."""

    order: npt.NDArray[np.intp]
    """(N,) images, the highest score first."""
    positives: npt.NDArray[np.intp]
    """(P,) ranks of those with the label, from 0."""
    ends: npt.NDArray[np.intp]
    """(P,) the last rank with the score of each of these."""
    hits: npt.NDArray[np.intp]
    """(P,) the last of the positives with that score, as a position in `positives`."""

    @classmethod
    def of(cls, true: Decisions, keys: npt.NDArray[np.unsignedinteger]) -> "Ranking":
        """Rank (N,) images, some with the label, by `descending_keys` of their scores."""
        order = radix_argsort(keys)
        ranked = keys[order]
        positives = np.flatnonzero(true[order])
        blocks = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        ends = blocks[np.searchsorted(blocks, positives)]
        return cls(order, positives, ends, np.searchsorted(positives, ends, side="right") - 1)

    def average_precisions(self, weights: npt.NDArray[np.uint16]) -> Values:
        """Return the (D,) average precision for each row of (D, N) weights; NaN where all positives weigh 0."""
        values = np.empty(len(weights))
        for number, row in enumerate(weights):  # a row stays in the processor's cache
            ranked = row.take(self.order)
            taken = np.cumsum(ranked, dtype=np.int32)[self.ends]
            own = ranked[self.positives]
            hits = np.cumsum(own, dtype=np.int32)
            total = hits[-1]
            # Where no weight is taken yet, the positive itself weighs nothing.
            precision = hits[self.hits] / np.maximum(taken, 1)
            values[number] = own @ precision / total if total else np.nan
        return values


def rankings(true: Decisions, scores: Scores) -> list[Ranking]:
    """Return the rankings of the labels that occur.

    Args:
        true: (N, L), whether an image has a label.
        scores: (N, L).
    """
    keys = descending_keys(scores.T)
    return [Ranking.of(own, key) for own, key in zip(true.T, keys, strict=True) if own.any()]


def weighted_map(rankings: Sequence[Ranking], weights: npt.NDArray[np.number]) -> Values:
    """Return the (D,) mean average precision over the labels that occur in each draw; NaN where none does.

    Args:
        rankings: Of the labels.
        weights: (D, N), how often each draw has each image, below 65,536.
    """
    return _mean_of_defined(_average_precisions(rankings, weights))


def _average_precisions(rankings: Sequence[Ranking], weights: npt.NDArray[np.number]) -> Values:
    """Return the (D, L) average precision of each label in each draw; arguments as in `weighted_map`."""
    counts = weights.astype(np.uint16)
    values = np.empty((len(weights), len(rankings)))
    for label, ranking in enumerate(rankings):
        values[:, label] = ranking.average_precisions(counts)
    return values


def _of_decisions(
    true: Decisions, decided: Decisions, f1: Values, weights: npt.NDArray[np.float32]
) -> dict[str, Values]:
    """Return the scores of decisions on labels, with (D, L) `_label_f1`, as `training_values` defines them."""
    # Counts of each image.
    hits, predicted, actual = (
        np.count_nonzero(matrix, axis=1).astype(np.float64) for matrix in (true & decided, decided, true)
    )
    images = weights.sum(axis=1, dtype=np.float64)
    wide = weights.astype(np.float64)

    def mean(values: Values) -> Values:
        return _ratio(wide @ values, images)

    precision, recall = mean(_zero_ratio(hits, predicted)), mean(_zero_ratio(hits, actual))
    all_hits, all_predicted, all_actual = wide @ hits, wide @ predicted, wide @ actual
    undefined = np.where(images > 0, 0.0, np.nan)
    return {
        "sample_precision": precision,
        "sample_recall": recall,
        "sample_f1": mean(_zero_ratio(2 * hits, predicted + actual)),
        "f1_of_means": _zero_ratio(2 * precision * recall, precision + recall) + undefined,
        "micro_f1": _zero_ratio(2 * all_hits, all_predicted + all_actual) + undefined,
        "macro_f1": _mean_of_defined(f1),
    }


def _label_f1(true: Decisions, decided: Decisions, weights: npt.NDArray[np.float32]) -> Values:
    """Return the (D, L) F1 of each label; NaN where it does not occur in a draw."""
    hits, predicted, actual = (
        (weights @ matrix.astype(np.float32)).astype(np.float64) for matrix in (true & decided, decided, true)
    )
    f1 = _zero_ratio(2 * hits, predicted + actual)
    return np.where(actual > 0, f1, np.nan)


def _mean_of_defined(values: Values) -> Values:
    """Return the mean of each row over what is not NaN; NaN where all is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1))


def _ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _zero_ratio(part: npt.NDArray[np.floating], whole: npt.NDArray[np.floating]) -> Values:
    """Divide as scikit-learn does by default: what is divided by 0 is 0."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
