"""What a search returns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.metrics import RelevantRanks


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The nearest items of Q queries, nearest first; of equally near ones the lower database index first."""

    indices: npt.NDArray[np.int64]
    """(Q, k) rows of the database."""
    distances: npt.NDArray[np.float32]
    """(Q, k) ascending. Euclidean distance; cosine distance, 1 - cos; for the inner product its negative, so that
    smaller is always nearer."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """What one pass over the database found for every query."""

    ranks: RelevantRanks
    """The rank of every relevant item, as the metrics of `mlrsnet_hf.metrics` take them."""
    neighbours: Neighbours
    """The nearest items."""
