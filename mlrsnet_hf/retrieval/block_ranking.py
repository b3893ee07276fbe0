"""What ranks a block of queries, and what it returns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
