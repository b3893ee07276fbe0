"""What a search is asked for, and what it finds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics import RelevantRanks
from mlrsnet_hf.retrieval.search.relevance import Relevance


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """The nearest items of Q queries, nearest first; of equally near ones the lower database index first."""

    indices: npt.NDArray[np.int64]
    """(Q, k) rows of the database."""
    distances: npt.NDArray[np.float32]
    """(Q, k) ascending. Euclidean distance; cosine distance, 1 - cos; for the inner product its negative, so that
    smaller is always nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What one pass over the database found for every query."""

    ranks: RelevantRanks
    """The rank of every relevant item, as the metrics of `mlrsnet_hf.metrics` take them."""
    neighbors: Neighbors
    """The nearest items."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found for every query."""

    relevance: Relevance | None = None
    """The relation whose items are ranked; None if no ranks are wanted."""
    depth: int | None = None
    """The last rank of interest; None for all."""
    k: int = 0
    """The number of nearest items; 0 for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """B queries that are ranked together."""

    first: int
    """The index of the first."""
    source: np.ndarray
    """(B, D) as they were given."""
    prepared: npt.NDArray[np.float32]
    """(B, D) and"""
    terms: npt.NDArray[np.float64]
    """(B,) as `Distances.prepare_queries` returns them."""

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.source)


@dataclass(frozen=True, slots=True, eq=False)
class BlockRanking:
    """What was found for a block of B queries."""

    ranks: Sequence[npt.NDArray[np.int64]]
    """B times the ascending ranks of the relevant items; empty if no ranks are wanted."""
    indices: npt.NDArray[np.int64]
    """(B, k) nearest items."""
    values: npt.NDArray[np.float64]
    """(B, k) their squared distances; of the inner product, its negative without the query's term."""


class Backend(Protocol):
    """What ranks blocks of queries against a database."""

    def rank(self, blocks: Iterable[Block], wanted: Wanted) -> Iterator[BlockRanking]:
        """Yield the ranking of each block, in order."""
