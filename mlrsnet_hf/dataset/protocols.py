"""The paper's classification protocols: which images train, validate and test.

Qi et al. (2020), section 3.1: 20, 30 or 40 percent train, 10 percent validate, the rest tests. The paper publishes no
lists, so the draw is ours: a function of the seed and the image ids alone, independent of file order, platform and
library versions. For one seed the validation images of the three protocols are the same, and train20 is part of
train30, which is part of train40.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives

VALIDATION_PERCENT = 10
TRAIN_PERCENT = {"ratio20": 20, "ratio30": 30, "ratio40": 40}
DEFAULT_PROTOCOL = "ratio20"


@dataclass(frozen=True, slots=True)
class Split:
    """Image ids of the three splits, each in the order of the scenes given and by id within a scene."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split_ids(ids_by_scene: Mapping[str, Sequence[str]], protocol: str = DEFAULT_PROTOCOL, seed: int = 0) -> Split:
    """Split image ids by a protocol, in the same shares for every scene.

    Each split's global total is the share of all images rounded to the nearest image; it is allotted to the scenes by
    largest remainder.

    Args:
        ids_by_scene: The image ids of each scene; scenes in taxonomy order, ids in any order.
        protocol: `ratio20`, `ratio30` or `ratio40`.
        seed: Draws another split; the paper repeats five times, 0 to 4.

    Raises:
        UnknownNameError: The protocol is not known.
        ConfigurationError: There are too few images for every split to hold one.
    """
    if protocol not in TRAIN_PERCENT:
        raise UnknownNameError(f"protocol {protocol!r} is not known", name_alternatives(protocol, TRAIN_PERCENT))
    sizes = [len(ids) for ids in ids_by_scene.values()]
    n_validation = _percent(sum(sizes), VALIDATION_PERCENT)
    n_train = _percent(sum(sizes), TRAIN_PERCENT[protocol])
    if not n_validation or not n_train:
        raise ConfigurationError(
            f"{sum(sizes)} images are too few for protocol {protocol!r}", "A split needs at least 5 images in all."
        )
    validation = allot(n_validation, sizes, sizes)
    train = allot(n_train, sizes, [size - taken for size, taken in zip(sizes, validation, strict=True)])

    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for (scene, ids), v, t in zip(ids_by_scene.items(), validation, train, strict=True):
        order = _permuted(ids, scene, seed)
        for part, drawn in zip(parts, (order[v : v + t], order[:v], order[v + t :]), strict=True):
            part.extend(sorted(drawn))
    return Split(*map(tuple, parts))


def allot(total: int, weights: Sequence[int], capacities: Sequence[int]) -> list[int]:
    """Share `total` among parties in proportion to integer weights, by largest remainder.

    The arithmetic is exact; ties go to the earlier party. A party at its capacity is passed over, which happens only
    with a handful of images per scene.

    Examples:
        >>> allot(3, [10, 10, 20], [10, 10, 20])
        [1, 1, 1]
        >>> allot(2, [1, 1, 1], [0, 1, 1])
        [0, 1, 1]
    """
    whole = sum(weights)
    shares = [weight * total // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(weights[i] * total % whole))
    open_parties = [i for i in by_remainder if shares[i] < capacities[i]]
    for i in open_parties[: total - sum(shares)]:
        shares[i] += 1
    assert sum(shares) == total, "capacities leave no room"
    return shares


def _percent(count: int, percent: int) -> int:
    """Return a percentage of a count, rounded to the nearest integer."""
    return (count * percent + 50) // 100


def _permuted(ids: Sequence[str], scene: str, seed: int) -> list[str]:
    """Return a scene's ids in the seed's order: by SHA-256, which no library version changes."""
    return sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{scene}/{image_id}".encode()).digest())
