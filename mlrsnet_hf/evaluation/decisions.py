"""What a model decided, beside the truth: curves, calibration, confusions, and the images it got wrong; NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.evaluation.scores import Predictions, Scores, scene_decisions
from mlrsnet_hf.metrics.classification import calibration_bins

if TYPE_CHECKING:  # it brings `datasets`
    from mlrsnet_hf.inputs.task import Task

Matrix = npt.NDArray[np.bool_]
ErrorKind = Literal["wrong", "missed"]
"""A label that the model says and the image does not have, or one that the image has and the model does not say."""

BINS = 10
"""Bins of a reliability diagram."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """A model's decisions on every image and label; of scenes, the one of the highest score is decided."""

    names: tuple[str, ...]
    """(L,) what can be decided: labels or scenes."""
    true: Matrix
    """(N, L) whether an image has a label; False where it is not known."""
    known: Matrix
    """(N, L) whether it is known."""
    scores: Scores
    """(N, L) from 0 to 1."""
    said: Matrix
    """(N, L) whether the model says so; False where the truth is not known."""

    @classmethod
    def of_labels(cls, predictions: Predictions, task: "Task", thresholds: Scores) -> "Decisions":
        """Return the decisions on labels; a score above the label's threshold decides for it.

        Args:
            predictions: Of a split.
            task: What the outputs stand for.
            thresholds: (L,).
        """
        known = ~np.isnan(predictions.targets)
        scores = predictions.scores
        return cls(task.label_names, predictions.targets > 0, known, scores, known & (scores > thresholds))

    @classmethod
    def of_scenes(cls, predictions: Predictions, task: "Task") -> "Decisions":
        """Return the decisions on scenes, one for each image."""
        true, said = (scenes.astype(bool) for scenes in scene_decisions(predictions))
        return cls(task.scene_names, true, np.ones_like(true), predictions.scene_scores, said)

    @property
    def wrong(self) -> Matrix:
        """(N, L) whether a label is said of an image that does not have it."""
        return self.said & ~self.true

    @property
    def missed(self) -> Matrix:
        """(N, L) whether a label is not said of an image that has it."""
        return self.true & ~self.said

    @property
    def occurring(self) -> list[int]:
        """Labels that some image has."""
        return np.flatnonzero(self.true.any(axis=0)).tolist()


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """A label's precision and recall at every score that decides otherwise than the next, from the highest down."""

    precision: Scores
    """(K,) share of the images above or at a score that have the label."""
    recall: Scores
    """(K,) share of the images with the label that are above or at a score; ascending, ends at 1."""
    scores: Scores
    """(K,) the scores, descending."""


def precision_recall(true: Matrix, scores: Scores) -> PrecisionRecall:
    """Return the curve of one label: scikit-learn's `precision_recall_curve` backwards, without its point at recall 0.

    Args:
        true: (N,), some True.
        scores: (N,).

    Examples:
        >>> curve = precision_recall(np.array([True, False, True]), np.array([0.9, 0.8, 0.8]))
        >>> curve.recall.tolist(), curve.precision.round(3).tolist()
        ([0.5, 1.0], [1.0, 0.667])
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(true[order])[last]
    end = np.searchsorted(hits, hits[-1]) + 1  # what follows has found all, and is only less precise
    return PrecisionRecall(hits[:end] / (last[:end] + 1), hits[:end] / hits[-1], ranked[last[:end]])


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability diagram: scores in bins of equal width, closed on the right."""

    counts: npt.NDArray[np.int64]
    """(B,) images in each bin."""
    mean_scores: Scores
    """(B,) mean score; NaN in an empty bin."""
    shares: Scores
    """(B,) share of the images that have the label; NaN in an empty bin."""

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): the mean gap, weighed by the counts; NaN of no image."""
        gaps = np.nan_to_num(np.abs(self.mean_scores - self.shares))
        return float(self.counts @ gaps / self.counts.sum()) if self.counts.sum() else float("nan")


def calibration(true: Matrix, scores: Scores, bins: int = BINS) -> Calibration:
    """Return the reliability of one label's scores, or of many decisions taken together.

    Args:
        true: (N,).
        scores: (N,) from 0 to 1.
        bins: How many.

    Examples:
        >>> found = calibration(np.array([True, False]), np.array([0.75, 0.75]), bins=2)
        >>> found.counts.tolist(), found.error
        ([0, 2], 0.25)
    """
    places = calibration_bins(scores, bins)
    counts = np.bincount(places, minlength=bins)

    def mean(values: npt.NDArray[np.floating]) -> Scores:
        sums = np.bincount(places, weights=values, minlength=bins)
        return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)

    return Calibration(counts, mean(scores), mean(true.astype(np.float64)))


@dataclass(frozen=True, slots=True)
class Confusion:
    """A label that was missed, and one that was wrongly said of the same images."""

    missed: int
    said: int
    """Ids of the labels."""
    images: int
    """Images with both errors."""
    share: float
    """Of the images that miss the first, those where the second was wrongly said."""
    expected: float
    """Images with both errors if they had nothing to do with each other."""


def confusion_counts(decisions: Decisions) -> npt.NDArray[np.int64]:
    """Return (L, L): images where the label of the row was missed and that of the column wrongly said.

    An image with several errors counts in several cells: which label stands for which, nobody says.
    """
    # float32 multiplies fast, and holds counts exactly up to 16 million.
    return (decisions.missed.astype(np.float32).T @ decisions.wrong.astype(np.float32)).astype(np.int64)


def ranked_confusions(decisions: Decisions) -> list[Confusion]:
    """Return the pairs of labels that were confused, those of most images first, then those least expected."""
    counts = confusion_counts(decisions)
    missed, wrong = decisions.missed.sum(axis=0), decisions.wrong.sum(axis=0)
    images = max(1, len(decisions.true))
    found = [
        Confusion(
            int(row),
            int(column),
            int(counts[row, column]),
            float(counts[row, column] / missed[row]),
            float(missed[row] * wrong[column] / images),
        )
        for row, column in np.argwhere(counts)
    ]
    return sorted(found, key=lambda one: (-one.images, one.expected, one.missed, one.said))


@dataclass(frozen=True, slots=True)
class LabelError:
    """An error of one label on one image."""

    image: int
    """Row of the image."""
    label: int
    kind: ErrorKind
    score: float
    rank: int
    """From 0, among the errors of this kind and label, the most confident wrong or most surely missed one first."""


def hardest_images(decisions: Decisions, label: int, kind: ErrorKind, most: int) -> list[LabelError]:
    """Return a label's worst errors: wrong ones of the highest score, missed ones of the lowest; ties in row order.

    Args:
        decisions: On the images of a split.
        label: Its id.
        kind: Of the errors.
        most: How many at most.
    """
    images = np.flatnonzero((decisions.wrong if kind == "wrong" else decisions.missed)[:, label])
    scores = decisions.scores[images, label]
    order = np.argsort(-scores if kind == "wrong" else scores, kind="stable")[:most]
    return [LabelError(int(images[place]), label, kind, float(scores[place]), rank) for rank, place in enumerate(order)]


def worst_errors(decisions: Decisions, per_label: int, images: int) -> list[LabelError]:
    """Return the worst errors of every label and kind, of at most so many images.

    Where the images do not suffice, all labels get their first ones before any gets its next.

    Args:
        decisions: On the images of a split.
        per_label: Errors of a label and kind at most.
        images: Different images at most.
    """
    kinds: Sequence[ErrorKind] = ("wrong", "missed")
    found = [
        one
        for label in range(len(decisions.names))
        for kind in kinds
        for one in hardest_images(decisions, label, kind, per_label)
    ]
    kept: list[LabelError] = []
    taken: set[int] = set()
    for one in sorted(found, key=lambda one: one.rank):  # stable: by label, then kind
        if one.image in taken or len(taken) < images:
            taken.add(one.image)
            kept.append(one)
    return kept


def confused_images(decisions: Decisions, pair: Confusion, most: int) -> list[int]:
    """Return images of a confusion, those where the wrong label has the highest score first.

    Args:
        decisions: On the images of a split.
        pair: Of `ranked_confusions`.
        most: How many at most.
    """
    images = np.flatnonzero(decisions.missed[:, pair.missed] & decisions.wrong[:, pair.said])
    order = np.argsort(-decisions.scores[images, pair.said], kind="stable")
    return images[order][:most].tolist()
