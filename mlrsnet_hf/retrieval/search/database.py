"""The vectors that a search ranks, and how a cap on memory is spent on them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.retrieval.search.distances import Distances

_PART_BYTES = 2**25
"""Vectors that are not held are prepared so many at a time."""
_FEW_QUERIES = 64
"""If a copy of the database leaves room for fewer, it is not held: the product needs the room more."""
_BLOCK_BYTES = 8
"""Per query and item on the processor: two blocks of products, of which one is ranked while the other is made."""
_ROW_BYTES = 32
"""Per item, for the histogram, the steps and the flags of the row that is ranked."""
_DEVICE_BYTES = 40
"""Per query and item on a GPU: distances, sorted distances and their order, as much again for the sort, and flags."""

_ROWS_PER_TASK = 256
_COMPARED_AT_ONCE = 1024
_EXACT_BYTES = 2**22
"""Distances in float64 are taken of so many vectors at a time."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a cap on memory is spent."""

    hold: bool
    """Whether a prepared copy of the database is held."""
    part_rows: int
    """Number of vectors that are prepared at a time if not."""
    queries: int
    """Number of queries that a block may have."""

    @classmethod
    def within(cls, megabytes: float, items: int, dimensions: int, *, on_device: bool, prepared: bool) -> "MemoryPlan":
        """Plan for a database, which needs no copy where it is prepared already and in the processor's memory.

        Raises:
            ConfigurationError: Not even one query fits.
        """
        vector = 4 * dimensions
        copy, part = items * vector, min(items * vector, max(vector, _PART_BYTES))
        needed = 0 if prepared and not on_device else copy
        query = items * (_DEVICE_BYTES if on_device else _BLOCK_BYTES)
        row = 0 if on_device else items * _ROW_BYTES
        room = megabytes * 2**20 - row
        hold = needed == 0 or room >= needed + _FEW_QUERIES * query
        queries = int((room - (needed if hold else min(needed, part))) // query)
        if queries < 1:
            least = -(-(row + min(needed, part) + query) // 2**20)
            raise ConfigurationError(
                f"memory_megabytes={megabytes} does not hold one query by {items:,} items of {dimensions:,} dimensions",
                f"Give at least {least:,}.",
            )
        return cls(hold, part // vector, queries)


class Database:
    """Vectors prepared for the product: held, or prepared anew, part by part, each time they are read.

    Args:
        source: (N, D) vectors, kept as they are; a memory-mapped array is read part by part.
        distances: How they are prepared.
        hold: Whether to hold them all, 4 N D bytes; nothing where they are prepared already.
        part_rows: Number of vectors that are prepared at a time if not.
        ids: (N,) their names, for errors.

    Attributes:
        squares: (N,) squared distances from the center, in float64.
        level: The median square, rounded so that whole numbers stay whole.
        offsets: (N,) float32, what the products are subtracted from: the squares less the level, or 0 for the inner
            product.
        copies: Indices of the vectors that equal an earlier one.
        firsts: The index of the first such vector, for each of the copies.
        first_of: (N,) the index of the first equal vector, of each.
        shortest, longest: The distances from the center of the vectors nearest to it and farthest from it.
        whole: Whether all values are whole numbers, as the product sees them too.

    Raises:
        ConfigurationError: A vector cannot be used; the message names it.
    """

    def __init__(
        self, source: np.ndarray, distances: Distances, *, hold: bool, part_rows: int, ids: Sequence[Any] | None = None
    ) -> None:
        self.source, self.distances = source, distances
        self._part_rows, self._ids = part_rows, ids
        uncopied = hold and distances.are_prepared(source)
        self._held = source if uncopied else np.empty(source.shape, dtype=np.float32) if hold else None
        self.squares, hashes = np.empty(len(source)), np.empty(len(source), dtype=np.uint32)
        fractions = [] if distances.kind != "cosine" and is_whole(distances.shift) else [slice(None)]

        def prepare(rows: slice) -> None:
            prepared, self.squares[rows] = self._prepare(rows)
            hashes[rows] = row_hashes(prepared)
            if not fractions and not is_whole(source[rows]):
                fractions.append(rows)
            if self._held is not None and not uncopied:
                self._held[rows] = prepared

        with ThreadPoolExecutor(available_cores()) as pool:
            for _ in pool.map(prepare, self._slices(min(part_rows, _ROWS_PER_TASK))):
                pass
        self.whole = not fractions
        # Offsets that have nothing in common lose fewer digits in float32.
        self.level = float(np.rint(np.median(self.squares)))
        offsets = np.zeros(len(source)) if distances.kind == "inner_product" else self.squares - self.level
        self.offsets = offsets.astype(np.float32)
        # Vectors that are equal only as float32 prepares them are no copies.
        self.copies, self.firsts = find_copies(hashes, self.source.__getitem__)
        self.first_of = np.arange(len(source))
        self.first_of[self.copies] = self.firsts
        self.shortest, self.longest = (float(np.sqrt(bound)) for bound in (self.squares.min(), self.squares.max()))

    def __len__(self) -> int:
        return len(self.source)

    def parts(self) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the rows of each part and its (n, D) vectors."""
        if self._held is not None:
            yield slice(0, len(self)), self._held
            return
        for rows in self._slices(self._part_rows):
            yield rows, self._prepare(rows)[0]

    def _slices(self, step: int) -> Iterator[slice]:
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def _prepare(self, rows: slice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        return self.distances.prepare(self.source[rows], "database", rows.start, self._ids)

    def exact(self, query: np.ndarray, items: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return `Distances.exact` of one query, as it was given, and items by their indices."""
        rows = max(1, _EXACT_BYTES // (8 * self.source.shape[1]))
        parts = (items[start : start + rows] for start in range(0, len(items), rows))
        return np.concatenate([self.distances.exact(query, self.source[part]) for part in parts])


def is_whole(values: np.ndarray) -> bool:
    """Return whether all values are whole numbers."""
    # Most values are not: the first row tells.
    return bool((values[0] == np.rint(values[0])).all() and (values == np.rint(values)).all())


def row_hashes(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Return (N,) numbers, equal for equal rows and seldom for others, of (N, D) C-contiguous rows without -0."""
    weights = np.random.default_rng(0).integers(2**32, size=rows.shape[1], dtype=np.uint32) | np.uint32(1)
    return np.einsum("nd,d->n", rows.view(np.uint32), weights)


def find_copies(
    hashes: npt.NDArray[np.uint32], read: Callable[[npt.NDArray[np.int64]], np.ndarray]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ascending indices of rows that equal an earlier one, and for each the index of the first such row.

    `hashes` are (N,) and equal for equal rows, as `row_hashes` are; `read` returns the (n, D) rows of given indices.

    Examples:
        >>> rows = np.float32([[1, 2], [3, 4], [1, 2], [1, 2]])
        >>> [found.tolist() for found in find_copies(row_hashes(rows), rows.__getitem__)]
        [[2, 3], [0, 0]]
    """
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    firsts = first[inverse]
    alike = np.flatnonzero(firsts != np.arange(len(hashes)))
    parts = (alike[start : start + _COMPARED_AT_ONCE] for start in range(0, len(alike), _COMPARED_AT_ONCE))
    equal = [(read(part) == read(firsts[part])).all(axis=1) for part in parts]
    copies = alike[np.concatenate(equal)] if equal else alike
    return copies, firsts[copies]
