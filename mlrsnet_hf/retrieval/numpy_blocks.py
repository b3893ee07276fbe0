"""Ranking of a block of queries on the processor, by NumPy: one matrix product, then each row on a thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.cores import available_cores
from mlrsnet_hf.retrieval.block_ranking import BlockRanking, Wanted
from mlrsnet_hf.retrieval.database import Database
from mlrsnet_hf.retrieval.row_ranks import RowMemory, nearest_in_row, ranks_in_row

_ROWS_PER_TASK = 64


class NumpyBlocks:
    """Ranks blocks of queries against a database.

    Args:
        database: The database.
        rows: How many queries a block has at most.
    """

    def __init__(self, database: Database, rows: int) -> None:
        self._database = database
        self._products = np.empty((rows, len(database)), dtype=np.float32)

    def rank(self, queries: npt.NDArray[np.float32], wanted: Wanted) -> BlockRanking:
        """Rank the database for the queries of a block; see `Blocks.rank`."""
        for columns, part in self._database.parts():
            np.matmul(queries, part.T, out=self._products[: len(queries), columns])
        indices = np.empty((len(queries), wanted.k), dtype=np.int64)
        values = np.empty((len(queries), wanted.k), dtype=np.float32)

        def rank_rows(first: int) -> list[npt.NDArray[np.int64]]:
            ranks, memory = [], RowMemory(len(self._database))
            for row in range(first, min(first + _ROWS_PER_TASK, len(queries))):
                distances = self._distances(row)
                if wanted.k:
                    indices[row] = nearest_in_row(distances, wanted.k)
                    values[row] = distances[indices[row]]
                if wanted.members is not None:
                    ranks.append(ranks_in_row(distances, wanted.members(row), wanted.depth, memory))
            return ranks

        with ThreadPoolExecutor(available_cores()) as pool:
            ranks = [row for rows in pool.map(rank_rows, range(0, len(queries), _ROWS_PER_TASK)) for row in rows]
        return BlockRanking(ranks, indices, values)

    def _distances(self, row: int) -> npt.NDArray[np.float32]:
        """Turn a row of products into distances, up to what is the same for all items."""
        distances = self._products[row]
        np.subtract(self._database.offsets, distances, out=distances)
        if len(self._database.copies):
            distances[self._database.copies] = distances[self._database.firsts]
        return distances
