"""Splits that whole groups of near-duplicates go to, so that no copy of a training image is tested."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlrsnet_hf.dataset.splits.quotas import TRAIN_PERCENTS, Quotas
from mlrsnet_hf.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class _Group:
    """Images that stay together."""

    ids: tuple[str, ...]
    per_scene: Mapping[int, int]
    """How many of the images lie in each scene, by the scene's position."""


def grouped_parts(
    ids_by_scene: Mapping[str, Sequence[str]],
    groups: Mapping[str, int],
    quotas: Quotas,
    percent: int,
    seed: int,
) -> dict[str, set[str]]:
    """Give whole groups to train, validation and test.

    The groups stand in one order per seed. Validation takes them while they fit into what the ratio protocols allot to
    each of their scenes, then while they fit into its total; 20 percent training takes from the rest in the same way,
    30 percent adds to that, 40 percent to that; the others test. So the splits are nested like those of the ratio
    protocols, and with as many single images as photographs have, their totals are equal too.

    Args:
        ids_by_scene: The image ids of each scene.
        groups: The number of each image's group, by id; numbers do not enter the draw.
        quotas: What the ratio protocols allot to the scenes.
        percent: How much trains: 20, 30 or 40.
        seed: Draws another split.

    Raises:
        ConfigurationError: An image has no group, or groups are too large for sizes within one point of the ratio.
    """
    rest = _ordered_groups(ids_by_scene, groups, seed)
    validation, rest = _take(rest, quotas.validation)
    train: list[_Group] = []
    for step in TRAIN_PERCENTS[: TRAIN_PERCENTS.index(percent) + 1]:
        more, rest = _take(rest, quotas.train[step], train)
        train += more
    parts = {name: _ids(part) for name, part in (("train", train), ("validation", validation), ("test", rest))}
    total = sum(map(len, parts.values()))
    to_train, to_validation = sum(quotas.train[percent]), sum(quotas.validation)
    targets = {"train": to_train, "validation": to_validation, "test": total - to_train - to_validation}
    for name, target in targets.items():
        _refuse_uneven(name, len(parts[name]), target, total, max(Counter(groups.values()).values(), default=0))
    return parts


def _ordered_groups(ids_by_scene: Mapping[str, Sequence[str]], groups: Mapping[str, int], seed: int) -> list[_Group]:
    """Return the groups in the seed's order: by SHA-256 of their first images."""
    members: dict[int, list[tuple[int, str]]] = {}
    for scene, ids in enumerate(ids_by_scene.values()):
        for image_id in ids:
            if image_id not in groups:
                raise ConfigurationError(f"image {image_id!r} has no group", "Find the groups of these images anew.")
            members.setdefault(groups[image_id], []).append((scene, image_id))
    names = list(ids_by_scene)
    keyed = []
    for images in members.values():
        scene, first = min(images)
        key = hashlib.sha256(f"{seed}/{names[scene]}/{first}".encode()).digest()
        keyed.append((key, _Group(tuple(i for _, i in images), Counter(s for s, _ in images))))
    return [group for _, group in sorted(keyed, key=lambda pair: pair[0])]


def _take(
    groups: Iterable[_Group], shares: Sequence[int], taken: Iterable[_Group] = ()
) -> tuple[list[_Group], list[_Group]]:
    """Return groups that, with those taken, fill the scenes' shares and their sum, and the groups left over."""
    room = Counter(dict(enumerate(shares)))
    for group in taken:
        room.subtract(group.per_scene)
    total = room.total()
    chosen, later = [], []
    for group in groups:
        if all(count <= room[scene] for scene, count in group.per_scene.items()):
            room.subtract(group.per_scene)
            total -= len(group.ids)
            chosen.append(group)
        else:
            later.append(group)
    rest = []
    for group in later:
        if len(group.ids) <= total:
            total -= len(group.ids)
            chosen.append(group)
        else:
            rest.append(group)
    return chosen, rest


def _ids(groups: Iterable[_Group]) -> set[str]:
    return {image_id for group in groups for image_id in group.ids}


def _refuse_uneven(name: str, size: int, target: int, total: int, largest: int) -> None:
    if abs(size - target) * 100 > total:
        raise ConfigurationError(
            f"{name} would hold {size:,} of {total:,} images where the ratio asks for {target:,}: groups of "
            f"near-duplicates hold up to {largest:,} images",
            "Take a ratio protocol, or remove duplicates.",
        )
