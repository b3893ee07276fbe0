"""Exact search: rankings of a database for many queries, at any depth, in blocks.

The products are float32, seen from the database's center (`space.py`). The ranking is that of a stable sort in
float64 wherever two squared distances differ by more than 1e-5 (|q|^2 + |x|^2); equal distances, and always those of
equal vectors, rank by database index.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.metrics import RelevantRanks
from mlrsnet_hf.metrics.arguments import require_choice, whole_number
from mlrsnet_hf.retrieval.search.database import Database, MemoryPlan
from mlrsnet_hf.retrieval.search.distances import METRICS, Metric, Space, as_vectors
from mlrsnet_hf.retrieval.search.numpy_backend import NumpyBlocks
from mlrsnet_hf.retrieval.search.rankings import Block, BlockRanking, Blocks, Neighbors, Ranking, Wanted
from mlrsnet_hf.retrieval.search.relevance import Relevance, relevant_counts

_MOST_QUERIES = 1024
"""A product of so many queries is as fast as a larger one."""


class Search:
    """A database that can be ranked for queries.

    Args:
        database: (N, D) vectors, an array (memory-mapped too) or tensor of real numbers; kept, and not to be changed.
        metric: "euclidean", "cosine" (no vector may be zero) or "inner_product" (largest first).
        device: None for NumPy on the processor; otherwise a device of torch, such as "cuda".
        memory_megabytes: How much the search may hold besides `database`, the queries and the results: two blocks of
            queries by items (one on a device), and a prepared copy of the database if it fits (4 N D bytes; otherwise
            it is prepared anew for each block). No copy is needed of a float32 array that is not far from the origin,
            except for the cosine. With a device, of the device's memory.
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
        source = as_vectors("database", database)
        if ids is not None and len(ids) != len(source):
            raise ConfigurationError(f"{len(ids)} ids for {len(source)} vectors", "Pass one per vector.")
        if device is not None:
            require_extra("train")
        space = Space.around(source, metric)
        self._plan = MemoryPlan.within(
            memory_megabytes, *source.shape, on_device=device is not None, as_it_is=space.is_place_of(source)
        )
        # What a device holds need not be held here too.
        held_rows = self._plan.hold and device is None
        self._database = Database(source, space, hold=held_rows, part_rows=self._plan.part_rows, ids=ids)
        self._on_device = None if device is None else _device_blocks(self._database, device, hold=self._plan.hold)

    def __len__(self) -> int:
        """Return the number of vectors in the database."""
        return len(self._database)

    def top(self, queries: npt.ArrayLike, k: int, *, progress: bool = False) -> Neighbors:
        """Return the k nearest items of each query.

        Args:
            queries: (Q, D) vectors.
            k: How many.
            progress: Whether to show a progress bar.

        Raises:
            ConfigurationError: k exceeds the database, or the queries do not fit it or hold NaN.
        """
        return _neighbors(self._found(queries, _Asked(k=self._k(k)), progress))

    def relevant_ranks(
        self, queries: npt.ArrayLike, relevance: Relevance, *, depth: int | None = None, progress: bool = False
    ) -> RelevantRanks:
        """Return the ranks of each query's relevant items: all that measures on binary relevance need.

        Args:
            queries: (Q, D) vectors.
            relevance: Which items are relevant: `SameClass`, `CommonLabels` or another relation of (Q, N).
            depth: The last rank of interest, which saves time; Table 9 needs `table9_depth(relevance)`. None for all
                ranks, which precision-recall curves need.
            progress: Whether to show a progress bar.

        Returns:
            Rankings that the metrics of `mlrsnet_hf.metrics` take as they are; 8 bytes for each relevant item.

        Raises:
            ConfigurationError: The relation has another shape, or the queries do not fit the database or hold NaN.

        Examples:
            >>> from mlrsnet_hf.retrieval.search.relevance import SameClass
            >>> search = Search(np.float32([[0], [4], [9]]))
            >>> search.relevant_ranks([[1]], SameClass(["pier"], ["pier", "park", "pier"])).ranks.tolist()
            [1, 3]
        """
        asked = _Asked(relevance, self._rank_depth(depth))
        return _relevant_ranks(self._found(queries, asked, progress), asked)

    def rank(
        self,
        queries: npt.ArrayLike,
        relevance: Relevance,
        k: int,
        *,
        depth: int | None = None,
        progress: bool = False,
    ) -> Ranking:
        """Return in one pass what `relevant_ranks` and `top` return; arguments and errors as there.

        The top k with the labels gives the gains of the graded measures:

            gains = common_labels(query_labels, database_labels, ranking.neighbors.indices)
        """
        asked = _Asked(relevance, self._rank_depth(depth), self._k(k))
        found = self._found(queries, asked, progress)
        return Ranking(_relevant_ranks(found, asked), _neighbors(found))

    def _found(self, queries: npt.ArrayLike, asked: "_Asked", progress: bool) -> list[BlockRanking]:
        """Return what was found for each block of queries, `values` being distances."""
        vectors = as_vectors("queries", queries, self._database.source.shape[1])
        if asked.relevance is not None and asked.relevance.shape != (len(vectors), len(self)):
            raise ConfigurationError(
                f"the relevance is of {asked.relevance.shape} queries and items, not {(len(vectors), len(self))}",
                "Pass one class or row of labels per vector.",
            )
        rows = min(len(vectors), self._plan.queries, _MOST_QUERIES)
        blocks: Blocks = self._on_device or NumpyBlocks(self._database, rows)
        waiting: deque[tuple[np.ndarray, npt.NDArray[np.float64]]] = deque()

        def placed_blocks() -> Iterator[Block]:
            for start in range(0, len(vectors), rows):
                block = vectors[start : start + rows]
                placed, terms = self._database.space.ask(block, start)
                waiting.append((block, terms))
                yield placed, asked.of_block(start)

        found = []
        with tqdm(total=len(vectors), unit="query", disable=not progress) as bar:
            for ranking in blocks.rank(placed_blocks()):
                block, terms = waiting.popleft()
                found.append(mend_near_zero(ranking, block, terms, self._database))
                bar.update(len(block))
        return found

    def _k(self, k: int) -> int:
        k = whole_number("k", k)
        if k > len(self):
            raise ConfigurationError(f"k={k:,} exceeds the {len(self):,} items of the database", "Ask for fewer.")
        return k

    def _rank_depth(self, depth: int | None) -> int | None:
        """Return a depth that cuts the ranking, or None."""
        return None if depth is None or whole_number("depth", depth) >= len(self) else whole_number("depth", depth)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call asks of all queries."""

    relevance: Relevance | None = None
    depth: int | None = None
    k: int = 0

    def of_block(self, start: int) -> Wanted:
        relevance = self.relevance
        return Wanted(None if relevance is None else lambda row: relevance(start + row), self.depth, self.k)


def _device_blocks(database: Database, device: Any, *, hold: bool) -> Blocks:  # noqa: ANN401
    from mlrsnet_hf.retrieval.search.torch_backend import TorchBlocks

    return TorchBlocks(database, device, hold=hold)


def _relevant_ranks(blocks: Sequence[BlockRanking], asked: _Asked) -> RelevantRanks:
    ranks = [row for block in blocks for row in block.ranks]
    found = np.array([len(row) for row in ranks], dtype=np.int64)
    relevant = found if asked.depth is None or asked.relevance is None else relevant_counts(asked.relevance)
    return RelevantRanks(np.concatenate(ranks), found, relevant, asked.depth)


def _neighbors(blocks: Sequence[BlockRanking]) -> Neighbors:
    return Neighbors(
        np.concatenate([block.indices for block in blocks]), np.concatenate([block.values for block in blocks])
    )


_NEAR = 1e-3
"""Of the squared distance from the center; the product has an error of some 1e-6 of it."""
_AT_ONCE = 1024


def mend_near_zero(
    found: BlockRanking, queries: np.ndarray, terms: npt.NDArray[np.float64], database: Database
) -> BlockRanking:
    """Return a ranking whose `values` are the metric's distances, those near zero from differences in float64.

    Args:
        found: The ranking of a block of B queries.
        queries: (B, D) as the user gave them.
        terms: (B,) as `Space.ask` gave them.
        database: The database.
    """
    space, indices = database.space, found.indices
    whole = found.values + terms[:, None]
    if space.metric == "inner_product":
        return dataclasses.replace(found, values=whole.astype(np.float32))
    near = whole <= _NEAR * database.offsets[indices]
    for row in np.flatnonzero(near.any(axis=1)):
        columns = np.flatnonzero(near[row])
        for some in np.split(columns, range(_AT_ONCE, len(columns), _AT_ONCE)):
            rows = database.source[indices[row, some]]
            whole[row, some] = space.squared_distances(queries[row], rows)
        order = np.lexsort((indices[row], whole[row]))
        indices[row], whole[row] = indices[row, order], whole[row, order]
    return dataclasses.replace(found, values=space.from_squares(whole).astype(np.float32))
