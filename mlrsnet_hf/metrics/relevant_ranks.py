"""Rankings as retrieval measures need them: the ranks at which each query's relevant items stand.

Every measure on binary relevance follows from these ranks, so that a search engine never has to keep more. Ranks count
from 1. Where distances tie, the item of the lower database index comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import (
    refuse_where,
    require_one_kind,
    to_array,
    whole_number,
    whole_numbers,
    zeros_and_ones,
)


@dataclass(frozen=True, eq=False)
class RelevantRanks:
    """The known ranks of the relevant items of Q queries.

    Make one with `from_relevance`, `from_scenes`, `from_distances` or `from_ranks`.
    """

    ranks: npt.NDArray[np.int64]
    """(M,) ranks of the relevant items that were found, ascending within each query, query after query."""
    found: npt.NDArray[np.int64]
    """(Q,) how many of `ranks` belong to each query."""
    relevant: npt.NDArray[np.int64]
    """(Q,) number of relevant items in the database, NG(q)."""
    depth: int | None
    """Ranks up to here are known; None if the rankings are whole."""

    @classmethod
    def from_relevance(
        cls, relevance: npt.ArrayLike | Sequence[npt.ArrayLike], relevant: npt.ArrayLike | None = None
    ) -> "RelevantRanks":
        """Take whole rankings, or the top of rankings together with the number of relevant items.

        Args:
            relevance: (Q, D) 0 or 1: is the item at rank d + 1 relevant? For whole rankings of several lengths, a list
                of Q one-dimensional arrays.
            relevant: (Q,) number of relevant items in the database; None if the rankings are whole.

        Raises:
            ConfigurationError: A value other than 0 and 1, or fewer relevant items than the ranking shows.

        Examples:
            >>> RelevantRanks.from_relevance([[1, 0, 1, 0], [0, 0, 0, 1]]).ranks.tolist()
            [1, 3, 4]
        """
        rows = _rows(relevance)
        if isinstance(rows, np.ndarray):
            depth = rows.shape[1]
            found = np.count_nonzero(rows, axis=1)
            ranks = np.flatnonzero(rows) + 1 - np.repeat(np.arange(len(rows)) * depth, found)
        else:
            if relevant is not None and len({len(row) for row in rows}) > 1:
                raise ConfigurationError("rankings cut at several depths", "Cut all at one depth.")
            positions = [np.flatnonzero(row) for row in rows]
            found = np.array([len(position) for position in positions], dtype=np.int64)
            ranks, depth = np.concatenate(positions) + 1, max(map(len, rows))
        return cls._checked(ranks, found, found if relevant is None else relevant, None if relevant is None else depth)

    @classmethod
    def from_scenes(
        cls,
        ranked_scenes: npt.ArrayLike,
        query_scenes: npt.ArrayLike,
        relevant: npt.ArrayLike | None = None,
    ) -> "RelevantRanks":
        """Take rankings of scenes; an item is relevant if it has the query's scene (Qi et al. 2020, section 4.1).

        Args:
            ranked_scenes: (Q, D) scene of the item at each rank.
            query_scenes: (Q,) scene of each query.
            relevant: (Q,) number of database items of the query's scene; None if the rankings are whole.

        Raises:
            ConfigurationError: Shapes do not fit, scenes are ids on one side and names on the other, or fewer relevant
                items than the ranking shows.

        Examples:
            >>> RelevantRanks.from_scenes([[5, 7, 5]], [5]).ranks.tolist()
            [1, 3]
        """
        ranked, queries = to_array(ranked_scenes), to_array(query_scenes)
        if ranked.ndim != 2 or queries.shape != ranked.shape[:1]:
            raise ConfigurationError(
                f"ranked_scenes have shape {ranked.shape} and query_scenes {queries.shape}",
                "Pass (queries, depth) and (queries,).",
            )
        require_one_kind({"ranked_scenes": ranked, "query_scenes": queries})
        return cls.from_relevance(ranked == queries[:, None], relevant)

    @classmethod
    def from_distances(cls, distances: npt.ArrayLike, relevance: npt.ArrayLike) -> "RelevantRanks":
        """Take the distances of every query to every item of the database; ties go to the lower database index.

        Args:
            distances: (Q, N) finite distances, smaller for closer.
            relevance: (Q, N) 0 or 1: is the item relevant?

        Raises:
            ConfigurationError: Shapes differ, or a distance is NaN.

        Examples:
            >>> RelevantRanks.from_distances([[0.2, 0.1, 0.2]], [[1, 0, 1]]).ranks.tolist()
            [2, 3]
        """
        values, relevant = to_array(distances), to_array(relevance)
        if values.ndim != 2 or values.shape != relevant.shape:
            raise ConfigurationError(
                f"distances have shape {values.shape} and relevance {relevant.shape}", "Pass (queries, items) twice."
            )
        refuse_where(np.isnan(values), "distances", values, "Distances must be numbers.")
        order = np.argsort(values, axis=1, kind="stable")
        return cls.from_relevance(np.take_along_axis(relevant, order, axis=1))

    @classmethod
    def from_ranks(
        cls, ranks: Sequence[npt.ArrayLike], relevant: npt.ArrayLike | None = None, depth: int | None = None
    ) -> "RelevantRanks":
        """Take the ranks of the relevant items themselves.

        Args:
            ranks: For each query the ascending ranks, from 1, of the relevant items that were found.
            relevant: (Q,) number of relevant items in the database; None if all were found.
            depth: Ranks up to here were looked at; None if the rankings are whole.

        Raises:
            ConfigurationError: Ranks are no whole numbers, do not ascend from 1, exceed the depth, or are more than
                `relevant`; a whole ranking that lacks relevant items.

        Examples:
            >>> RelevantRanks.from_ranks([[1, 4], []], relevant=[3, 2], depth=10).found.tolist()
            [2, 0]
        """
        arrays = [whole_numbers(f"ranks[{query}]", row, at_least=0).reshape(-1) for query, row in enumerate(ranks)]
        depth = None if depth is None else whole_number("depth", depth)
        found = np.array([len(row) for row in arrays], dtype=np.int64)
        for query, row in enumerate(arrays):
            if len(row) and (row[0] < 1 or (np.diff(row) < 1).any()):
                raise ConfigurationError(f"ranks[{query}] do not ascend from 1", "Sort them; the first rank is 1.")
            if depth is not None and len(row) and row[-1] > depth:
                raise ConfigurationError(f"ranks[{query}] go beyond depth={depth}", "Pass the depth looked at.")
        flat = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)
        return cls._checked(flat, found, found if relevant is None else relevant, depth)

    @classmethod
    def _checked(
        cls, ranks: npt.NDArray[np.int64], found: npt.NDArray[np.int64], relevant: npt.ArrayLike, depth: int | None
    ) -> "RelevantRanks":
        counts = whole_numbers("relevant", relevant)
        if not len(found) or counts.shape != found.shape:
            raise ConfigurationError(
                f"{len(found)} rankings and relevant of shape {counts.shape}", "Pass one number per query."
            )
        wrong = np.flatnonzero(counts < found if depth is not None else counts != found)
        if len(wrong):
            query = wrong[0]
            raise ConfigurationError(
                f"query {query} has {counts[query]} relevant items but its ranking shows {found[query]}",
                "Count the relevant items of the whole database, without the query itself.",
            )
        return cls(ranks, found, counts, depth)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.found)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """(Q,) where each query's ranks begin in `ranks`."""
        return np.cumsum(self.found) - self.found

    @cached_property
    def _ascending(self) -> tuple[npt.NDArray[np.int64], int]:
        """Return the ranks shifted by a stride per query, so that they ascend over all queries, and the stride."""
        stride = int(self.ranks.max(initial=0)) + 1
        return self.ranks + np.repeat(np.arange(len(self)) * stride, self.found), stride

    def hits(self, k: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
        """Return (Q,) how many of each query's relevant items stand at ranks up to `k`, one for all or (Q,)."""
        ascending, stride = self._ascending
        bounds = np.arange(len(self)) * stride + np.minimum(k, stride - 1)
        return np.searchsorted(ascending, bounds, side="right") - self.starts

    def sums(self, values: npt.NDArray, counts: npt.NDArray[np.int64]) -> npt.NDArray:
        """Return (Q,) sums over each query's first `counts` relevant items of one value per rank, (M,)."""
        ends = np.stack([self.starts, self.starts + counts], axis=1).ravel()
        # reduceat wants every index inside, and gives an empty stretch the value at its start.
        sums = np.add.reduceat(np.append(values, 0), ends)[::2]
        return np.where(counts > 0, sums, 0)

    def require_depth(self, needed: npt.NDArray[np.int64] | int, measure: str) -> None:
        """Refuse rankings cut before the depth that a measure needs, unless nothing relevant is missing."""
        if self.depth is None:
            return
        short = (np.broadcast_to(needed, len(self)) > self.depth) & (self.found < self.relevant)
        if short.any():
            deepest = int(np.broadcast_to(needed, len(self))[short].max())
            raise ConfigurationError(
                f"{measure} needs rankings {deepest:,} deep, these are cut at {self.depth:,}",
                f"Retrieve at least {deepest:,} items per query.",
            )

    def require_all(self, measure: str) -> None:
        """Refuse rankings that were cut before their last relevant item; the error names the measure and the query."""
        short = np.flatnonzero(self.found < self.relevant)
        if len(short):
            query = short[0]
            raise ConfigurationError(
                f"{measure} needs the rank of every relevant item; query {query}: {self.found[query]:,} of "
                f"{self.relevant[query]:,} relevant items within depth {self.depth:,}",
                "Retrieve until all are found.",
            )


def _rows(relevance: npt.ArrayLike | Sequence[npt.ArrayLike]) -> npt.NDArray[np.bool_] | list[npt.NDArray[np.bool_]]:
    """Return a (Q, D) matrix, or a list of rows if they have several lengths; all values checked."""
    if isinstance(relevance, list | tuple) and len({np.shape(row) for row in relevance}) > 1:
        return [zeros_and_ones(f"relevance[{query}]", to_array(row)) for query, row in enumerate(relevance)]
    matrix = to_array(relevance)
    if matrix.ndim != 2:
        raise ConfigurationError(f"relevance has shape {matrix.shape}", "Pass a row of 0 and 1 per query.")
    return zeros_and_ones("relevance", matrix)
