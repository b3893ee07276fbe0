"""Which items of the database are relevant to a query."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import binary_matrix, require_one_kind, to_array, whole_number
from mlrsnet_hf.metrics.ranking import PAPER_DEPTH
from mlrsnet_hf.metrics.registry import PAPER_PRECISION_DEPTHS


class Relevance(Protocol):
    """Any relation between Q queries and N items; several threads may call it at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""

    def __call__(self, query: int) -> npt.NDArray[np.int64]:
        """Return the ascending database indices of the items that are relevant to a query."""


def relevant_counts(relevance: Relevance) -> npt.NDArray[np.int64]:
    """Return (Q,) number of relevant items of each query, NG(q)."""
    return np.array([len(relevance(query)) for query in range(relevance.shape[0])], dtype=np.int64)


def table9_depth(relevance: Relevance) -> int:
    """Return how deep rankings must be for the paper's Table 9.

    The largest of ANMRR's K(q) = min(4 NG(q), 2 GTM), the m of mAP, and the depths of P@k.

    Examples:
        >>> table9_depth(SameClass([0, 1], [0, 1, 1, 1]))
        500
    """
    counts = relevant_counts(relevance)
    cuts = np.minimum(4 * counts, 2 * counts.max(initial=0))
    return max(int(cuts.max(initial=0)), PAPER_DEPTH, *PAPER_PRECISION_DEPTHS)


class SameClass:
    """Relevant is what has the query's class (Qi et al. 2020, section 4.1: its scene).

    Args:
        query_classes: (Q,) ids or names.
        database_classes: (N,) the same kind.
        allow_none: Whether a query may have no relevant item. The metrics then choose by `empty=` what it counts.

    Raises:
        ConfigurationError: A query's class has no item in the database, or ids are compared with names.

    Examples:
        >>> SameClass(["park", "pier"], ["pier", "park", "pier"])(1).tolist()
        [0, 2]
    """

    def __init__(
        self, query_classes: npt.ArrayLike, database_classes: npt.ArrayLike, *, allow_none: bool = False
    ) -> None:
        queries, items = to_array(query_classes), to_array(database_classes)
        if queries.ndim != 1 or items.ndim != 1:
            raise ConfigurationError(
                f"query_classes have shape {queries.shape} and database_classes {items.shape}", "Pass one per vector."
            )
        require_one_kind({"query_classes": queries, "database_classes": items})
        self.shape = (len(queries), len(items))
        known, inverse = np.unique(items, return_inverse=True)
        by_class = np.argsort(inverse, kind="stable").astype(np.int64)
        members = np.split(by_class, np.cumsum(np.bincount(inverse, minlength=len(known)))[:-1])
        self._members = dict(zip(known.tolist(), members, strict=True)) if len(known) else {}
        self._queries = queries.tolist()
        without = [query for query, name in enumerate(self._queries) if name not in self._members]
        if without and not allow_none:
            raise ConfigurationError(
                f"{len(without):,} queries have a class without any item in the database, the first is query "
                f"{without[0]} of class {self._queries[without[0]]!r}",
                "Remove them, or pass allow_none=True and choose by the metrics' empty= what they count.",
            )

    def __call__(self, query: int) -> npt.NDArray[np.int64]:
        """Return the ascending database indices of the items of the query's class."""
        return self._members.get(self._queries[query], np.empty(0, dtype=np.int64))


class CommonLabels:
    """Relevant is what has at least so many labels in common with the query.

    Args:
        query_labels: (Q, L) 0 or 1.
        database_labels: (N, L) 0 or 1.
        at_least: How many.

    Raises:
        ConfigurationError: The numbers of labels differ, or a value is neither 0 nor 1.

    Examples:
        >>> CommonLabels([[1, 1, 0]], [[0, 1, 1], [0, 0, 1], [1, 1, 0]])(0).tolist()
        [0, 2]
    """

    def __init__(self, query_labels: npt.ArrayLike, database_labels: npt.ArrayLike, at_least: int = 1) -> None:
        queries, items = binary_matrix("query_labels", query_labels), binary_matrix("database_labels", database_labels)
        if queries.shape[1] != items.shape[1]:
            raise ConfigurationError(
                f"query_labels {queries.shape} and database_labels {items.shape} do not fit", "Pass the same labels."
            )
        self.shape = (len(queries), len(items))
        self._at_least = whole_number("at_least", at_least)
        # Counts of labels are exact in float32, in which the product is fast.
        self._queries, self._items = queries.astype(np.float32), items.astype(np.float32)

    def __call__(self, query: int) -> npt.NDArray[np.int64]:
        """Return the ascending database indices of the items with enough of the query's labels."""
        return np.flatnonzero(self._items @ self._queries[query] >= self._at_least)


_BLOCK_BYTES = 2**26


def best_common_labels(query_labels: npt.ArrayLike, database_labels: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    """Return the k largest numbers of labels that an image of the database has in common with each query.

    Args:
        query_labels: (Q, L) 0 or 1.
        database_labels: (N, L) 0 or 1.
        k: At most N.

    Returns:
        (Q, k) descending.

    Examples:
        >>> best_common_labels([[1, 1, 0]], [[0, 1, 1], [0, 0, 1], [1, 1, 0]], 2).tolist()
        [[2.0, 1.0]]
    """
    queries = binary_matrix("query_labels", query_labels).astype(np.float32)
    items, copies = np.unique(binary_matrix("database_labels", database_labels), axis=0, return_counts=True)
    wanted = items.T.astype(np.float32)
    weights = copies.astype(np.float32)  # counts below 2**24 are exact in float32, in which a product is fast
    rows = max(1, _BLOCK_BYTES // (4 * len(items)))
    blocks = [_largest(queries[start : start + rows] @ wanted, weights, k) for start in range(0, len(queries), rows)]
    return np.concatenate(blocks)


def _largest(common: npt.NDArray[np.float32], copies: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float64]:
    """Return the (Q, k) largest of (Q, U) small whole numbers, of which column u stands for `copies[u]` items."""
    best = np.zeros((len(common), k))
    for value in range(1, int(common.max(initial=0)) + 1):
        reaching = (common >= value).astype(np.float32) @ copies  # items with at least so many
        best += np.arange(k) < reaching[:, None]
    return best
