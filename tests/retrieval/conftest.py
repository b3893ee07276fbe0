from collections.abc import Callable

import numpy as np
import pytest

SquaredDistances = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture
def squared_distances() -> SquaredDistances:
    """(Q, N) squared distances in float64, by differences: no cancellation."""

    def measure(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.stack([((items.astype(float) - query.astype(float)) ** 2).sum(axis=1) for query in queries])

    return measure
