"""Which unlabeled tiles are most worth labeling next: uncertain ones, far from what is there, each once.

A tile is worth

    uncertainty ** weight * distance ** (1 - weight),

a geometric mean, whose order does not depend on the scale of either. Uncertainty is the entropy of a model's answer in
bits, summed over the labels. Distance is the cosine distance in embedding space to the nearest image that is labeled
already or was chosen before: choosing one tile makes those like it worth less. With weight 0 this is the
farthest-first traversal of Sener and Savarese (2018), with weight 1 uncertainty sampling (Lewis and Gale 1994) without
near-duplicates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.search.exact import Search

WEIGHT = 0.5
LEAST_DISTANCE = 0.05
_FURTHEST = 2.0
"""Cosine distance of opposite vectors: what a tile has while nothing is labeled."""
_EQUAL = 1e-5
"""Share by which worths of equal tiles may differ: products of 32 bits are rounded otherwise on other processors."""

Vectors = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """Tiles in the order in which they were chosen, K of them, and what was left out."""

    rows: npt.NDArray[np.int64]
    """(K,) rows of the tiles."""
    worth: Values
    """(K,) when the tile was chosen."""
    distance: Values
    """(K,) to the nearest labeled or chosen image then; `_FURTHEST` for the first where nothing is labeled."""
    nearest: npt.NDArray[np.int64]
    """(K,) that image: its row among the labeled ones, or their number and the row of the tile; -1 for none."""
    near_labeled: int
    """Eligible tiles that are near-duplicates of labeled images."""
    near_chosen: int
    """Eligible tiles that are near-duplicates of chosen tiles, and of no labeled image."""


def entropy(scores: npt.NDArray[np.floating]) -> Values:
    """Return the entropy in bits of independent labels, summed over the last axis.

    Args:
        scores: (N, L) probabilities; 0 and 1 have none.

    Returns:
        (N,), from 0 to L.

    Examples:
        >>> entropy(np.array([[0.5, 1.0], [0.5, 0.5]])).tolist()
        [1.0, 2.0]
    """
    p = np.asarray(scores, np.float64)
    parts = [-part * np.log2(part, out=np.zeros_like(part), where=part > 0) for part in (p, 1 - p)]
    total: Values = (parts[0] + parts[1]).sum(axis=-1)
    return total


def suggest_tiles(
    tiles: Vectors,
    count: int,
    *,
    labeled: Vectors | None = None,
    of_category: Marks | None = None,
    eligible: Marks | None = None,
    uncertainty: Values | None = None,
    weight: float = WEIGHT,
    least_distance: float = LEAST_DISTANCE,
) -> Suggestions:
    """Return the tiles most worth labeling, the first of equals by its row.

    Args:
        tiles: (N, D) embeddings.
        count: How many are wanted; fewer are returned where no more are eligible.
        labeled: (M, D) embeddings of what is labeled, by the same network; None for nothing.
        of_category: (M,) which of them the distance is measured to; None for all. Near-duplicates of the others are
            left out all the same.
        eligible: (N,) which tiles may be chosen; None for all.
        uncertainty: (N,) of each tile, 0 or more; None counts all alike.
        weight: Of uncertainty, from 0 to 1.
        least_distance: Tiles nearer than this to a labeled or chosen image are its near-duplicates.

    Raises:
        ConfigurationError: An embedding is zero or not finite, or the sets differ in their dimension.
    """
    unit = _unit(tiles)
    free = np.ones(len(tiles), bool) if eligible is None else eligible.copy()
    distance: npt.NDArray[np.float64] = np.full(len(tiles), _FURTHEST)
    nearest: npt.NDArray[np.int64] = np.full(len(tiles), -1, np.int64)
    known, near_labeled = 0, 0
    if labeled is not None and len(labeled):
        known = len(labeled)
        distance, nearest = nearest_labeled(tiles, labeled)
        is_near = free & (distance < least_distance)
        near_labeled = int(is_near.sum())
        free &= ~is_near
        if of_category is not None:
            rows = np.flatnonzero(of_category)
            distance, places = nearest_labeled(tiles, labeled[rows])
            nearest = rows[places]
    factor = np.ones(len(tiles)) if uncertainty is None else uncertainty**weight
    chosen: list[tuple[int, float, float, int]] = []
    near_chosen = 0
    while len(chosen) < count and free.any():
        worth = np.where(free, factor * distance ** (1 - weight), -1.0)
        row = int((worth >= worth.max() * (1 - _EQUAL)).argmax())
        chosen.append((row, float(worth[row]), float(distance[row]), int(nearest[row])))
        free[row] = False
        to_chosen = np.maximum(1 - (unit @ unit[row]).astype(np.float64), 0)
        is_near = free & (to_chosen < least_distance)
        near_chosen += int(is_near.sum())
        free &= ~is_near
        is_nearer = to_chosen < distance
        distance = np.where(is_nearer, to_chosen, distance)
        nearest[is_nearer] = known + row
    return Suggestions(
        rows=np.array([one[0] for one in chosen], np.int64),
        worth=np.array([one[1] for one in chosen], np.float64),
        distance=np.array([one[2] for one in chosen], np.float64),
        nearest=np.array([one[3] for one in chosen], np.int64),
        near_labeled=near_labeled,
        near_chosen=near_chosen,
    )


def nearest_labeled(tiles: Vectors, labeled: Vectors) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return the cosine distance of each tile to its nearest labeled image, and that image's row; (N,) each."""
    found = Search(labeled, "cosine").top(tiles, 1)
    return np.maximum(found.distances[:, 0].astype(np.float64), 0), found.indices[:, 0].astype(np.int64)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise ConfigurationError(f"the embedding of tile {int(lengths.argmin()):,} is zero", "Leave that tile out.")
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
