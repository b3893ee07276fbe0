"""Two models on the same queries: which retrieves images that share more labels? (Qi et al. 2020, Figs. 13 and 14)."""

from dataclasses import dataclass

import numpy as np

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.means import Interval, bootstrap
from mlrsnet_hf.retrieval.protocol import LABEL_DEPTHS, Measured


@dataclass(frozen=True, slots=True)
class CommonLabels:
    """Mean number of labels that the first k results have in common with their query, by two models."""

    k: int
    first: float
    second: float
    interval: Interval
    """Of the difference first - second: percentile bootstrap over queries, each with both of its values."""

    @property
    def difference(self) -> float:
        """How many more the first model's results have."""
        return self.first - self.second

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if self.interval.low > 0:
            return "more"
        return "fewer" if self.interval.high < 0 else "neither more nor fewer"


def compare_common_labels(first: Measured, second: Measured) -> list[CommonLabels]:
    """Compare the labels that results have in common with their query, at each depth that the database has.

    Args:
        first: One model's results.
        second: Another model's, of the same queries and database.

    Returns:
        One for each depth; none where the data has no labels.

    Raises:
        ConfigurationError: The queries or the databases differ.
    """
    for part in ("queries", "database"):
        if getattr(first.data, part).ids != getattr(second.data, part).ids:
            raise ConfigurationError(f"the two models' {part} differ", "Compare them on one split.")
    ours, theirs = first.gains, second.gains
    if ours is None or theirs is None:
        return []
    compared = []
    for k in LABEL_DEPTHS:
        if k <= ours.shape[1]:
            a, b = ours[:, :k].mean(axis=1), theirs[:, :k].mean(axis=1)
            compared.append(CommonLabels(k, float(a.mean()), float(b.mean()), bootstrap(np.mean, a - b)))
    return compared
