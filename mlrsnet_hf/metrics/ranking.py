"""Retrieval measures on binary relevance: ANMRR, precision, recall, average precision, precision-recall curves.

Rankings come in three forms, for every function: a (Q, D) matrix of relevance in ranked order, which is the whole
ranking; the same with `relevant=`, the (Q,) number of relevant items in the database, which makes it the top of one; or
a `RelevantRanks`. A ranking that was cut shorter than a measure needs is refused, never scored as if it were whole; how
deep it must be follows from the data. A whole ranking shorter than that is whole: nothing more could be found.

`empty` says what becomes of a query without any relevant item: "skip" leaves it out of the mean and counts it in
`.undefined`, "worst" scores it as if nothing were found (0, or 1 for ANMRR), "error" refuses it.

Every function returns a `Mean`: a float with the value of each query in `.values`, so that `.by(scenes)` gives the
means per scene, `.standard_error()` how sure they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import require_choice, to_array, whole_number
from mlrsnet_hf.metrics.means import Empty, Mean, group_members
from mlrsnet_hf.metrics.relevant_ranks import RelevantRanks

Rankings = RelevantRanks | npt.ArrayLike

PAPER_DEPTH = 100
"""m in the paper's retrieval mAP, section 4.2."""
RECALL_LEVELS = 101
"""0, 0.01, ..., 1."""


def anmrr(
    rankings: Rankings,
    relevant: npt.ArrayLike | None = None,
    *,
    gtm: int | None = None,
    variant: Literal["mpeg7", "2ng", "k+1"] = "mpeg7",
    empty: Empty = "skip",
) -> Mean:
    """Average normalized modified retrieval rank; lower is better, 0 is perfect, 1 is nothing found.

    With NG(q) relevant items, GTM the largest NG, and K(q) = min(4 NG(q), 2 GTM):

        Rank(i) = rank of relevant item i if at most K(q), else 1.25 K(q)
        AVR(q) = sum of Rank(i) / NG(q)
        NMRR(q) = (AVR(q) - 0.5 (1 + NG(q))) / (1.25 K(q) - 0.5 (1 + NG(q)))

    and ANMRR the mean of NMRR (Manjunath, Ohm, Vasudevan & Yamada 2001, "Color and texture descriptors"; MPEG-7). The
    paper's Table 9 and Fig. 11.

    Args:
        rankings: See the module; K(q) deep at least.
        relevant: (Q,) NG(q) for rankings that are cut.
        gtm: GTM where the call holds a part of the queries; by default the largest NG of the call. `.by(scenes)` of
            one call keeps the call's GTM.
        variant: "mpeg7" as above; "2ng": K(q) = 2 NG(q); "k+1": a rank beyond K(q) counts K(q) + 1, and the
            denominator is K(q) + 1 - 0.5 (1 + NG(q)).
        empty: The policy for queries without any relevant item.

    Raises:
        ConfigurationError: The rankings are cut too short, `gtm` is below an NG, or see `RelevantRanks`.

    Examples:
        NG = 2 and K = min(8, 4) = 4. Relevant items at ranks 1 and 3: AVR = 2, NMRR = (2 - 1.5) / (5 - 1.5) = 1/7:

        >>> round(anmrr([[1, 0, 1, 0, 0, 0]]), 4)
        0.1429
    """
    require_choice("variant", variant, ("mpeg7", "2ng", "k+1"))
    ranked = _ranks(rankings, relevant, empty)
    count = np.maximum(ranked.relevant, 1)
    largest = int(ranked.relevant.max())
    gtm = largest if gtm is None else whole_number("gtm", gtm, at_least=0)
    if gtm < largest:
        raise ConfigurationError(f"gtm={gtm} is below the {largest} relevant items of a query", "Pass the largest.")
    cut = 2 * count if variant == "2ng" else np.minimum(4 * count, 2 * max(gtm, 1))
    ranked.require_depth(cut, "ANMRR")
    penalty = cut + 1.0 if variant == "k+1" else 1.25 * cut
    within = ranked.hits(cut)
    average_rank = (ranked.sums(ranked.ranks, within) + (ranked.relevant - within) * penalty) / count
    best = 0.5 * (1 + count)
    return _mean((average_rank - best) / (penalty - best), ranked, empty, worst=1.0)


@overload
def precision_at_k(
    rankings: Rankings, k: int, relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> Mean: ...


@overload
def precision_at_k(
    rankings: Rankings, k: Sequence[int], relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> dict[int, Mean]: ...


def precision_at_k(
    rankings: Rankings, k: int | Sequence[int], relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> Mean | dict[int, Mean]:
    """Share of the first k items that are relevant; higher is better.

    P@k(q) = |relevant items at ranks 1 to k| / k, the mean over queries (Qi et al. 2020, section 4.2 and Table 9; k =
    10, 50, 100, 500). The denominator stays k where the database is smaller. A query without any relevant item has a
    precision, 0; it counts unless `empty` says otherwise.

    Args:
        rankings: See the module; k deep at least.
        k: One depth, or several at once.
        relevant: (Q,) number of relevant items for rankings that are cut.
        empty: The policy for queries without any relevant item.

    Returns:
        The mean; for several k, the means by k.

    Raises:
        ConfigurationError: The rankings are cut too short, k is no whole number of at least 1, or see `RelevantRanks`.

    Examples:
        >>> precision_at_k([[1, 0, 1, 0], [0, 1, 0, 0]], [1, 2, 4])
        {1: 0.5, 2: 0.5, 4: 0.375}
    """
    ranked = _ranks(rankings, relevant, empty)
    all_k = [_required_depth(ranked, depth, "P@k") for depth in depths(k)]
    means = {depth: _mean(ranked.hits(depth) / depth, ranked, empty) for depth in all_k}
    return next(iter(means.values())) if to_array(k).ndim == 0 else means


def mean_precision_to_k(
    rankings: Rankings, k: int = PAPER_DEPTH, relevant: npt.ArrayLike | None = None, *, empty: Empty = "worst"
) -> Mean:
    """Mean of P@1 to P@k: what the paper calls mAP in retrieval; higher is better.

    MP@k(q) = (1 / k) sum over j = 1..k of P@j(q), the mean over queries (Qi et al. 2020, section 4.2, with m = 100, and
    Table 9). It averages over all ranks, relevant or not; the usual average precision is `average_precision_at_k`.

    Args:
        rankings: See the module; k deep at least.
        k: The depth.
        relevant: (Q,) number of relevant items for rankings that are cut.
        empty: The policy for queries without any relevant item; they have precisions, 0, and count unless it says
            otherwise.

    Raises:
        ConfigurationError: The rankings are cut too short, k is below 1, or see `RelevantRanks`.

    Examples:
        P@1 = 1, P@2 = 1/2, P@3 = 2/3:

        >>> round(mean_precision_to_k([[1, 0, 1]], k=3), 4)
        0.7222
    """
    ranked = _ranks(rankings, relevant, empty)
    k = _required_depth(ranked, k, "mean precision to k")
    # A hit at rank r counts 1 / j in every P@j from j = r on.
    tails = np.cumsum(1.0 / np.arange(k, 0, -1))[::-1]
    worth = tails[np.minimum(ranked.ranks, k) - 1]
    return _mean(ranked.sums(worth, ranked.hits(k)) / k, ranked, empty)


def average_precision_at_k(
    rankings: Rankings,
    k: int | None = None,
    relevant: npt.ArrayLike | None = None,
    *,
    normalizer: Literal["relevant", "reachable", "found"] = "relevant",
    empty: Empty = "skip",
    **former: str,
) -> Mean:
    """Average precision, of the first k items or of the whole ranking; higher is better.

    AP@k(q) = (1 / n) sum over relevant items at ranks r <= k of P@r(q), the mean over queries (the mAP of information
    retrieval: Manning, Raghavan & Schuetze 2008, section 8.4).

    Args:
        rankings: See the module; k deep at least.
        k: The depth; None for the whole ranking.
        relevant: (Q,) number of relevant items for rankings that are cut.
        normalizer: What n is. "relevant": all NG(q) relevant items; "reachable": min(k, NG(q)), so that a perfect top k
            scores 1; "found": the relevant items within the first k, 0 if there are none.
        empty: The policy for queries without any relevant item.
        **former: `normaliser`, as the argument was spelled before.

    Raises:
        ConfigurationError: The rankings are cut too short, k is below 1, or see `RelevantRanks`.

    Examples:
        Relevant at ranks 1 and 3 of 4, a third one never within 4: (1/1 + 2/3) / 3:

        >>> round(average_precision_at_k([[1, 0, 1, 0]], 4, relevant=[3]), 4)
        0.5556
    """
    chosen = former.pop("normaliser", normalizer)
    if former:
        raise TypeError(f"average_precision_at_k() got an unexpected keyword argument {next(iter(former))!r}")
    require_choice("normalizer", chosen, ("relevant", "reachable", "found"))
    ranked = _ranks(rankings, relevant, empty)
    if k is None:
        ranked.require_all("average precision")
        k = int(ranked.ranks.max(initial=1))
    k = _required_depth(ranked, k, "AP@k")
    hits = ranked.hits(k)
    count = {"relevant": ranked.relevant, "reachable": np.minimum(ranked.relevant, k), "found": hits}[chosen]
    positions = np.arange(1, len(ranked.ranks) + 1) - np.repeat(ranked.starts, ranked.found)
    total = ranked.sums(positions / ranked.ranks, hits)
    return _mean(np.divide(total, count, out=np.zeros(len(ranked)), where=count > 0), ranked, empty)


def recall_at_k(rankings: Rankings, k: int, relevant: npt.ArrayLike | None = None, *, empty: Empty = "skip") -> Mean:
    """Share of the relevant items that stand among the first k; higher is better.

    R@k(q) = |relevant items at ranks 1 to k| / NG(q), the mean over queries. Arguments, result and errors as in
    `precision_at_k`, for one k.

    Examples:
        >>> recall_at_k([[1, 0, 1, 0]], 2)
        0.5
    """
    ranked = _ranks(rankings, relevant, empty)
    hits = ranked.hits(_required_depth(ranked, k, "R@k"))
    return _mean(hits / np.maximum(ranked.relevant, 1), ranked, empty)


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecallCurve:
    """Interpolated precision at standard levels of recall."""

    recall: npt.NDArray[np.float64]
    """(levels,) from 0 to 1."""
    per_query: npt.NDArray[np.float64]
    """(Q, levels) float64; NaN for a query that is left out."""

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """(levels,) mean over queries."""
        return _column_means(self.per_query)

    @property
    def undefined(self) -> int:
        """Number of queries left out."""
        return int(np.isnan(self.per_query[:, 0]).sum())

    def by(self, groups: Sequence[Any] | np.ndarray) -> dict[Any, npt.NDArray[np.float64]]:
        """Return the (levels,) precision of each group of queries, such as the queries of one scene (Fig. 12)."""
        members = group_members(groups, len(self.per_query))
        return {group: _column_means(self.per_query[rows]) for group, rows in members.items()}


def precision_recall_curve(
    rankings: Rankings,
    relevant: npt.ArrayLike | None = None,
    *,
    levels: int = RECALL_LEVELS,
    empty: Empty = "skip",
) -> PrecisionRecallCurve:
    """Mean over queries of interpolated precision at equally spaced levels of recall (Figs. 10 and 12).

    p(l) = max of the precision at all ranks whose recall is at least l (Manning, Raghavan & Schuetze 2008, section
    8.4), for levels 0, 1 / (levels - 1), ..., 1.

    Args:
        rankings: See the module; deep enough to hold every relevant item.
        relevant: (Q,) number of relevant items for rankings that are cut.
        levels: Number of recall levels.
        empty: The policy for queries without any relevant item.

    Raises:
        ConfigurationError: The rankings are cut before a relevant item, or see `RelevantRanks`.

    Examples:
        Relevant at ranks 1 and 4: recall 1/2 at precision 1, recall 1 at precision 1/2:

        >>> precision_recall_curve([[1, 0, 0, 1]], levels=5).precision.tolist()
        [1.0, 1.0, 1.0, 0.5, 0.5]
    """
    levels = whole_number("levels", levels, at_least=2)
    ranked = _ranks(rankings, relevant, empty)
    ranked.require_all("the precision-recall curve")
    curves = np.full((len(ranked), levels), 0.0 if empty == "worst" else np.nan)
    # Queries with equally many relevant items, those of one scene for instance, make one matrix.
    for count in np.unique(ranked.relevant[ranked.relevant > 0]):
        rows = np.flatnonzero(ranked.relevant == count)
        ranks = ranked.ranks[ranked.starts[rows, None] + np.arange(count)]
        precision: npt.NDArray[np.float64] = np.arange(1, count + 1) / ranks
        highest_after = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        # The fewest hits that reach level i / (levels - 1), in exact integers: ceil(i count / (levels - 1)).
        needed = np.maximum(-(-np.arange(levels) * count // (levels - 1)), 1)
        curves[rows] = highest_after[:, needed - 1]
    return PrecisionRecallCurve(np.linspace(0.0, 1.0, levels, dtype=np.float64), curves)


def depths(k: npt.ArrayLike) -> list[int]:
    """Return one depth or several, whole numbers of at least 1, as a list."""
    array = to_array(k)
    if array.ndim == 0:
        return [whole_number("k", k)]
    if array.ndim > 1 or not array.size:
        raise ConfigurationError(f"k={k!r} cannot be used", "Give a whole number of at least 1, or a list of them.")
    return [whole_number("k", depth) for depth in array.tolist()]


def _ranks(rankings: Rankings, relevant: npt.ArrayLike | None, empty: Empty) -> RelevantRanks:
    require_choice("empty", empty, ("skip", "worst", "error"))
    if isinstance(rankings, RelevantRanks):
        if relevant is not None:
            raise ConfigurationError("relevant is given twice", "A RelevantRanks holds it already.")
        ranked = rankings
    else:
        ranked = RelevantRanks.from_relevance(rankings, relevant)
    without = np.flatnonzero(ranked.relevant == 0)
    if empty == "error" and len(without):
        raise ConfigurationError(
            f"{len(without)} queries have no relevant item, the first is query {without[0]}",
            "Remove them, or choose empty='skip' or 'worst'.",
        )
    return ranked


def _mean(values: npt.NDArray[np.float64], ranked: RelevantRanks, empty: Empty, worst: float = 0.0) -> Mean:
    return Mean(np.where(ranked.relevant > 0, values, worst if empty == "worst" else np.nan))


def _required_depth(ranked: RelevantRanks, k: int, measure: str) -> int:
    """Return k as an int, and refuse rankings that are cut before it."""
    k = whole_number("k", k)
    ranked.require_depth(k, measure)
    return k


def _column_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of the columns over the rows that are defined."""
    defined = values[~np.isnan(values[:, 0])]
    return defined.mean(axis=0) if len(defined) else np.full(values.shape[1], np.nan)
