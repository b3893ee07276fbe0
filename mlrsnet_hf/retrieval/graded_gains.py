"""The best gains that a database offers each query: what nDCG is measured against."""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics.arguments import binary_matrix

_BLOCK_BYTES = 2**26


def best_common_labels(query_labels: npt.ArrayLike, database_labels: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    """Return the k largest numbers of labels that an image of the database has in common with each query.

    Args:
        query_labels: (Q, L) 0 or 1.
        database_labels: (N, L) 0 or 1.
        k: At most N.

    Returns:
        (Q, k) descending.

    Examples:
        >>> best_common_labels([[1, 1, 0]], [[0, 1, 1], [0, 0, 1], [1, 1, 0]], 2).tolist()
        [[2.0, 1.0]]
    """
    queries = binary_matrix("query_labels", query_labels).astype(np.float32)
    items, copies = np.unique(binary_matrix("database_labels", database_labels), axis=0, return_counts=True)
    wanted = items.T.astype(np.float32)
    rows = max(1, _BLOCK_BYTES // (4 * len(items)))
    # Counts below 2**24 are exact in float32, in which a product is fast.
    weights = copies.astype(np.float32)
    blocks = [_largest(queries[start : start + rows] @ wanted, weights, k) for start in range(0, len(queries), rows)]
    return np.concatenate(blocks)


def _largest(common: npt.NDArray[np.float32], copies: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float64]:
    """Return the (Q, k) largest of (Q, U) small whole numbers, of which column u stands for `copies[u]` items."""
    best = np.zeros((len(common), k))
    for value in range(1, int(common.max(initial=0)) + 1):
        reaching = (common >= value).astype(np.float32) @ copies  # items with at least so many
        best += np.arange(k) < reaching[:, None]
    return best
