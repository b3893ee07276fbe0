"""Exact shares of whole images: how many of a split's images come from each scene."""

from collections.abc import Sequence
from dataclasses import dataclass

VALIDATION_PERCENT = 10
TRAIN_PERCENTS = (20, 30, 40)
QUERY_PERCENTS = (5, 10, 15)


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many images each scene gives to every split that a protocol knows, in the order of the scenes."""

    validation: list[int]
    train: dict[int, list[int]]
    """Quotas by percent of all images: 20, 30, 40."""
    queries: dict[int, list[int]]
    """Quotas by percent of the images that 40 percent training leaves over: 5, 10, 15."""


def split_quotas(sizes: Sequence[int]) -> Quotas:
    """Allot the splits of all protocols to scenes of the sizes given.

    Each total is rounded to the nearest image and allotted by largest remainder. That method alone can give a scene
    fewer images of a larger total, so a scene's share of the smaller split bounds that of the larger from below. With
    some tens of images in every scene no bound is ever met, and the shares are the largest remainder's.
    """
    total = sum(sizes)
    none = [0] * len(sizes)
    validation = apportion(percent_of(total, VALIDATION_PERCENT), sizes, none, sizes)
    rest = [size - taken for size, taken in zip(sizes, validation, strict=True)]
    train = _nested({percent: percent_of(total, percent) for percent in TRAIN_PERCENTS}, sizes, rest)

    most = train[max(TRAIN_PERCENTS)]
    pool = [size - taken for size, taken in zip(sizes, most, strict=True)]
    test = [left - taken for left, taken in zip(rest, most, strict=True)]
    queries = _nested({percent: percent_of(sum(pool), percent) for percent in QUERY_PERCENTS}, pool, test)
    return Quotas(validation, train, queries)


def _nested(totals: dict[int, int], weights: Sequence[int], highest: Sequence[int]) -> dict[int, list[int]]:
    """Allot ascending totals so that no party's share shrinks from one to the next."""
    shares: dict[int, list[int]] = {}
    lowest: Sequence[int] = [0] * len(weights)
    for percent, total in totals.items():
        lowest = shares[percent] = apportion(total, weights, lowest, highest)
    return shares


def apportion(total: int, weights: Sequence[int], lowest: Sequence[int], highest: Sequence[int]) -> list[int]:
    """Share `total` among parties in proportion to integer weights, by largest remainder.

    The arithmetic is exact; ties go to the earlier party. Bounds that the shares would break are kept, and what they
    displace goes to, or comes from, the parties farthest from their exact share.

    Args:
        total: What to share.
        weights: One per party, not negative.
        lowest: The least share of each party; together at most `total`.
        highest: The greatest share of each party; together at least `total`.

    Examples:
        >>> apportion(3, [10, 10, 20], [0, 0, 0], [10, 10, 20])
        [1, 1, 1]
        >>> apportion(2, [1, 1, 1], [0, 0, 0], [0, 1, 1])
        [0, 1, 1]
    """
    assert sum(lowest) <= total <= sum(highest), "the bounds leave no such total"
    if not total:
        return list(lowest)
    whole = sum(weights)
    parties = range(len(weights))
    shares = [
        min(max(weight * total // whole, low), high) for weight, low, high in zip(weights, lowest, highest, strict=True)
    ]

    def lack(party: int) -> int:
        return weights[party] * total - shares[party] * whole

    while sum(shares) < total:
        shares[max((p for p in parties if shares[p] < highest[p]), key=lack)] += 1
    while sum(shares) > total:
        shares[min((p for p in reversed(parties) if shares[p] > lowest[p]), key=lack)] -= 1
    return shares


def percent_of(count: int, percent: int) -> int:
    """Return a percentage of a count, rounded to the nearest integer, halves up.

    Examples:
        >>> percent_of(109_161, 10), percent_of(109_161, 20), percent_of(65_497, 5)
        (10916, 21832, 3275)
    """
    return (count * percent + 50) // 100
