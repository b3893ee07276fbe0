"""Where float32 cannot tell which of two items is nearer, float64 does.

An offset and a distance are rounded by a known share of each. The error of a product depends on the library that sums
it, so it is measured, on pairs of each search: relative to the lengths that enter it, which bound it by Cauchy and
Schwarz. Two distances that lie farther apart than twice what all may be off are in their true order. Chains of nearer
ones are sorted by their distances in float64, from differences of the vectors as they were given, and then by index.

Of 58,947 ordinary vectors a few have to be looked at for each query of the paper's Table 9. Where all lie closer
together than float32 can see, all have to be: slow, and right.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.retrieval.search.database import Database, is_whole
from mlrsnet_hf.retrieval.search.rankings import Block

_EVERY = 128
"""The error is measured on one query of so many, the first among them,"""
_MEASURED = 64
"""with so many of its nearest items, of which the sums are largest, and so many others."""
_SAFETY = 1.5
"""What was not measured may be off by so many times as much."""
_LEAST = 2.0**-30
"""Of a sum, if what was measured happened to have no error."""
_ROUNDING = 2.0**-24
"""Of a float32 number that was rounded once."""
_UNDERFLOW = 2.0**-110
"""Sums of products that are too small for float32 may be off by this."""
_FARTHEST = 2.0**123
"""No two distances lie farther apart: vectors longer than 2^60 are refused."""
_WHOLE = 2.0**24
"""Float32 holds all whole numbers up to this."""

_NONE = np.empty(0, dtype=np.intp)

Lengths = TypeVar("Lengths", float, npt.NDArray[np.float64])


class Doubt:
    """How far apart the float32 distances of two items must lie to be in their true order, as far as was seen."""

    def __init__(self, database: Database) -> None:
        self.database = database
        # What the product sees of an item is as long as its distance from the center; where only the queries are
        # moved, by up to the move longer.
        distances = database.distances
        self._more = 0.0 if distances.moved else float(np.linalg.norm(distances.shift))
        self._relative = _LEAST

    def queries(self, block: Block) -> list["Query"]:
        """Return the queries of a block."""
        whole = self.database.whole and is_whole(block.source)
        lengths = np.sqrt(np.einsum("qd,qd->q", block.prepared, block.prepared, dtype=np.float64)).tolist()
        inner = self.database.distances.kind == "inner_product"
        terms = [0.0] * len(block) if inner else (block.terms + self.database.level).tolist()
        return [
            Query(self, vector, length, term, certain=whole and self.scale(length, self.database.longest) <= _WHOLE)
            for vector, length, term in zip(block.source, lengths, terms, strict=True)
        ]

    def measured_rows(self, block: Block) -> range:
        """Return the rows of a block that `measure` is to see."""
        return range(-block.first % _EVERY, len(block), _EVERY)

    def measure(self, query: "Query", distances: npt.NDArray[np.float32]) -> None:
        """Learn from the (N,) distances of one query, as float32 has them up to its term."""
        number = len(distances)
        nearest = np.argpartition(distances, min(_MEASURED, number - 1))[:_MEASURED]
        items = np.concatenate([nearest, np.arange(0, number, -(-number // _MEASURED))])
        error = np.abs(query.squares(distances[items]) - query.exact(items))
        error -= _ROUNDING * (np.abs(self.database.offsets[items]) + np.abs(distances[items])) + _UNDERFLOW
        scale = self.scale(query.length, np.sqrt(self.database.squares[items])) + _UNDERFLOW
        self._relative = max(self._relative, float((error / scale).max()))

    def margin(self, query: "Query", nearest: float, farthest: float) -> float:
        """Return the difference beyond which two distances in a range are in their true order."""
        database = self.database
        longest = database.longest
        if database.distances.kind == "inner_product":
            offset = 0.0
        else:
            # No item that is so near can be longer.
            longest = min(longest, query.length / 2 + max(farthest + query.term, 0.0) ** 0.5)
            offset = max(longest * longest - database.level, database.level - database.shortest**2)
        rounding = _ROUNDING * (offset + max(abs(nearest), abs(farthest)))
        margin = 2 * (_SAFETY * self._relative * self.scale(query.length, longest) + rounding) + _UNDERFLOW
        return margin if margin < _FARTHEST else _FARTHEST

    def scale(self, query: float, item: Lengths) -> Lengths:
        """Return the size of what is added up, given the lengths of a query and of items."""
        product = query * (item + self._more)
        if self.database.distances.kind == "inner_product":
            return product
        # The moved query is rounded too, which all that is known of an item at the center is off by.
        return product + item * item + query * query / 8


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A query, whose items are ordered by float32 where it can tell and by float64 where it cannot."""

    doubt: Doubt
    vector: np.ndarray
    """(D,) as it was given."""
    length: float
    """As the product sees it."""
    term: float
    """What a distance up to it lacks."""
    certain: bool
    """Whether float32 holds every sum: of whole numbers that are small enough."""

    def margin(self, nearest: float, farthest: float) -> float:
        """Return the difference beyond which two distances in a range are in their true order."""
        if self.certain:
            return 0.0
        # What seems to be in the range may lie a little farther.
        return self.doubt.margin(self, nearest, farthest + self.doubt.margin(self, nearest, farthest))

    def squares(self, distances: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return what `exact` returns, as far as float32 has it."""
        return distances + np.float64(self.term)

    def exact(self, items: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the (n,) distances of items in float64, `Distances.exact`."""
        return self.doubt.database.exact(self.vector, items)

    def settled(
        self,
        items: npt.NDArray[np.intp],
        distances: npt.NDArray[np.float32],
        margin: float,
        decisive: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Sort those of n sorted items again, by float64, of which float32 leaves the order open.

        Args:
            items: (n,) indices in the database, by distance and then by index.
            distances: (n,) their distances in float32, ascending.
            margin: Of `margin`.
            decisive: (n - 1,) whether the order of an item and the next is asked for; all of a chain are sorted then.

        Returns:
            The (m,) places whose items are sorted again, the items that belong there, and their distances in float64.
        """
        linked = np.diff(distances) <= margin
        seeds = np.flatnonzero(linked & decisive)
        if self.certain or not len(seeds):
            return _NONE, _NONE, np.empty(0)
        apart = np.flatnonzero(~linked) + 1
        chains = np.unique(np.searchsorted(apart, seeds, side="right"))
        bounds = np.concatenate([[0], apart, [len(items)]])
        starts, sizes = bounds[chains], bounds[chains + 1] - bounds[chains]
        places, chain = _ranges(starts, sizes), np.repeat(np.arange(len(chains)), sizes)
        # Copies have one distance, and are in the order of their indices.
        firsts = self.doubt.database.first_of
        unlike = firsts[items[places]] != firsts[items[starts]][chain]
        opened = np.bincount(chain[unlike], minlength=len(chains)) > 0
        places, chain = places[opened[chain]], chain[opened[chain]]
        found = items[places]
        if not len(found):
            return _NONE, _NONE, np.empty(0)
        exact = self.exact(found)
        order = np.lexsort((found, exact, chain))
        return places, found[order], exact[order]


def _ranges(starts: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the numbers of ranges, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)
