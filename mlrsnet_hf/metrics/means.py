"""A mean that remembers what it was taken over, and how sure it is."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import to_array


class Mean(float):
    """A float: the mean of the values that are defined.

    Attributes:
        values: (N,) float64, what the mean is taken over: images, labels or queries; NaN where undefined.
        weights: (N,) weights of the values, or None for the plain mean.
    """

    values: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64] | None

    def __new__(cls, values: npt.ArrayLike, weights: npt.NDArray[np.float64] | None = None) -> "Mean":
        """Take the mean; NaN if no value is defined."""
        array = np.asarray(values, dtype=np.float64)
        defined = ~np.isnan(array)
        used = None if weights is None else weights[defined]
        mean = float(np.average(array[defined], weights=used)) if defined.any() else float("nan")
        self = super().__new__(cls, mean)
        self.values = array
        self.weights = weights
        return self

    @property
    def undefined(self) -> int:
        """Number of values left out of the mean because they are not defined."""
        return int(np.isnan(self.values).sum())

    def standard_error(self) -> float:
        """Standard error of the plain mean: the sample standard deviation over sqrt(n); NaN for fewer than two."""
        defined = self.values[~np.isnan(self.values)]
        return float(defined.std(ddof=1) / np.sqrt(len(defined))) if len(defined) > 1 else float("nan")

    def by(self, groups: Sequence[Hashable] | np.ndarray) -> "dict[Any, Mean]":
        """Return the mean within each group, groups in the order in which they first occur.

        The values are those of the whole call, so that what the call shares (GTM, for one) is kept.

        Args:
            groups: (N,) the group of each value, such as the scene of each query.

        Raises:
            ConfigurationError: There are more or fewer groups than values.
        """
        members = group_members(groups, len(self.values))
        return {
            group: Mean(self.values[rows], None if self.weights is None else self.weights[rows])
            for group, rows in members.items()
        }


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float
    confidence: float


def bootstrap(
    metric: Callable[..., float],
    *arrays: npt.ArrayLike,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a metric over the rows of its arrays (Efron 1979).

    Args:
        metric: Takes the arrays and returns a number, such as `mean_average_precision`.
        *arrays: Arrays of one length; rows are drawn together, with replacement.
        resamples: How many draws.
        confidence: Share of the draws that the interval covers.
        seed: Of the draws.

    Raises:
        ConfigurationError: The arrays have different lengths, or the confidence is not between 0 and 1.

    Examples:
        >>> bootstrap(lambda values: values.mean(), [1.0, 1.0, 1.0])
        Interval(low=1.0, high=1.0, confidence=0.95)
    """
    rows = [to_array(array) for array in arrays]
    lengths = {len(array) for array in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise ConfigurationError(f"the arrays have {sorted(lengths)} rows", "Pass non-empty arrays of one length.")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence={confidence} cannot be used", "Give a number between 0 and 1.")
    draw = np.random.default_rng(seed)
    size = lengths.pop()
    picks = (draw.integers(size, size=size) for _ in range(resamples))
    values = [float(metric(*(array[pick] for array in rows))) for pick in picks]
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence)


def over_repeats(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation over repeats, as in the paper's Figs. 7 and 8; NaN for one repeat.

    Examples:
        >>> over_repeats([0.25, 0.5, 0.75])
        (0.5, 0.25)
    """
    array = np.asarray(values, dtype=np.float64)
    deviation = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return float(array.mean()), deviation


def group_members(groups: Sequence[Hashable] | np.ndarray, length: int) -> dict[Any, npt.NDArray[np.int64]]:
    """Return the positions of each group's members.

    Raises:
        ConfigurationError: There are more or fewer groups than `length`.
    """
    names = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    if len(names) != length:
        raise ConfigurationError(f"{len(names)} groups for {length} values", "Pass one group per value.")
    members: dict[Any, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(name, []).append(position)
    return {name: np.array(rows) for name, rows in members.items()}
