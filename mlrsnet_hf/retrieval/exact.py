"""Exact search: rankings of a database for many queries, at any depth, in blocks.

All arithmetic is float32, after a move to the database's centre (`space.py`). The ranking is that of a stable sort in
float64 wherever two squared distances differ by more than 1e-5 (|q|^2 + |x|^2); equal distances, and always those of
equal vectors, rank by database index.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.extras import require_extra
from mlrsnet_hf.metrics import RelevantRanks
from mlrsnet_hf.metrics.arguments import require_choice, whole_number
from mlrsnet_hf.retrieval.block_ranking import BlockRanking, Blocks
from mlrsnet_hf.retrieval.database import Database
from mlrsnet_hf.retrieval.memory import MemoryPlan
from mlrsnet_hf.retrieval.near_zero import mend_near_zero
from mlrsnet_hf.retrieval.neighbours import Neighbours, Ranking
from mlrsnet_hf.retrieval.numpy_blocks import NumpyBlocks
from mlrsnet_hf.retrieval.relevance import Relevance
from mlrsnet_hf.retrieval.space import METRICS, Metric, Space, vectors

_MOST_QUERIES = 1024
"""A product of so many queries is as fast as a larger one."""


class Search:
    """A database that can be ranked for queries.

    Args:
        database: (N, D) vectors, an array (memory-mapped too) or tensor of real numbers; kept, and not to be changed.
        metric: "euclidean", "cosine" (no vector may be zero) or "inner_product" (largest first).
        device: None for NumPy on the processor; otherwise a device of torch, such as "cuda".
        memory_megabytes: How much the search may hold besides `database`, the queries and the results: a prepared copy
            of the database if it fits (4 N D bytes; otherwise it is prepared anew for each block), and a block of
            queries by items. With a device, of the device's memory.
        ids: (N,) names of the vectors, for errors.

    Raises:
        ConfigurationError: A vector is NaN, infinite or, for the cosine, zero (the message names it); the database is
            empty; or the memory does not hold one query by all items.
        MissingExtraError: A device was given and torch is not installed.

    Examples:
        >>> search = Search(np.float32([[0, 0], [3, 4], [1, 0]]))
        >>> search.top([[0, 0]], k=2).distances.tolist()
        [[0.0, 1.0]]
    """

    def __init__(
        self,
        database: npt.ArrayLike,
        metric: Metric = "euclidean",
        *,
        device: Any = None,  # noqa: ANN401 - torch is not imported here
        memory_megabytes: float = 1024,
        ids: Sequence[Any] | None = None,
    ) -> None:
        require_choice("metric", metric, METRICS)
        source = vectors("database", database)
        if ids is not None and len(ids) != len(source):
            raise ConfigurationError(f"{len(ids)} ids for {len(source)} vectors", "Pass one per vector.")
        if device is not None:
            require_extra("train")
        self._plan = MemoryPlan.within(memory_megabytes, *source.shape, on_device=device is not None)
        # What a device holds need not be held here too.
        held_rows = self._plan.hold and device is None
        space = Space.around(source, metric)
        self._database = Database(source, space, hold=held_rows, part_rows=self._plan.part_rows, ids=ids)
        self._on_device = None if device is None else _device_blocks(self._database, device, hold=self._plan.hold)

    def __len__(self) -> int:
        """Return the number of vectors in the database."""
        return len(self._database)

    def top(self, queries: npt.ArrayLike, k: int, *, progress: bool = False) -> Neighbours:
        """Return the k nearest items of each query.

        Args:
            queries: (Q, D) vectors.
            k: How many.
            progress: Whether to show a progress bar.

        Raises:
            ConfigurationError: k exceeds the database, or the queries do not fit it or hold NaN.
        """
        return _neighbours(list(self._blocks(queries, None, self._depth(k), progress)))

    def relevant_ranks(self, queries: npt.ArrayLike, relevance: Relevance, *, progress: bool = False) -> RelevantRanks:
        """Return the rank of every relevant item of each query: all that measures on binary relevance need.

        Args:
            queries: (Q, D) vectors.
            relevance: Which items are relevant: `SameClass`, `CommonLabels` or another relation of (Q, N).
            progress: Whether to show a progress bar.

        Returns:
            Whole rankings, which the metrics of `mlrsnet_hf.metrics` take as they are: 8 bytes for each relevant item.

        Raises:
            ConfigurationError: The relation has another shape, or the queries do not fit the database or hold NaN.

        Examples:
            >>> from mlrsnet_hf.retrieval.relevance import SameClass
            >>> search = Search(np.float32([[0], [4], [9]]))
            >>> search.relevant_ranks([[1]], SameClass(["pier"], ["pier", "park", "pier"])).ranks.tolist()
            [1, 3]
        """
        return _relevant_ranks(list(self._blocks(queries, relevance, 0, progress)))

    def rank(self, queries: npt.ArrayLike, relevance: Relevance, k: int, *, progress: bool = False) -> Ranking:
        """Return in one pass what `relevant_ranks` and `top` return; arguments and errors as there.

        The top k with the labels gives the gains of the graded measures:

            gains = common_labels(query_labels, database_labels, ranking.neighbours.indices)
        """
        blocks = list(self._blocks(queries, relevance, self._depth(k), progress))
        return Ranking(_relevant_ranks(blocks), _neighbours(blocks))

    def _blocks(
        self, queries: npt.ArrayLike, relevance: Relevance | None, k: int, progress: bool
    ) -> Iterator[BlockRanking]:
        """Yield what was found for each block of queries, `values` being distances."""
        asked = vectors("queries", queries, self._database.source.shape[1])
        if relevance is not None and relevance.shape != (len(asked), len(self)):
            raise ConfigurationError(
                f"the relevance is of {relevance.shape} queries and items, the search of {(len(asked), len(self))}",
                "Pass one class or row of labels per vector.",
            )
        rows = min(len(asked), self._plan.queries, _MOST_QUERIES)
        blocks: Blocks = self._on_device or NumpyBlocks(self._database, rows)
        with tqdm(total=len(asked), unit="query", disable=not progress) as bar:
            for start in range(0, len(asked), rows):
                block = asked[start : start + rows]
                yield self._rank_block(blocks, block, start, relevance, k)
                bar.update(len(block))

    def _rank_block(
        self, blocks: Blocks, queries: np.ndarray, start: int, relevance: Relevance | None, k: int
    ) -> BlockRanking:
        placed, terms = self._database.space.ask(queries, start)
        found = blocks.rank(placed, None if relevance is None else lambda row: relevance(start + row), k)
        return mend_near_zero(found, queries, terms, self._database)

    def _depth(self, k: int) -> int:
        k = whole_number("k", k)
        if k > len(self):
            raise ConfigurationError(f"k={k:,} exceeds the {len(self):,} items of the database", "Ask for fewer.")
        return k


def _device_blocks(database: Database, device: Any, *, hold: bool) -> Blocks:  # noqa: ANN401
    from mlrsnet_hf.retrieval.torch_blocks import TorchBlocks

    return TorchBlocks(database, device, hold=hold)


def _relevant_ranks(blocks: Sequence[BlockRanking]) -> RelevantRanks:
    ranks = [row for block in blocks for row in block.ranks]
    found = np.array([len(row) for row in ranks], dtype=np.int64)
    return RelevantRanks(np.concatenate(ranks), found, found, depth=None)


def _neighbours(blocks: Sequence[BlockRanking]) -> Neighbours:
    return Neighbours(
        np.concatenate([block.indices for block in blocks]), np.concatenate([block.values for block in blocks])
    )
