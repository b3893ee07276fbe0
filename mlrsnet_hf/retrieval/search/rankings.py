"""What ranks a block of queries, and what it returns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics import RelevantRanks

Members = Callable[[int], npt.NDArray[np.int64]]
"""From a row of the block to the ascending indices of the items that are relevant to its query."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found for the queries of a block."""

    members: Members | None
    """The relevant items; None if no ranks are wanted."""
    depth: int | None
    """The last rank of interest; None for all."""
    k: int
    """How many of the nearest items, 0 for none."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockRanking:
    """What was found for a block of B queries."""

    ranks: Sequence[npt.NDArray[np.int64]]
    """B times the ascending ranks of the relevant items; empty if they were not asked for."""
    indices: npt.NDArray[np.int64]
    """(B, k) nearest items."""
    values: npt.NDArray[np.float32]
    """(B, k) their offsets minus products."""


Block = tuple[npt.NDArray[np.float32], Wanted]
"""The queries of a block, (B, D) as `Space.ask` returns them, and what is to be found for them."""


class Blocks(Protocol):
    """Ranks blocks of queries against a database."""

    def rank(self, blocks: Iterable[Block]) -> Iterator[BlockRanking]:
        """Yield the ranking of each block, in order."""


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
