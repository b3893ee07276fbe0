"""Multi-label classification by decisions: F1 in its readings, subset accuracy, Hamming loss, thresholds, calibration.

Targets are (N, L) arrays of 0 and 1, a row per image and a column per label. Predictions are 0 and 1 too, or finite
scores together with `threshold=`, one number or (L,), one per label: a score above it predicts the label. All values
lie in [0, 1].

An image without labels and without predictions has neither precision, recall nor F1; one without predictions has no
precision, one without labels no recall. `zero_division` says what stands for an undefined ratio: 0, 1, or "skip", which
leaves the image out of that mean and counts it in `.undefined`. F1 = 2 TP / (2 TP + FP + FN) is undefined only where
there are neither labels nor predictions: an image with only one of the two has F1 = 0 under every policy.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import (
    binary_matrix,
    refuse_where,
    require_choice,
    require_same_shape,
    score_matrix,
    targets_and_scores,
    to_array,
    whole_number,
)
from mlrsnet_hf.metrics.means import Mean

ZeroDivision = Literal[0, 1, "skip"] | float
Threshold = float | npt.ArrayLike
Counts = npt.NDArray[np.int64]

CALIBRATION_BINS = 15
"""Bins of the calibration error, unless others are asked for."""


def sample_f1(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    zero_division: ZeroDivision = 0,
) -> Mean:
    """Mean over images of the F1 between predicted and true labels; higher is better.

    F1(i) = 2 |P(i) & T(i)| / (|P(i)| + |T(i)|). The usual reading of Qi et al. (2020), section 3.2 and Table 7, and
    scikit-learn's `f1_score(average="samples")`; for the other reading see `f1_of_means`.

    Args:
        targets: (N, L) true labels, 0 or 1.
        predictions: (N, L) predicted labels, 0 or 1; any finite scores if `threshold` is given.
        threshold: Scores above it predict the label; the paper uses 0.5 on sigmoid outputs. (L,) for one per label.
        zero_division: 0, 1 or "skip" for an image with neither labels nor predictions.

    Returns:
        The mean, with the value of each image in `.values`.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        The first image shares one of two predicted and one of one true labels, F1 = 2 / 3; the second matches, F1 = 1:

        >>> round(sample_f1([[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 1]]), 4)
        0.8333

        With a threshold per label, as `best_thresholds` finds them:

        >>> sample_f1([[1, 0], [0, 1]], [[0.3, 0.6], [0.1, 0.9]], threshold=[0.2, 0.75])
        1.0
    """
    return Mean(_f1(*_counts(*_decisions(targets, predictions, threshold)), zero_division))


def sample_precision(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    zero_division: ZeroDivision = 0,
) -> Mean:
    """Mean over images of the share of predicted labels that are true; higher is better.

    P(i) = |P(i) & T(i)| / |P(i)|, undefined for an image without predictions. Qi et al. (2020), section 3.2;
    scikit-learn's `precision_score(average="samples")`. Arguments, result and errors as in `sample_f1`.
    """
    hits, predicted, _ = _counts(*_decisions(targets, predictions, threshold))
    return Mean(_ratio(hits, predicted, zero_division))


def sample_recall(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    zero_division: ZeroDivision = 0,
) -> Mean:
    """Mean over images of the share of true labels that are predicted; higher is better.

    R(i) = |P(i) & T(i)| / |T(i)|, undefined for an image without labels. Qi et al. (2020), section 3.2; scikit-learn's
    `recall_score(average="samples")`. Arguments, result and errors as in `sample_f1`.
    """
    hits, _, true = _counts(*_decisions(targets, predictions, threshold))
    return Mean(_ratio(hits, true, zero_division))


def f1_of_means(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    zero_division: ZeroDivision = 0,
) -> float:
    """F1 of the mean precision and the mean recall over images; higher is better.

    F = 2 P R / (P + R) with P = `sample_precision` and R = `sample_recall`: the letter of Qi et al. (2020), section
    3.2, "all precision and recall values are computed separately for each sample and then averaged across samples".
    0 if both means are 0. Arguments and errors as in `sample_f1`; the policy acts on precision and recall.

    Examples:
        P = (1/2 + 1) / 2 = 3/4, R = (1 + 1) / 2 = 1, F = 2 * 3/4 / (7/4) = 6/7:

        >>> round(f1_of_means([[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 1]]), 4)
        0.8571
    """
    hits, predicted, true = _counts(*_decisions(targets, predictions, threshold))
    return _harmonic_mean(Mean(_ratio(hits, predicted, zero_division)), Mean(_ratio(hits, true, zero_division)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationReport:
    """All measures of one set of decisions."""

    sample_f1: Mean
    sample_precision: Mean
    sample_recall: Mean
    f1_of_means: float
    micro_f1: float
    """F1 of all decisions taken together."""
    macro_f1: Mean
    """Mean over labels of each label's F1; a label that neither occurs nor is predicted follows `zero_division`."""
    subset_accuracy: Mean
    """Share of images whose labels are all right."""
    hamming_loss: Mean
    """Share of wrong decisions; lower is better."""
    images: int
    labels: int
    images_per_label: Counts
    """(L,) how many images carry each label."""

    @property
    def macro_f1_of_occurring(self) -> Mean:
        """Mean F1 of the labels that occur; the others, falsely predicted or not, are left out and counted."""
        return Mean(np.where(self.images_per_label > 0, self.macro_f1.values, np.nan))

    def to_dict(self) -> dict[str, float]:
        """Return the measures by name as plain floats."""
        names = (field for field in self.__slots__ if field not in ("images", "labels", "images_per_label"))
        return {name: float(getattr(self, name)) for name in names}


def classification_report(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    *,
    threshold: Threshold | None = None,
    zero_division: ZeroDivision = 0,
) -> ClassificationReport:
    """Compute every measure of the decisions from one pass over them.

    Arguments and errors as in `sample_f1`.

    Examples:
        >>> report = classification_report([[1, 0], [1, 1]], [[1, 0], [0, 1]])
        >>> report.subset_accuracy, report.hamming_loss, report.micro_f1
        (0.5, 0.25, 0.8)
    """
    decisions = _decisions(targets, predictions, threshold)
    hits, predicted, true = _counts(*decisions)
    of_labels = _counts(*decisions, axis=0)
    precision, recall = Mean(_ratio(hits, predicted, zero_division)), Mean(_ratio(hits, true, zero_division))
    all_hits, all_predicted, all_true = (np.array([counts.sum()]) for counts in (hits, predicted, true))
    wrong = predicted + true - 2 * hits
    images, labels = decisions[0].shape
    return ClassificationReport(
        sample_f1=Mean(_f1(hits, predicted, true, zero_division)),
        sample_precision=precision,
        sample_recall=recall,
        f1_of_means=_harmonic_mean(precision, recall),
        micro_f1=float(Mean(_f1(all_hits, all_predicted, all_true, zero_division))),
        macro_f1=Mean(_f1(*of_labels, zero_division)),
        subset_accuracy=Mean(wrong == 0),
        hamming_loss=Mean(wrong / labels),
        images=images,
        labels=labels,
        images_per_label=of_labels[2],
    )


def best_thresholds(targets: npt.ArrayLike, scores: npt.ArrayLike, *, default: float = 0.5) -> npt.NDArray[np.float64]:
    """Per label, the threshold that gives the highest F1; to be chosen on a validation set.

    Candidates lie half-way between neighboring distinct scores, or on the lower one where no number lies between them,
    so that `scores > threshold` separates them, also once the threshold is rounded to the type of the scores; among
    equals the highest threshold wins, which predicts the fewest labels. The highest F1 of a label is that of the best
    cut through its ranking, so no other threshold does better.

    Args:
        targets: (N, L) true labels, 0 or 1.
        scores: (N, L) finite scores.
        default: The threshold of a label that does not occur.

    Returns:
        (L,) float64 thresholds.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.
            Or no number lies below the lowest score.

    Examples:
        >>> best_thresholds([[1], [1], [0]], [[0.8], [0.2], [0.1]]).round(3).tolist()
        [0.15]

        Chosen on a validation set, they decide on a test set; 0.5 would miss the first label:

        >>> thresholds = best_thresholds([[1, 1], [0, 0]], [[0.3, 0.9], [0.1, 0.6]])
        >>> thresholds.round(3).tolist()
        [0.2, 0.75]
        >>> targets, scores = [[1, 0], [1, 1]], [[0.4, 0.6], [0.3, 0.8]]
        >>> sample_f1(targets, scores, threshold=thresholds), round(sample_f1(targets, scores, threshold=0.5), 4)
        (1.0, 0.3333)
    """
    true, values = targets_and_scores(targets, scores)
    columns = enumerate(zip(true.T, values.T, strict=True))
    return np.array([_best_threshold(t, s, label) if t.any() else default for label, (t, s) in columns], dtype=float)


def calibration_error(
    targets: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    bins: int = CALIBRATION_BINS,
    average: Literal["micro", "macro"] = "micro",
) -> Mean:
    """Expected calibration error of sigmoid scores; lower is better.

    ECE = sum over bins of (n_b / n) |mean score in b - share of positives in b|, with equal-width bins over [0, 1]
    that are closed on the right (Naeini et al. 2015; Guo et al. 2017, eq. 3), on the positive class of each binary
    decision.

    Args:
        targets: (N, L) true labels, 0 or 1.
        scores: (N, L) scores in [0, 1].
        bins: Number of bins.
        average: "micro" takes all decisions together, "macro" is the mean over labels.

    Returns:
        The error, in [0, 1]; for "macro" with the value of each label in `.values`.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        Scores of 0.75 of which half come true are off by 0.25:

        >>> calibration_error([[1], [0]], [[0.75], [0.75]])
        0.25
    """
    require_choice("average", average, ("micro", "macro"))
    bins = whole_number("bins", bins)
    true, values = targets_and_scores(targets, scores)
    refuse_where((values < 0) | (values > 1), "scores", values, "Pass sigmoid scores in [0, 1].")
    if average == "micro":
        return Mean([_calibration_error(true.ravel(), values.ravel(), bins)])
    return Mean([_calibration_error(t, s, bins) for t, s in zip(true.T, values.T, strict=True)])


def _decisions(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, threshold: Threshold | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return true and predicted labels, checked, both (N, L) bool."""
    true = binary_matrix("targets", targets)
    if threshold is None:
        predicted = binary_matrix("predictions", predictions)
    else:
        scores = score_matrix("predictions", predictions)
        predicted = scores > _thresholds(threshold, scores.shape[1])
    require_same_shape(true, "predictions", predicted)
    return true, predicted


def _counts(
    true: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], axis: int = 1
) -> tuple[Counts, Counts, Counts]:
    """Return counts of hits, predictions and true labels: (N,) of each image, or (L,) of each label with axis 0."""
    hits, guessed, labels = (np.count_nonzero(matrix, axis=axis) for matrix in (true & predicted, predicted, true))
    return hits, guessed, labels


def _thresholds(threshold: Threshold, labels: int) -> np.float64 | npt.NDArray[np.float64]:
    """Return one threshold or (L,), checked.

    In float64, so that a float32 score is above a threshold exactly if its float64 value is.
    """
    array = to_array(threshold)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ConfigurationError(f"threshold={threshold!r} cannot be used", "Give a finite number, or one per label.")
    if array.shape not in ((), (labels,)):
        raise ConfigurationError(
            f"threshold has shape {array.shape} but there are {labels} labels", "Give one number, or one per label."
        )
    return np.float64(array) if array.ndim == 0 else array.astype(np.float64)


def _f1(hits: Counts, predicted: Counts, true: Counts, zero_division: ZeroDivision) -> npt.NDArray[np.float64]:
    return _ratio(2 * hits, predicted + true, zero_division)


def _ratio(part: Counts, whole: Counts, zero_division: ZeroDivision) -> npt.NDArray[np.float64]:
    """Divide; where the whole is 0, the policy's value, or NaN to leave the entry out."""
    require_choice("zero_division", zero_division, (0, 1, "skip"))
    fill = np.nan if zero_division == "skip" else float(zero_division)
    return np.divide(part, whole, out=np.full(len(whole), fill), where=whole > 0)


def _harmonic_mean(precision: float, recall: float) -> float:
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _best_threshold(true: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], label: int) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    # A cut is possible behind the last of equal scores.
    cuts = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(true[order])[cuts]
    best = int(np.argmax(2 * hits / (cuts + 1 + hits[-1])))
    high = ranked[cuts[best]]
    if best + 1 < len(cuts):
        return _between(float(ranked[cuts[best] + 1]), high)
    # All images are predicted: below the lowest score by 1, or by as little as there is at its size.
    with np.errstate(over="ignore"):
        next_below = float(np.nextafter(high, high.dtype.type(-np.inf)))
        if not np.isfinite(next_below):
            next_below = float(np.nextafter(float(high), -np.inf))
    if not np.isfinite(next_below):
        raise ConfigurationError(
            f"scores[:, {label}] go down to {high}, below which there is no number for a threshold",
            "Scale the scores down.",
        )
    return _between(min(float(high) - 1.0, next_below), high)


def _between(low: float, high: np.floating) -> float:
    """Return a number in [low, high), half-way if floating point of the type of `high` has one there."""
    middle = low + (float(high) - low) / 2
    if not np.isfinite(middle):
        middle = low / 2 + float(high) / 2
    return middle if middle < high and high.dtype.type(middle) < high else low


def calibration_bins(scores: npt.NDArray[np.floating], bins: int) -> npt.NDArray[np.int64]:
    """Return the number, from 0, of the equal-width bin over [0, 1] of each score; an edge belongs to the lower one."""
    return np.clip(np.ceil(scores.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)


def _calibration_error(true: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], bins: int) -> float:
    index = calibration_bins(scores, bins)
    gap = np.bincount(index, weights=scores, minlength=bins) - np.bincount(index, weights=true, minlength=bins)
    return float(np.abs(gap).sum() / len(scores))
