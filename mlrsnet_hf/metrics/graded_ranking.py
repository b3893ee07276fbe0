"""Retrieval measures on graded relevance, such as the number of labels that query and result have in common.

Gains come as (Q, D) arrays in ranked order: the gain of the item at each rank, 0 for irrelevant. `common_labels` makes
them from label matrices.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import (
    SMALLEST,
    binary_matrix,
    refuse_where,
    require_choice,
    to_array,
    whole_number,
    whole_numbers,
)
from mlrsnet_hf.metrics.means import Empty, Mean

_CHUNK_BYTES = 2**26


def common_labels(
    query_labels: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    ranking: npt.ArrayLike,
    *,
    measure: Literal["count", "share", "jaccard"] = "count",
) -> npt.NDArray[np.float64]:
    """Gain of each ranked item: the labels that it has in common with the query.

    Args:
        query_labels: (Q, L) 0 or 1.
        database_labels: (N, L) 0 or 1.
        ranking: (Q, D) database index of the item at each rank.
        measure: "count": their number; "share": their share of the query's labels; "jaccard": of the labels of either.

    Returns:
        (Q, D) float64; a share of no labels is 0.

    Raises:
        ConfigurationError: Shapes do not fit, or an index is outside the database.

    Examples:
        >>> common_labels([[1, 1, 0]], [[1, 1, 1], [0, 0, 1], [1, 0, 0]], [[2, 0, 1]]).tolist()
        [[1.0, 2.0, 0.0]]
    """
    require_choice("measure", measure, ("count", "share", "jaccard"))
    queries, database = binary_matrix("query_labels", query_labels), binary_matrix("database_labels", database_labels)
    order = whole_numbers("ranking", ranking, at_least=SMALLEST)
    if queries.shape[1] != database.shape[1] or order.ndim != 2 or len(order) != len(queries):
        raise ConfigurationError(
            f"query_labels {queries.shape}, database_labels {database.shape} and ranking {order.shape} do not fit",
            "Pass (queries, labels), (items, labels) and (queries, depth).",
        )
    if order.size and not (order.min() >= 0 and order.max() < len(database)):
        raise ConfigurationError(f"ranking holds indices outside 0 to {len(database) - 1}", "Pass database indices.")
    common = _common_counts(queries, database, order)
    if measure == "count":
        return common
    whole = queries.sum(axis=1, keepdims=True)
    if measure == "jaccard":
        whole = whole + database.sum(axis=1)[order] - common
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def ndcg_at_k(
    gains: npt.ArrayLike,
    k: int | None = None,
    ideal_gains: npt.ArrayLike | None = None,
    *,
    scale: Literal["exponential", "linear"] = "exponential",
    empty: Empty = "skip",
) -> Mean:
    """Normalized discounted cumulative gain; higher is better.

    DCG@k(q) = sum over ranks r = 1..k of g(r) / log2(1 + r), divided by the DCG@k of the best order, the mean over
    queries (Jarvelin & Kekalainen 2002; the exponential scale is that of Burges et al. 2005).

    Args:
        gains: (Q, D) gain of the item at each rank.
        k: The depth; None for all D.
        ideal_gains: (Q, D') the largest gains in the database of each query, at least k of them, in any order. None if
            `gains` hold the whole rankings.
        scale: g is 2^gain - 1 for "exponential", the gain itself for "linear".
        empty: The policy for queries whose best gain is 0: "skip", "worst" or "error".

    Returns:
        The mean, in [0, 1], with the value of each query in `.values`.

    Raises:
        ConfigurationError: Gains are negative or not finite, k exceeds a cut ranking, or the ideal is not the best or
            holds fewer than k gains.

    Examples:
        Gains 1, 2 where 2, 1 is best, linear: (1 + 2 / log2(3)) / (2 + 1 / log2(3)):

        >>> round(ndcg_at_k([[1, 2]], scale="linear"), 4)
        0.8597
    """
    require_choice("scale", scale, ("exponential", "linear"))
    found = _gains("gains", gains)
    ideal = found if ideal_gains is None else _gains("ideal_gains", ideal_gains)
    if len(ideal) != len(found):
        raise ConfigurationError(f"{len(ideal)} rows of ideal_gains for {len(found)} of gains", "Pass one per query.")
    depth = _depth(found, k, whole=ideal_gains is None)
    if ideal.shape[1] < depth:
        raise ConfigurationError(
            f"ideal_gains hold {ideal.shape[1]} gains per query, fewer than k={depth}",
            "Pass the k largest gains of the whole database, zeros included.",
        )
    best = -np.sort(-ideal, axis=1)
    reached, possible = (_dcg(values[:, :depth], scale) for values in (found, best))
    if (reached > possible * (1 + 1e-9)).any():
        query = int(np.argmax(reached > possible * (1 + 1e-9)))
        raise ConfigurationError(
            f"query {query} gains more than its ideal_gains", "Pass the largest gains of the whole database."
        )
    share = np.divide(reached, possible, out=np.full(len(found), np.nan), where=possible > 0)
    return _graded_mean(np.minimum(share, 1.0), empty)


def average_cumulative_gain_at_k(
    gains: npt.ArrayLike, k: int | None = None, relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> Mean:
    """Mean gain of the first k items, ACG@k; higher is better.

    ACG@k(q) = (1 / k) sum over ranks r = 1..k of gain(r), the mean over queries (Jarvelin & Kekalainen 2000; with
    common labels as gain: Zhao et al. 2015, "Deep semantic ranking based hashing for multi-label image retrieval").

    Args:
        gains: (Q, D) gain of the item at each rank.
        k: The depth; None for all D.
        relevant: (Q,) number of items in the database that have a gain; needed to tell a query for which nothing can be
            found from one that found nothing.
        empty: The policy for queries for which the database has nothing: "worst" scores them 0, as it does those that
            found nothing; "skip" leaves them out and counts them; "error" refuses them.

    Returns:
        The mean, in units of the gain, with the value of each query in `.values`.

    Raises:
        ConfigurationError: Gains are negative or not finite, k exceeds D, `relevant` is missing for the policy, or is
            less than the rankings show.

    Examples:
        >>> average_cumulative_gain_at_k([[2, 0, 1]], 2)
        1.0
    """
    found = _gains("gains", gains)
    values = found[:, : _depth(found, k, whole=False)].mean(axis=1)
    return _graded_mean(np.where(_without(found, relevant, empty), np.nan, values), empty)


def weighted_average_precision_at_k(
    gains: npt.ArrayLike, k: int | None = None, relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> Mean:
    """Average precision with the mean gain in place of precision, WAP@k; higher is better.

    WAP@k(q) = (1 / n) sum over ranks r <= k with gain(r) > 0 of ACG@r(q), where n is their number, and 0 if there are
    none; the mean over queries (Zhao et al. 2015).

    Args:
        gains: (Q, D) gain of the item at each rank.
        k: The depth; None for all D.
        relevant: As in `average_cumulative_gain_at_k`.
        empty: As in `average_cumulative_gain_at_k`.

    Returns:
        The mean, in units of the gain, with the value of each query in `.values`.

    Raises:
        ConfigurationError: As in `average_cumulative_gain_at_k`.

    Examples:
        ACG@1 = 2, ACG@3 = 3/3, two items gain: (2 + 1) / 2:

        >>> weighted_average_precision_at_k([[2, 0, 1]])
        1.5
    """
    found = _gains("gains", gains)
    top = found[:, : _depth(found, k, whole=False)]
    mean_gain = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    hits = np.count_nonzero(top, axis=1)
    total = (mean_gain * (top > 0)).sum(axis=1)
    values = np.divide(total, hits, out=np.zeros(len(top)), where=hits > 0)
    return _graded_mean(np.where(_without(found, relevant, empty), np.nan, values), empty)


def _common_counts(
    queries: npt.NDArray[np.bool_], database: npt.NDArray[np.bool_], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return (Q, D) numbers of labels that each query and its ranked items have in common."""
    # Counts of labels are small whole numbers, exact in float32, in which the product is fast; in chunks, because it
    # holds every item of the database and not only the first D.
    left, right = queries.astype(np.float32), database.T.astype(np.float32)
    rows = max(1, _CHUNK_BYTES // (right.itemsize * len(database)))
    common = np.empty(order.shape)
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        common[part] = np.take_along_axis(left[part] @ right, order[part], axis=1)
    return common


def _without(
    gains: npt.NDArray[np.float64], relevant: npt.ArrayLike | None, empty: Empty
) -> npt.NDArray[np.bool_] | Literal[False]:
    """Return for which queries the database has nothing; False if nobody has to know."""
    require_choice("empty", empty, ("skip", "worst", "error"))
    if relevant is None:
        if empty == "worst":
            return False
        raise ConfigurationError(
            f"empty={empty!r} has to know for which queries the database has nothing",
            "Pass relevant=, the number of items with a gain in the database.",
        )
    counts, shown = whole_numbers("relevant", relevant), np.count_nonzero(gains, axis=1)
    if counts.shape != shown.shape:
        raise ConfigurationError(f"{len(shown)} rankings and relevant of shape {counts.shape}", "Pass one per query.")
    wrong = np.flatnonzero(counts < shown)
    if len(wrong):
        query = wrong[0]
        raise ConfigurationError(
            f"query {query} has {counts[query]} relevant items but its ranking shows {shown[query]}",
            "Count the items with a gain in the whole database, without the query itself.",
        )
    return counts == 0


def _gains(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = to_array(values)
    if array.ndim != 2 or not array.size:
        raise ConfigurationError(f"{name} have shape {array.shape}", "Pass a non-empty array of (queries, depth).")
    array = array.astype(np.float64)
    refuse_where(~np.isfinite(array) | (array < 0), name, array, "Gains are finite and at least 0.")
    return array


def _depth(gains: npt.NDArray[np.float64], k: int | None, whole: bool) -> int:
    """Return the depth to look at; a whole ranking may be shorter than k, a cut one may not."""
    if k is None:
        return gains.shape[1]
    k = whole_number("k", k)
    if k > gains.shape[1] and not whole:
        raise ConfigurationError(
            f"k={k} needs rankings {k} deep, these are cut at {gains.shape[1]}", "Retrieve more items per query."
        )
    return min(k, gains.shape[1])


def _dcg(gains: npt.NDArray[np.float64], scale: str) -> npt.NDArray[np.float64]:
    worth = np.exp2(gains) - 1.0 if scale == "exponential" else gains
    return worth @ (1.0 / np.log2(np.arange(2, gains.shape[1] + 2)))


def _graded_mean(values: npt.NDArray[np.float64], empty: Empty) -> Mean:
    """Apply the policy to the queries that are NaN."""
    require_choice("empty", empty, ("skip", "worst", "error"))
    without = np.flatnonzero(np.isnan(values))
    if empty == "error" and len(without):
        raise ConfigurationError(
            f"{len(without)} queries can gain nothing, the first is query {without[0]}",
            "Remove them, or choose empty='skip' or 'worst'.",
        )
    return Mean(np.where(np.isnan(values), 0.0, values) if empty == "worst" else values)
