"""A release folder to a `datasets.DatasetDict`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, NamedSplit
from datasets.exceptions import DatasetGenerationError

from mlrsnet_hf.dataset.features import FEATURES, to_example
from mlrsnet_hf.dataset.protocols import DEFAULT_PROTOCOL, split_ids
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.release import LabelSource, Release, open_release

CACHE_VERSION = 1
"""Raise it whenever the rows built from one release change, so that no stale cache is used."""


def load_release(
    data_dir: str | Path,
    protocol: str = DEFAULT_PROTOCOL,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    labels: LabelSource = "verified",
) -> DatasetDict:
    """Load a folder in the layout of the release, split by one of the paper's protocols.

    The images are copied once into the `datasets` cache, whatever the number of protocols and seeds used; a changed
    label file or image makes a new copy.

    Args:
        data_dir: The folder that holds `Images` and `Labels`.
        protocol: `ratio20`, `ratio30`, `ratio40`, `retrieval05`, `retrieval10`, `retrieval15` or `all`.
        seed: Draws another split.
        cache_dir: Where the cache lies; by default where `datasets` keeps it.
        labels: `verified` or `as-published`; see `open_release`.

    Returns:
        The splits of the protocol (see `split_ids`), each in the order of scene and id, with `FEATURES`.

    Raises:
        ReleaseError: The folder is not laid out like the release, or an image is not whole.
        UnknownNameError: The protocol is not known.
        ConfigurationError: There are too few images.
    """
    release = open_release(data_dir, labels)
    positions = {entry.id: position for position, entry in enumerate(release.entries)}
    split = split_ids(_ids_by_scene(release), protocol, seed)
    whole = _build(release, labels, cache_dir)
    return DatasetDict({name: _take(whole, name, [positions[i] for i in ids]) for name, ids in split.items()})


def _ids_by_scene(release: Release) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for entry in release.entries:
        ids.setdefault(entry.scene.published, []).append(entry.id)
    return ids


def _build(release: Release, labels: LabelSource, cache_dir: str | Path | None) -> Dataset:
    """Return all records as one dataset, from the cache if it is there."""
    try:
        return Dataset.from_generator(
            _examples,
            features=FEATURES,
            cache_dir=str(cache_dir) if cache_dir else None,
            gen_kwargs={
                "root": str(release.root.resolve()),
                "labels": labels,
                "fingerprint": release.fingerprint(),
                "version": CACHE_VERSION,
            },
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, MLRSNetError):
            raise error.__cause__ from None
        raise


def _examples(root: str, labels: LabelSource, fingerprint: str, version: int) -> Iterator[dict[str, Any]]:
    """Yield the rows; fingerprint and version are there for the cache key, into which `datasets` hashes them."""
    for record in open_release(root, labels).records():
        yield to_example(record)


def _take(whole: Dataset, name: str, positions: list[int]) -> Dataset:
    info = whole.info.copy()
    info.splits = None
    return Dataset(whole.data, info=info, split=NamedSplit(name)).select(positions)
