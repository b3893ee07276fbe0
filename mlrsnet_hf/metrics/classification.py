"""Multi-label classification: sample-F1 and mean average precision, both in [0, 1]."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics.arguments import binary_matrix, require_same_shape, score_matrix


def sample_f1(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, *, threshold: float | None = None, zero_division: float = 0.0
) -> float:
    """Mean over images of the F1 between predicted and true labels.

    F1(i) = 2 |P(i) & T(i)| / (|P(i)| + |T(i)|), scikit-learn's `average="samples"`; Qi et al. (2020), section 3.2.

    Args:
        targets: (N, L) true labels, 0 or 1.
        predictions: (N, L) predicted labels, 0 or 1; any finite scores if `threshold` is given.
        threshold: Scores above it predict the label; the paper uses 0.5 on sigmoid outputs.
        zero_division: The F1 of an image with neither true nor predicted labels. An image that has only one of the two
            scores 0 by the formula.

    Returns:
        The mean, in [0, 1]; higher is better.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        The first image shares one of two predicted and one of one true labels, F1 = 2 / 3; the second matches, F1 = 1:

        >>> round(sample_f1([[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 1]]), 4)
        0.8333
    """
    true = binary_matrix("targets", targets)
    if threshold is None:
        predicted = binary_matrix("predictions", predictions)
    else:
        predicted = score_matrix("predictions", predictions) > threshold
    require_same_shape(true, "predictions", predicted)
    common = (true & predicted).sum(axis=1)
    size = true.sum(axis=1) + predicted.sum(axis=1)
    f1 = np.divide(2.0 * common, size, out=np.full(len(size), float(zero_division)), where=size > 0)
    return float(f1.mean())


@dataclass(frozen=True, slots=True)
class MeanAveragePrecision:
    """Macro-averaged average precision."""

    value: float
    """Mean over the labels that occur, in [0, 1]; higher is better. NaN if no label occurs."""
    per_label: npt.NDArray[np.float64]
    """(L,) average precision; NaN for a label without a positive."""

    @property
    def undefined(self) -> int:
        """Number of labels without a positive, left out of the mean."""
        return int(np.isnan(self.per_label).sum())


def mean_average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike) -> MeanAveragePrecision:
    """Mean over labels of average precision.

    AP = sum over n of (R(n) - R(n-1)) P(n), with precision P and recall R at the n-th distinct score from the top:
    scikit-learn's `average_precision_score`. Images of one score enter together, so their order does not matter.

    Args:
        targets: (N, L) true labels, 0 or 1.
        scores: (N, L) finite scores, higher for more confident; any monotone scale.

    Returns:
        The mean over the labels that occur, with the values per label.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        The first label is ranked perfectly; the second has its one positive at rank 2; the third does not occur:

        >>> result = mean_average_precision([[1, 0, 0], [0, 1, 0]], [[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]])
        >>> result.value, result.undefined
        (0.75, 1)
    """
    true = binary_matrix("targets", targets)
    values = score_matrix("scores", scores)
    require_same_shape(true, "scores", values)
    per_label = np.array([_average_precision(true[:, j], values[:, j]) for j in range(true.shape[1])])
    defined = per_label[~np.isnan(per_label)]
    return MeanAveragePrecision(float(defined.mean()) if len(defined) else float("nan"), per_label)


def _average_precision(true: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating]) -> float:
    positives = int(true.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(true[order])
    # The last position of each block of equal scores.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / (ends + 1)).sum() / positives)
