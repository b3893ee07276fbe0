"""Equal vectors of a database, which must come out equally near.

A matrix product may round the same sum differently at different places, so that equal vectors would tie only by luck.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_AT_ONCE = 1024


def row_hashes(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """Return (N,) numbers that are equal for equal rows, and seldom for others.

    Args:
        rows: (N, D) float32, C-contiguous, without negative zeros.
    """
    weights = np.random.default_rng(0).integers(2**32, size=rows.shape[1], dtype=np.uint32) | np.uint32(1)
    return np.einsum("nd,d->n", rows.view(np.uint32), weights)


def find_copies(
    hashes: npt.NDArray[np.uint32], read: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find the rows that equal an earlier one.

    Args:
        hashes: (N,) `row_hashes` of all rows.
        read: Returns the (n, D) rows of given indices.

    Returns:
        The ascending indices of the copies, and for each the index of the first such row.

    Examples:
        >>> rows = np.float32([[1, 2], [3, 4], [1, 2], [1, 2]])
        >>> [found.tolist() for found in find_copies(row_hashes(rows), rows.__getitem__)]
        [[2, 3], [0, 0]]
    """
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    firsts = first[inverse]
    alike = np.flatnonzero(firsts != np.arange(len(hashes)))
    equal = [
        (read(some) == read(firsts[some])).all(axis=1)
        for some in (alike[start : start + _AT_ONCE] for start in range(0, len(alike), _AT_ONCE))
    ]
    copies = alike[np.concatenate(equal)] if equal else alike
    return copies, firsts[copies]
