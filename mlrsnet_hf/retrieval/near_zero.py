"""Distances of the nearest items from their products, those near zero computed again.

|q|^2 + |x|^2 - 2 q.x leaves no digits where q and x are all but equal: an image would be some way off itself.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.retrieval.block_ranking import BlockRanking
from mlrsnet_hf.retrieval.database import Database

_NEAR = 1e-3
"""Of the squared distance from the centre; the product has an error of some 1e-6 of it."""
_AT_ONCE = 1024


def mend_near_zero(
    found: BlockRanking, queries: np.ndarray, terms: npt.NDArray[np.float64], database: Database
) -> BlockRanking:
    """Return a ranking whose `values` are the metric's distances, those near zero from differences in float64.

    Args:
        found: The ranking of a block of B queries.
        queries: (B, D) as the user gave them.
        terms: (B,) as `Space.ask` gave them.
        database: The database.
    """
    space, indices = database.space, found.indices
    whole = found.values + terms[:, None]
    if space.metric == "inner_product":
        return dataclasses.replace(found, values=whole.astype(np.float32))
    near = whole <= _NEAR * database.offsets[indices]
    for row in np.flatnonzero(near.any(axis=1)):
        columns = np.flatnonzero(near[row])
        for some in np.split(columns, range(_AT_ONCE, len(columns), _AT_ONCE)):
            rows = database.source[indices[row, some]]
            whole[row, some] = space.squared_distances(queries[row], rows)
        order = np.lexsort((indices[row], whole[row]))
        indices[row], whole[row] = indices[row, order], whole[row, order]
    return dataclasses.replace(found, values=space.from_squares(whole).astype(np.float32))
