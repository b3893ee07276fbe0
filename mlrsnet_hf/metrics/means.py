"""A mean that remembers what it was taken over, and how sure it is."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import to_array, whole_number

Empty = Literal["skip", "worst", "error"]
"""What a query without relevant items counts as."""


class Mean(float):
    """A float: the mean of the values that are defined.

    Attributes:
        values: (N,) float64, what the mean is taken over: images, labels or queries; NaN where undefined.
        weights: (N,) weights of the values, or None for the plain mean.
    """

    values: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64] | None

    def __new__(cls, values: npt.ArrayLike, weights: npt.NDArray[np.float64] | None = None) -> "Mean":
        """Take the mean; NaN if no value is defined, or none that has a weight."""
        array = np.asarray(values, dtype=np.float64)
        defined = ~np.isnan(array) if weights is None else ~np.isnan(array) & (weights > 0)
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
        """Standard error of the mean over n values x with weights w.

        SE = sqrt(n / (n - 1) * sum of w^2 (x - mean)^2) / sum of w, the weights taken as given (Cochran 1977, section
        6.4, for a ratio; Gatz & Smith 1995). For equal weights that is the sample standard deviation over sqrt(n).

        Returns:
            The error; NaN for fewer than two values that are defined and have a weight.

        Examples:
            Weights 1 and 3, mean 3/4: sqrt(2 / 1 * (1 * 9/16 + 9 * 1/16)) / 4 = 3/8:

            >>> Mean([0.0, 1.0], weights=np.array([1.0, 3.0])).standard_error()
            0.375
        """
        weights = np.ones(len(self.values)) if self.weights is None else self.weights
        used = ~np.isnan(self.values) & (weights > 0)
        count, weights = np.count_nonzero(used), weights[used]
        if count < 2:
            return float("nan")
        squares = (weights**2 * (self.values[used] - float(self)) ** 2).sum()
        return float(np.sqrt(count / (count - 1) * squares) / weights.sum())

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

    The metric sees each draw alone. What it takes from its rows, such as the GTM of `anmrr`, is that of the draw unless
    it is given: `partial(anmrr, gtm=...)`. To draw over queries whose values are fixed, pass `np.mean` and `.values`.

    Args:
        metric: Takes the arrays and returns a number, such as `mean_average_precision`.
        *arrays: Arrays of one length; rows are drawn together, with replacement.
        resamples: How many draws.
        confidence: Share of the draws that the interval covers.
        seed: Of the draws.

    Raises:
        ConfigurationError: The arrays have different lengths, there is no draw, or the confidence is not between 0 and
            1.

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
    resamples = whole_number("resamples", resamples)
    draw = np.random.default_rng(seed)
    size = lengths.pop()
    picks = (draw.integers(size, size=size) for _ in range(resamples))
    values = [float(metric(*(array[pick] for array in rows))) for pick in picks]
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence)


def over_repeats(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation over repeats, as in the paper's Figs. 7 and 8.

    The deviation of one repeat is NaN.

    Raises:
        ConfigurationError: There is no value.

    Examples:
        >>> over_repeats([0.25, 0.5, 0.75])
        (0.5, 0.25)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ConfigurationError(f"the repeats have shape {array.shape}", "Pass one value per repeat.")
    deviation = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return float(array.mean()), deviation


def group_members(groups: Sequence[Hashable] | np.ndarray, length: int) -> dict[Any, npt.NDArray[np.int64]]:
    """Return the positions of each group's members, by plain names or numbers; `groups` has one for each value."""
    names: list[Any]
    if hasattr(groups, "__array__"):
        array = to_array(groups)
        if array.ndim != 1:
            raise ConfigurationError(f"groups have shape {array.shape}", "Pass one group per value.")
        names = array.tolist()
    else:
        # Tensors that are equal differ as keys of a dictionary.
        names = [group.item() if hasattr(group, "item") else group for group in groups]
    if len(names) != length:
        raise ConfigurationError(f"{len(names)} groups for {length} values", "Pass one group per value.")
    members: dict[Any, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(name, []).append(position)
    return {name: np.array(rows) for name, rows in members.items()}
