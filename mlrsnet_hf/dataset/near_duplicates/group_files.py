"""Groups of near-duplicates as a small file, so that they are found once."""

import contextlib
import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from filelock import FileLock

from mlrsnet_hf.dataset.near_duplicates.groups import near_duplicate_groups
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.release import Release

GROUPS_VERSION = 1
"""Raise it whenever other groups are found in the same images."""


def release_groups(release: Release, cache_dir: str | Path | None = None, threads: int | None = None) -> dict[str, int]:
    """Return the groups of a release's near-duplicates, from a file in the cache if they were found before.

    Args:
        release: The release; a changed image makes a new search.
        cache_dir: Where the file lies; by default where `datasets` keeps its cache.
        threads: How many search at once; by default as many as there are cores.

    Raises:
        ImageError: An image cannot be read or decoded.
        ConfigurationError: The file cannot be written.
    """
    if cache_dir is None:
        import datasets

        cache_dir = datasets.config.HF_DATASETS_CACHE
    images = ((record.id, record.image) for record in release.records())
    return cached_groups(cache_dir, release.images_fingerprint(), images, threads)


def cached_groups(
    cache_dir: str | Path,
    fingerprint: str,
    images: Iterable[tuple[str, bytes]],
    threads: int | None = None,
) -> dict[str, int]:
    """Return the group number of each image, from a file in the cache if an earlier call has written it.

    Args:
        cache_dir: The cache of `datasets`.
        fingerprint: What tells these images from others; their labels do not matter.
        images: Id and image file of each image; read only where there is no such file.
        threads: How many search at once; by default as many as there are cores.

    Raises:
        ImageError: An image cannot be read or decoded.
        ConfigurationError: The file cannot be written or read.
    """
    path = Path(cache_dir) / "mlrsnet" / f"near-duplicates-{GROUPS_VERSION}-{fingerprint[:16]}.csv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                write_groups(near_duplicate_groups(images, threads), path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror or error})", "Choose another cache folder or disk."
        ) from error
    return read_groups(path)


def write_groups(groups: Mapping[str, int], path: str | Path) -> None:
    """Write a CSV of id and group; it appears when it is whole.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "group"])
            writer.writerows(groups.items())
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror or error})", "Choose another folder or disk."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_groups(path: str | Path) -> dict[str, int]:
    """Read what `write_groups` wrote.

    Raises:
        ConfigurationError: The file cannot be read or is not such a file.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            return {row["id"]: int(row["group"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: not a file of groups ({error})", "Remove it and find them anew.") from error
