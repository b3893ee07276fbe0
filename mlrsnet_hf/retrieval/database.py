"""The vectors that a search ranks, within a cap on memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.cores import available_cores
from mlrsnet_hf.retrieval.copies import find_copies, row_hashes
from mlrsnet_hf.retrieval.space import Space

_ROWS_PER_TASK = 256


class Database:
    """Vectors placed in their space: held, or prepared anew, part by part, each time they are read.

    Args:
        source: (N, D) vectors, kept as they are; a memory-mapped array is read part by part.
        space: Their space.
        hold: Whether to hold them all, 4 N D bytes; nothing where they are ready as they are.
        part_rows: How many are prepared at a time if not.
        ids: (N,) their names, for errors.

    Raises:
        ConfigurationError: A vector cannot be used; the message names it.
    """

    def __init__(
        self, source: np.ndarray, space: Space, *, hold: bool, part_rows: int, ids: Sequence[Any] | None = None
    ) -> None:
        self.source, self.space = source, space
        self._part_rows, self._ids = part_rows, ids
        as_it_is = hold and space.is_place_of(source)
        self._held = source if as_it_is else np.empty(source.shape, dtype=np.float32) if hold else None
        squares, hashes = np.empty(len(source)), np.empty(len(source), dtype=np.uint32)

        def prepare(rows: slice) -> None:
            placed, squares[rows] = self._place(rows)
            hashes[rows] = row_hashes(placed)
            if self._held is not None and not as_it_is:
                self._held[rows] = placed

        with ThreadPoolExecutor(available_cores()) as pool:
            for _ in pool.map(prepare, self._slices(min(part_rows, _ROWS_PER_TASK))):
                pass
        self.offsets = space.offsets(squares)
        """(N,) float32, what the products are subtracted from."""
        self.copies, self.firsts = find_copies(hashes, self._read)
        """Indices of vectors that equal an earlier one, and of the first such."""

    def __len__(self) -> int:
        return len(self.source)

    def parts(self) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
        """Yield the rows of each part and its (n, D) vectors."""
        if self._held is not None:
            yield slice(0, len(self)), self._held
            return
        for rows in self._slices(self._part_rows):
            yield rows, self._place(rows)[0]

    def _slices(self, step: int) -> Iterator[slice]:
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def _place(self, rows: slice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        return self.space.place(self.source[rows], "database", rows.start, self._ids)

    def _read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._held[rows] if self._held is not None else self.space.place(self.source[rows], "database")[0]
