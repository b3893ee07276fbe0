"""Exact search: rankings of a database for many queries, at any depth, in blocks.

The order is that of the distances in float64, from differences of the vectors as they are given; equal distances, and
always those of equal vectors, rank by database index. Most of it is found by products in float32, seen from the
database's center (`distances.py`); what these leave open is looked at again (`doubt.py`).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.metrics import RelevantRanks
from mlrsnet_hf.metrics.arguments import require_choice, to_array, whole_number
from mlrsnet_hf.retrieval.search.database import Database, MemoryPlan
from mlrsnet_hf.retrieval.search.distances import DISTANCES, Distance, Distances
from mlrsnet_hf.retrieval.search.numpy_backend import NumpyBackend
from mlrsnet_hf.retrieval.search.rankings import Backend, Block, BlockRanking, Neighbors, Ranking, Wanted
from mlrsnet_hf.retrieval.search.relevance import Relevance, relevant_counts
from mlrsnet_hf.runtime.logs import progress_bar

_MOST_QUERIES = 1024
"""A product of so many queries is as fast as a larger one."""
_NEAR = 1e-2
"""Share of what is added up, of which the product has an error of some 1e-7."""


class Search:
    """A database that can be ranked for queries.

    Args:
        database: (N, D) vectors, an array (memory-mapped too) or tensor of real numbers; kept, and not to be changed.
        distance: "euclidean", "cosine" (no vector may be zero) or "inner_product" (largest first).
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
        distance: Distance = "euclidean",
        *,
        device: Any = None,  # noqa: ANN401 - torch is not imported here
        memory_megabytes: float = 1024,
        ids: Sequence[Any] | None = None,
    ) -> None:
        require_choice("distance", distance, DISTANCES)
        source = _as_vectors("database", database)
        if ids is not None and len(ids) != len(source):
            raise ConfigurationError(f"{len(ids)} ids for {len(source)} vectors", "Pass one per vector.")
        if device is not None:
            require_extra("train")
        distances = Distances.around_center(source, distance)
        self._plan = MemoryPlan.within(
            memory_megabytes, *source.shape, on_device=device is not None, prepared=distances.are_prepared(source)
        )
        # What a device holds need not be held here too.
        held_here = self._plan.hold and device is None
        self._database = Database(source, distances, hold=held_here, part_rows=self._plan.part_rows, ids=ids)
        self._on_device = None if device is None else _torch_backend(self._database, device, hold=self._plan.hold)

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
        return _neighbors(self._ranked_blocks(queries, Wanted(k=self._checked_k(k)), progress))

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
            >>> from mlrsnet_hf.retrieval import SameClass
            >>> search = Search(np.float32([[0], [4], [9]]))
            >>> search.relevant_ranks([[1]], SameClass(["pier"], ["pier", "park", "pier"])).ranks.tolist()
            [1, 3]
        """
        wanted = Wanted(relevance, self._checked_depth(depth))
        return _relevant_ranks(self._ranked_blocks(queries, wanted, progress), wanted)

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
        wanted = Wanted(relevance, self._checked_depth(depth), self._checked_k(k))
        ranked = self._ranked_blocks(queries, wanted, progress)
        return Ranking(_relevant_ranks(ranked, wanted), _neighbors(ranked))

    def _ranked_blocks(self, queries: npt.ArrayLike, wanted: Wanted, progress: bool) -> list[BlockRanking]:
        """Return what was found for each block of queries, `values` being distances."""
        vectors = _as_vectors("queries", queries, self._database.source.shape[1])
        if wanted.relevance is not None and wanted.relevance.shape != (len(vectors), len(self)):
            raise ConfigurationError(
                f"the relevance is of {wanted.relevance.shape} queries and items, not {(len(vectors), len(self))}",
                "Pass one class or row of labels per vector.",
            )
        rows = min(len(vectors), self._plan.queries, _MOST_QUERIES)
        backend: Backend = self._on_device or NumpyBackend(self._database, rows)

        def blocks() -> Iterator[Block]:
            for start in range(0, len(vectors), rows):
                some = vectors[start : start + rows]
                yield Block(start, some, *self._database.distances.prepare_queries(some, start))

        ranked = []
        with progress_bar(description="searching", total=len(vectors), unit="query", shown=progress) as bar:
            for number, found in enumerate(backend.rank(blocks(), wanted)):
                some = vectors[number * rows : (number + 1) * rows]
                ranked.append(_with_distances(found, some, self._database))
                bar.update(len(some))
        return ranked

    def _checked_k(self, k: int) -> int:
        k = whole_number("k", k)
        if k > len(self):
            raise ConfigurationError(f"k={k:,} exceeds the {len(self):,} items of the database", "Ask for fewer.")
        return k

    def _checked_depth(self, depth: int | None) -> int | None:
        """Return a depth that cuts the ranking, or None."""
        return None if depth is None or whole_number("depth", depth) >= len(self) else whole_number("depth", depth)


def _as_vectors(name: str, values: npt.ArrayLike, dimensions: int | None = None) -> np.ndarray:
    """Return vectors as a two-dimensional array of a floating-point type; nothing is copied that need not be."""
    array = to_array(values)
    if array.ndim != 2 or not array.size:
        raise ConfigurationError(f"{name} have shape {array.shape}", "Pass a non-empty array of (vectors, dimensions).")
    if array.dtype.kind not in "fiub":
        raise ConfigurationError(f"{name} have dtype {array.dtype}", "Pass real numbers.")
    if dimensions is not None and array.shape[1] != dimensions:
        raise ConfigurationError(
            f"{name} have {array.shape[1]:,} dimensions, the database {dimensions:,}",
            "Both must come from one model and layer.",
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _torch_backend(database: Database, device: Any, *, hold: bool) -> Backend:  # noqa: ANN401
    from mlrsnet_hf.retrieval.search.torch_backend import TorchBackend

    return TorchBackend(database, device, hold=hold)


def _with_distances(found: BlockRanking, queries: np.ndarray, database: Database) -> BlockRanking:
    """Return the ranking of a block whose `values` are distances; `queries` are (B, D) as the user gave them."""
    distances, values, squares = database.distances, found.values, database.squares[found.indices]
    terms: np.ndarray = np.zeros((len(queries), 1))
    # Those near zero anew: the error of the product would show.
    if distances.kind == "inner_product":
        exact = queries.astype(np.float64)
        terms = (exact @ distances.shift)[:, None]
        near = np.abs(values + terms) <= _NEAR * np.sqrt(squares * np.einsum("qd,qd->q", exact, exact)[:, None])
    else:
        near = values <= _NEAR * squares
    for row in np.flatnonzero(near.any(axis=1)):
        values[row, near[row]] = database.exact(queries[row], found.indices[row, near[row]])
    values += terms
    if distances.kind == "cosine":
        values /= 2  # of unit vectors, |u - v|^2 = 2 - 2 cos
    elif distances.kind == "euclidean":
        np.sqrt(values, out=values)
    return dataclasses.replace(found, values=values)


def _relevant_ranks(blocks: Sequence[BlockRanking], wanted: Wanted) -> RelevantRanks:
    ranks = [row for block in blocks for row in block.ranks]
    found = np.array([len(row) for row in ranks], dtype=np.int64)
    relevant = found if wanted.depth is None or wanted.relevance is None else relevant_counts(wanted.relevance)
    return RelevantRanks(np.concatenate(ranks), found, relevant, wanted.depth)


def _neighbors(blocks: Sequence[BlockRanking]) -> Neighbors:
    distances = np.concatenate([block.values for block in blocks])
    return Neighbors(np.concatenate([block.indices for block in blocks]), distances.astype(np.float32))
