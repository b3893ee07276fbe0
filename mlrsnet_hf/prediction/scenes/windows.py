"""Which windows a scene is cut into, in which parts they are worked on, and the mean of those that cover a cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_PART_PIXELS = 2048
"""Height in pixels that a part of several rows of windows has at most."""
_PART_WINDOWS = 4096
"""A part of few windows a row has rows up to so many, but no more than fit its height."""


@dataclass(frozen=True)
class WindowGrid:
    """Overlapping square windows that cover a scene; those at the right and lower edges are shifted inside."""

    width: int
    """Of the scene, in pixels."""
    height: int
    side: int
    """Of a window; no larger than the scene."""
    stride: int

    @cached_property
    def lefts(self) -> npt.NDArray[np.int64]:
        """Left edges of the columns of windows."""
        return _starts(self.width, self.side, self.stride)

    @cached_property
    def tops(self) -> npt.NDArray[np.int64]:
        """Upper edges of the rows of windows."""
        return _starts(self.height, self.side, self.stride)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the cells of one stride that cover the scene."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    def number(self, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of windows, from 0 row by row, of their left and upper edges."""
        return np.searchsorted(self.tops, y) * len(self.lefts) + np.searchsorted(self.lefts, x)

    def parts(self) -> list[range]:
        """Return the rows of windows of each part, in their order."""
        most = 1 + max(0, _PART_PIXELS - self.side) // self.stride
        rows = max(1, min(most, -(-_PART_WINDOWS // len(self.lefts))))
        return [range(row, min(row + rows, len(self.tops))) for row in range(0, len(self.tops), rows)]

    def chunks(self, rows: range, pixels: int, windows: int) -> Iterator[range]:
        """Yield the columns of windows that are read at once, with all rows of a part.

        Args:
            rows: Of windows.
            pixels: So many at most, unless a single column has more.
            windows: Likewise.
        """
        height = int(self.tops[rows[-1]] + self.side - self.tops[rows[0]])
        columns = max(1, min(1 + (pixels // height - self.side) // self.stride, windows // len(rows)))
        for column in range(0, len(self.lefts), columns):
            yield range(column, min(column + columns, len(self.lefts)))


def _starts(length: int, side: int, stride: int) -> npt.NDArray[np.int64]:
    starts = np.arange(0, length - side + 1, stride)
    return starts if starts[-1] == length - side else np.append(starts, length - side)


class CellMeans:
    """Mean scores of the cells of one stride, each window weighted with the area that it covers of a cell.

    Args:
        grid: The windows.
        bands: Scores of each.
    """

    def __init__(self, grid: WindowGrid, bands: int) -> None:
        self._grid = grid
        self._sums = np.zeros((*grid.cells, bands))
        self._areas = np.zeros(grid.cells)

    def add(self, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> None:
        """Add windows: (N,) left and upper edges, (N, bands) scores."""
        rows, columns = self._overlaps(y, self._sums.shape[0]), self._overlaps(x, self._sums.shape[1])
        for row, high in rows:
            for column, wide in columns:
                area = high * wide
                kept = area > 0
                places = row[kept], column[kept]
                np.add.at(self._areas, places, area[kept])
                np.add.at(self._sums, places, scores[kept] * area[kept, None])

    def means(self) -> npt.NDArray[np.float32]:
        """Return (bands, rows, columns) means, NaN where no window was added."""
        means = np.empty((self._sums.shape[2], *self._areas.shape), np.float32)
        with np.errstate(invalid="ignore"):
            np.divide(self._sums.transpose(2, 0, 1), self._areas, out=means, casting="same_kind")
        return means

    def _overlaps(
        self, starts: npt.NDArray[np.int64], count: int
    ) -> Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Return along one side, for the first cell that windows touch and those after it, which it is and how much."""
        side, stride = self._grid.side, self._grid.stride
        first = starts // stride
        found = []
        for step in range(-(-side // stride) + 1):
            cell = first + step
            covered = np.minimum(starts + side, (cell + 1) * stride) - np.maximum(starts, cell * stride)
            found.append((cell, np.where(cell < count, np.maximum(covered, 0), 0)))
        return found
