"""Average precision of multi-label scores, exact and fast."""

from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics.arguments import require_choice, targets_and_scores
from mlrsnet_hf.metrics.means import Mean
from mlrsnet_hf.metrics.sorting import descending_keys, radix_argsort

Average = Literal["macro", "micro", "samples", "weighted"]


@overload
def mean_average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike, average: Average = "macro") -> Mean: ...


@overload
def mean_average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike, average: None) -> npt.NDArray[np.float64]: ...


def mean_average_precision(
    targets: npt.ArrayLike, scores: npt.ArrayLike, average: Average | None = "macro"
) -> Mean | npt.NDArray[np.float64]:
    """Mean of average precision; higher is better.

    AP = sum over n of (R(n) - R(n-1)) P(n), with precision P and recall R at the n-th distinct score from the top:
    scikit-learn's `average_precision_score`. Images of one score enter together, so their order does not matter. The
    paper's mAP (Qi et al. 2020, section 3.2 and Table 6) is the macro average.

    Args:
        targets: (N, L) true labels, 0 or 1.
        scores: (N, L) finite scores, higher for more confident; any monotone scale.
        average: "macro": the mean over labels. "weighted": over labels, by their number of positives. "samples": over
            images, of each image's ranking of its labels. "micro": of all decisions as one ranking. None: no mean.

    Returns:
        The mean over the labels (for "samples": images) that have a positive; all values are in `.values`, NaN for one
        without a positive, and `.undefined` counts these. (scikit-learn lets them score 0.) With None the (L,) float64
        array of the labels' values.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        The first label is ranked perfectly; the second has its one positive at rank 2; the third does not occur:

        >>> targets, scores = [[1, 0, 0], [0, 1, 0]], [[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]]
        >>> result = mean_average_precision(targets, scores)
        >>> result, result.undefined
        (0.75, 1)
        >>> mean_average_precision(targets, scores, average=None).tolist()
        [1.0, 0.5, nan]
    """
    require_choice("average", average, ("macro", "micro", "samples", "weighted", None))
    true, values = targets_and_scores(targets, scores)
    if average == "micro":
        return Mean(_average_precisions(true.reshape(1, -1), values.reshape(1, -1)))
    if average == "samples":
        return Mean(_average_precisions(true, values))
    per_label = _average_precisions(true.T, values.T)
    if average is None:
        return per_label
    return Mean(per_label, weights=np.count_nonzero(true, axis=0).astype(float) if average == "weighted" else None)


def _average_precisions(true: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the average precision of each row's ranking; NaN for a row without a positive."""
    keys = descending_keys(scores)
    values = (_average_precision(t, k) for t, k in zip(np.ascontiguousarray(true), keys, strict=True))
    return np.fromiter(values, np.float64, len(true))


def _average_precision(true: npt.NDArray[np.bool_], keys: npt.NDArray[np.unsignedinteger]) -> float:
    """Return the mean over positives of the precision at the end of each positive's block of equal scores.

    Equal to the step-wise sum: a block that gains g positives adds g / P times its precision.
    """
    order = radix_argsort(keys)
    positions = np.flatnonzero(true[order])
    if not len(positions):
        return float("nan")
    hits = np.arange(1, len(positions) + 1)
    taken = positions + 1
    ranked = keys[order]
    ends_block = np.append(ranked[1:] != ranked[:-1], True)
    tied = np.flatnonzero(~ends_block[positions])
    if len(tied):
        ends = np.flatnonzero(ends_block)
        taken[tied] = ends[np.searchsorted(ends, positions[tied])] + 1
        hits[tied] = np.searchsorted(positions, taken[tied])
    return float((hits / taken).mean())
