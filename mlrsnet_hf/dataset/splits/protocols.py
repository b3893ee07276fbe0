"""The protocols: which images train, validate and test, which are queries and which are searched.

Qi et al. (2020), section 3.1: 20, 30 or 40 percent train, 10 percent validate, the rest tests; for retrieval, queries
search the rest of a pool. The paper publishes no lists, so the draw is ours: a function of the seed and the image ids
alone, independent of file order, platform and library versions. Each scene's images are put into one order per seed,
and every protocol cuts that order:

    validation | train: 20 | 30 | 40 percent | ... test ... | queries: 15 | 10 | 5 percent

so that for one seed the ratio protocols share their validation images, train20 is part of train30, which is part of
train40, and the queries of retrieval05 are among those of retrieval10, and those among retrieval15's.

On retrieval the paper contradicts itself: its text takes 5, 10 and 15 percent of the data set as queries, its Table 8
gives 3,275, 6,550 and 9,825 queries, which are 5, 10 and 15 percent of the 65,497 images that 40 percent training
leaves over. These protocols follow Table 8: the pool is what ratio40 of the same seed does not train on (its
validation and test images), the queries are test images of ratio40, and the database is the rest of the pool.

The grouped protocols are ours: sized and nested like the ratio protocols, but near-duplicates never part; see `grouped`
and `near_duplicates`.
"""

import hashlib
import operator
from collections.abc import Iterable, Mapping, Sequence

from mlrsnet_hf.dataset.splits.grouped import grouped_parts
from mlrsnet_hf.dataset.splits.quotas import QUERY_PERCENTS, TRAIN_PERCENTS, Quotas, split_quotas
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.release import Entry

_RATIO = {f"ratio{percent}": percent for percent in TRAIN_PERCENTS}
_RETRIEVAL = {f"retrieval{percent:02}": percent for percent in QUERY_PERCENTS}
_GROUPED = {f"grouped{percent}": percent for percent in TRAIN_PERCENTS}

PROTOCOLS = (*_RATIO, *_RETRIEVAL, *_GROUPED, "all")
"""Names of the protocols, in documented order."""
DEFAULT_PROTOCOL = "ratio20"
CUSTOM = "custom"
"""Name in the place of a protocol's, where a file says the splits."""
GROUPED_PROTOCOLS = tuple(_GROUPED)
"""Those that need groups of near-duplicates."""


STORED_PROTOCOLS = (*_RATIO, *_RETRIEVAL, "all")
"""Those that a dataset repository stores."""
STORED_SEED = 0


def split_ids(
    ids_by_scene: Mapping[str, Sequence[str]],
    protocol: str = DEFAULT_PROTOCOL,
    seed: int = 0,
    groups: Mapping[str, int] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Split image ids by a protocol, in the same shares for every scene.

    Each split's global total is the share of all images rounded to the nearest image; it is allotted to the scenes by
    largest remainder.

    Args:
        ids_by_scene: The image ids of each scene, by published name; scenes in taxonomy order, ids in any order. Names
            and ids enter the draw.
        protocol: One of `PROTOCOLS`.
        seed: Draws another split; any whole number. The paper repeats five times, here 0 to 4.
        groups: The number of each image's group of near-duplicates, by image id; for the grouped protocols only. The
            numbers do not enter the draw, only who is with whom.

    Returns:
        Image ids by split, each split in the order of the rows that `load_dataset("mlrsnet")` gives, which is that of a
        dataset repository: by scene, within a scene by what the stored protocols do with an image, then by id. The
        splits are `train`, `validation` and `test`; for retrieval `query` and `database`; for `all` only `train`.

    Raises:
        UnknownNameError: The protocol is not known.
        ConfigurationError: The seed is not a whole number, there are too few images for every split to hold one, or for
            a grouped protocol groups are missing or too large.
    """
    splits = draw_split(ids_by_scene, protocol, seed, groups)
    cuts = cut_of_each(ids_by_scene, draw_stored(ids_by_scene)[0])
    scenes = {image_id: number for number, ids in enumerate(ids_by_scene.values()) for image_id in ids}
    return {
        name: tuple(sorted(ids, key=lambda image_id: (scenes[image_id], cuts[image_id], image_id)))
        for name, ids in splits.items()
    }


def draw_stored(
    ids_by_scene: Mapping[str, Sequence[str]],
) -> tuple[dict[str, dict[str, tuple[str, ...]]], dict[str, str]]:
    """Return the splits of the stored protocols, and those for which there are too few images with what is lacking."""
    drawn, left_out = {}, {}
    quotas = split_quotas([len(ids) for ids in ids_by_scene.values()])
    orders = _permuted(ids_by_scene, STORED_SEED)
    for protocol in STORED_PROTOCOLS:
        try:
            drawn[protocol] = _drawn(orders, protocol, quotas)
        except ConfigurationError as error:
            left_out[protocol] = error.found
    return drawn, left_out


def cut_of_each(
    ids_by_scene: Mapping[str, Sequence[str]], drawn: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, tuple[int, ...]]:
    """Return the number of each image's split in each protocol, that of its splits where it is in none."""
    every_id = [image_id for ids in ids_by_scene.values() for image_id in ids]
    numbers = []
    for splits in drawn.values():
        number = {image_id: i for i, ids in enumerate(splits.values()) for image_id in ids}
        numbers.append([number.get(image_id, len(splits)) for image_id in every_id])
    return dict(zip(every_id, zip(*numbers, strict=True) if numbers else [()] * len(every_id), strict=True))


def draw_split(
    ids_by_scene: Mapping[str, Sequence[str]],
    protocol: str = DEFAULT_PROTOCOL,
    seed: int = 0,
    groups: Mapping[str, int] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Split image ids as `split_ids` does; each split is in the order of the scenes, then of the ids."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError(f"protocol {protocol!r} is not known", name_alternatives(protocol, PROTOCOLS))
    try:
        seed = operator.index(seed)
    except TypeError as error:
        raise ConfigurationError(f"seed={seed!r} is not a whole number", "Pass an integer, such as 0.") from error
    quotas = split_quotas([len(ids) for ids in ids_by_scene.values()])
    if protocol in _GROUPED:
        return _grouped(ids_by_scene, protocol, quotas, seed, groups)
    return _drawn(_permuted(ids_by_scene, seed), protocol, quotas)


def _grouped(
    ids_by_scene: Mapping[str, Sequence[str]],
    protocol: str,
    quotas: Quotas,
    seed: int,
    groups: Mapping[str, int] | None,
) -> dict[str, tuple[str, ...]]:
    if groups is None:
        raise ConfigurationError(
            f"protocol {protocol!r} needs the groups of near-duplicates", "Pass groups=near_duplicate_groups(images)."
        )
    parts = grouped_parts(ids_by_scene, groups, quotas, _GROUPED[protocol], seed)
    splits = {
        name: [i for ids in ids_by_scene.values() for i in sorted(ids) if i in part] for name, part in parts.items()
    }
    return _none_empty(splits, protocol, sum(map(len, ids_by_scene.values())))


def _drawn(orders: Sequence[list[str]], protocol: str, quotas: Quotas) -> dict[str, tuple[str, ...]]:
    """Return the splits that a protocol cuts from the permuted ids of each scene."""
    splits: dict[str, list[str]] = {}
    for number, order in enumerate(orders):
        for name, drawn in _cut(order, protocol, quotas, number).items():
            splits.setdefault(name, []).extend(sorted(drawn))
    return _none_empty(splits, protocol, sum(map(len, orders)))


def _cut(order: list[str], protocol: str, quotas: Quotas, scene: int) -> dict[str, list[str]]:
    """Cut one scene's permuted ids into the splits of a protocol."""
    if protocol == "all":
        return {"train": order}
    v = quotas.validation[scene]
    if protocol in _RETRIEVAL:
        trained = v + quotas.train[max(TRAIN_PERCENTS)][scene]
        queries = len(order) - quotas.queries[_RETRIEVAL[protocol]][scene]
        return {"query": order[queries:], "database": order[:v] + order[trained:queries]}
    t = v + quotas.train[_RATIO[protocol]][scene]
    return {"train": order[v:t], "validation": order[:v], "test": order[t:]}


def _none_empty(splits: Mapping[str, Sequence[str]], protocol: str, total: int) -> dict[str, tuple[str, ...]]:
    """Return the splits, each of which must hold an image."""
    empty = [name for name, ids in splits.items() if not ids]
    if empty or not splits:
        raise ConfigurationError(
            f"{total:,} images are too few for protocol {protocol!r}" + (f": {empty[0]} gets none" if empty else ""),
            "Add images, or take the protocol 'all'.",
        )
    return {name: tuple(ids) for name, ids in splits.items()}


def _permuted(ids_by_scene: Mapping[str, Sequence[str]], seed: int) -> list[list[str]]:
    """Return the ids of each scene in the seed's order: by SHA-256, which no library version changes."""
    return [
        sorted(ids, key=lambda image_id: hashlib.sha256(f"{seed}/{scene}/{image_id}".encode()).digest())
        for scene, ids in ids_by_scene.items()
    ]


def ids_by_scene(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Return the ids of each scene, by published name, in the entries' order."""
    ids: dict[str, list[str]] = {}
    for entry in entries:
        ids.setdefault(entry.scene.published, []).append(entry.id)
    return ids
