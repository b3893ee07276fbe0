"""Ranking of blocks of queries on the processor, by NumPy: the rows of one while the product of the next is made."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.retrieval.block_ranking import Block, BlockRanking, Wanted
from mlrsnet_hf.retrieval.database import Database
from mlrsnet_hf.retrieval.row_ranks import RowMemory, nearest_in_row, ranks_in_row


class NumpyBlocks:
    """Ranks blocks of queries against a database.

    One thread ranks. Each of its steps is too short for several: they would pass Python's lock to and fro for longer
    than they compute. The product, which does not need the lock, has all cores meanwhile but for the share of this one.

    Args:
        database: The database.
        rows: How many queries a block has at most; two blocks are held.
    """

    def __init__(self, database: Database, rows: int) -> None:
        self._database = database
        self._products = [np.empty((rows, len(database)), dtype=np.float32) for _ in range(2)]
        self._memory = RowMemory(len(database))

    def rank(self, blocks: Iterable[Block]) -> Iterator[BlockRanking]:
        """Yield the ranking of each block; see `Blocks.rank`."""
        with ThreadPoolExecutor(1) as ranker:
            before: Future[BlockRanking] | None = None
            for number, (queries, wanted) in enumerate(blocks):
                products = self._multiply(queries, self._products[number % 2])
                if before is not None:
                    yield before.result()
                before = ranker.submit(self._rank, products, wanted)
            if before is not None:
                yield before.result()

    def _multiply(self, queries: npt.NDArray[np.float32], products: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return (B, N) products of queries and items."""
        for columns, part in self._database.parts():
            np.matmul(queries, part.T, out=products[: len(queries), columns])
        return products[: len(queries)]

    def _rank(self, products: npt.NDArray[np.float32], wanted: Wanted) -> BlockRanking:
        ranks = []
        indices = np.empty((len(products), wanted.k), dtype=np.int64)
        values = np.empty((len(products), wanted.k), dtype=np.float32)
        for row, of_row in enumerate(products):
            distances = self._distances(of_row)
            if wanted.k:
                indices[row] = nearest_in_row(distances, wanted.k)
                values[row] = distances[indices[row]]
            if wanted.members is not None:
                ranks.append(ranks_in_row(distances, wanted.members(row), wanted.depth, self._memory))
        return BlockRanking(ranks, indices, values)

    def _distances(self, products: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn a row of products into distances, up to what is the same for all items."""
        distances = np.subtract(self._database.offsets, products, out=products)
        if len(self._database.copies):
            distances[self._database.copies] = distances[self._database.firsts]
        return distances
