"""Ranks of some items in one row of distances, exactly, without sorting the row.

A histogram over equal steps of distance says how many items are nearer than each step; only the steps that hold an item
in question are then sorted. For 59,000 items and 1,300 in question this is four times faster than sorting them all.
"""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics.sorting import descending_keys

_INDEX_BITS = np.uint64(32)
_INDEX_MASK = np.uint64(2**32 - 1)
_MOST_STEPS = 2**16
_SAMPLES_PER_RANK = 16
"""A k-th distance is first guessed from every 16th item."""


def ranks_in_row(distances: npt.NDArray[np.float32], members: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the ranks of some items in the stable ascending order of all, that is with ties by index.

    Args:
        distances: (N,) finite float32, N below 2^32.
        members: (n,) indices of the items in question, each once.

    Returns:
        (n,) int64 ranks from 1, ascending.

    Examples:
        >>> ranks_in_row(np.array([3, 1, 2, 1], dtype=np.float32), np.array([0, 3])).tolist()
        [2, 4]
    """
    if not len(members):
        return np.empty(0, dtype=np.int64)
    steps = _steps(distances, distances[members])
    counts = np.bincount(steps)
    in_question = np.zeros(len(counts), dtype=bool)
    in_question[steps[members]] = True
    order = _in_order(distances, np.flatnonzero(in_question.take(steps)))
    is_member = np.zeros(len(distances), dtype=bool)
    is_member[members] = True
    places = np.flatnonzero(is_member.take(order))
    # Before an item stand those of nearer steps that were left out, and those that were sorted before it.
    counts[in_question] = 0
    return np.cumsum(counts)[steps[order[places]]] + places + 1


def nearest_in_row(distances: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Return the indices of the k nearest items, nearest first, ties by index.

    Args:
        distances: (N,) finite float32, N below 2^32.
        k: At most N.

    Returns:
        (k,) int64.

    Examples:
        >>> nearest_in_row(np.array([3, 1, 2, 1], dtype=np.float32), 3).tolist()
        [1, 3, 2]
    """
    sample = distances[::_SAMPLES_PER_RANK]
    expected = k / _SAMPLES_PER_RANK
    place = int(expected + 4 * np.sqrt(expected) + 4)
    near = np.empty(0, dtype=np.int64)
    if place < len(sample):
        near = np.flatnonzero(distances <= np.partition(sample, place)[place])
    if len(near) < k:
        near = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
    return _in_order(distances, near)[:k]


def _steps(distances: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Return (N,) numbers of steps that never descend where the distance ascends, finest between the wanted ones."""
    nearest, farthest = wanted.min(), wanted.max()
    number = min(1 << (len(distances) - 1).bit_length(), _MOST_STEPS)
    with np.errstate(over="ignore", divide="ignore"):
        per_distance = np.float32(number) / (farthest - nearest)
    if not np.isfinite(per_distance):
        # All but equal: one step for them, one for what is nearer and one for what is farther.
        return (distances >= nearest).astype(np.intp) + (distances > farthest)
    steps = np.subtract(distances, nearest)
    # Where this overflows, the bounds below take it.
    with np.errstate(over="ignore"):
        steps *= per_distance
    np.clip(steps, -1, number, out=steps)
    steps += 1
    return steps.astype(np.intp)


def _in_order(distances: npt.NDArray[np.float32], items: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return items by distance, equal ones by index: one sort of integers that hold the distance, then the index."""
    keys = (~descending_keys(distances[items])).astype(np.uint64)
    keys <<= _INDEX_BITS
    keys |= items.astype(np.uint64)
    keys.sort()
    keys &= _INDEX_MASK
    return keys.astype(np.intp)
