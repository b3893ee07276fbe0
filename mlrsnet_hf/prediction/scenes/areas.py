"""Windows of one label united: one area for all that overlap, or have an edge in common."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from mlrsnet_hf.prediction.scenes.features import Polygons


@dataclass(frozen=True)
class Areas:
    """Areas of a label, none of which overlaps or has an edge in common with another."""

    polygons: Polygons
    """(N,)"""
    windows: npt.NDArray[np.int64]
    """(N,) windows of each."""
    mean: npt.NDArray[np.float32]
    """(N,) means of their scores."""
    highest: npt.NDArray[np.float32]
    """(N,)"""


def unite(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], side: int, scores: npt.NDArray[np.float32]) -> Areas:
    """Unite windows.

    Their corners are whole numbers, so that the areas are exact.

    Args:
        x: (N,) left edges.
        y: (N,) upper edges.
        side: Of each.
        scores: (N,)
    """
    united = shapely.union_all(shapely.box(x, y, x + side, y + side))
    polygons = shapely.get_parts(united)
    # A window lies in one area whole, so its center tells which.
    centers = shapely.points(x + side / 2, y + side / 2)
    window, area = shapely.STRtree(polygons).query(centers, predicate="within")
    of_window = np.empty(len(x), np.int64)
    of_window[window] = area
    counts = np.bincount(of_window, minlength=len(polygons))
    sums = np.bincount(of_window, scores, minlength=len(polygons))
    highest = np.full(len(polygons), -np.inf, np.float32)
    np.maximum.at(highest, of_window, scores)
    return Areas(polygons, counts, (sums / counts).astype(np.float32), highest)
