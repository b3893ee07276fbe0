"""Where the builder's images come from: a copy of the release, or synthetic scenes."""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from datasets import config

from mlrsnet_hf.dataset.download import DATA_DIR_VARIABLE, archive_path
from mlrsnet_hf.dataset.features import FEATURES
from mlrsnet_hf.dataset.repository.parts import repository_order
from mlrsnet_hf.dataset.splits.protocols import Annotated, ids_by_scene
from mlrsnet_hf.errors import ConfigurationError, ReleaseError
from mlrsnet_hf.release import Entry as ReleaseEntry
from mlrsnet_hf.release import LabelVersion, Record, Release, open_release
from mlrsnet_hf.release.archives.base import ARCHIVE_SUFFIXES
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, is_clutter
from mlrsnet_hf.synthetic import synthetic_record
from mlrsnet_hf.taxonomy import SCENES, Scene

_SUFFIXES = (*IMAGE_SUFFIXES, *ARCHIVE_SUFFIXES, ".csv", ".parquet")


class Entry(Annotated, Protocol):
    """What is known of an image before it is read."""

    @property
    def repaired(self) -> bool:
        """Whether the labels differ from the published ones."""


class Source(Protocol):
    """Images with their annotations, in a fixed order."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All images, scene by scene."""

    def read(self, positions: Sequence[int]) -> Iterator[Record]:
        """Yield the records at ascending positions in `entries`."""

    @property
    def fingerprint(self) -> str:
        """A hash of what decides the records, taken once."""

    @property
    def images_fingerprint(self) -> str:
        """A hash of what decides the images, whatever their labels."""


@dataclasses.dataclass(frozen=True)
class ReleaseSource:
    """A copy of the release, opened when it is needed."""

    location: Path
    label_version: LabelVersion

    @functools.cached_property
    def release(self) -> Release:
        """The copy, opened and checked."""
        return open_release(self.location, self.label_version)

    @functools.cached_property
    def entries(self) -> Sequence[ReleaseEntry]:
        """All images, in the order of a repository: see `repository_order`."""
        entries = {entry.id: entry for entry in self.release.entries}
        ordered = repository_order(ids_by_scene(self.release.entries))
        return [entries[image_id] for ids in ordered.values() for image_id in ids]

    def read(self, positions: Sequence[int]) -> Iterator[Record]:
        """Yield the records at ascending positions."""
        return self.release.records([self.entries[position] for position in positions])

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the files that may count: the content of label files; name, size and modification time of others.

        Not `Release.fingerprint`, which opens the copy first: reading labels and listing archives is work that a second
        call need not do.

        Raises:
            ReleaseError: There is no such copy, or it cannot be read.
        """
        try:
            stamps = [_stamp(self.location)] if self.location.is_file() else _stamps(str(self.location))
            content = "\n".join(stamps)
        except OSError as error:
            raise ReleaseError(f"{error.filename}: cannot be read ({error.strerror})", "Check the path.") from error
        return hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()

    @property
    def images_fingerprint(self) -> str:
        """A hash of the images' names, sizes and modification times."""
        return self.release.images_fingerprint()


@dataclasses.dataclass(frozen=True)
class _SyntheticEntry:
    scene: Scene
    index: int
    repaired: bool = False

    @property
    def id(self) -> str:
        """Stem in the manner of the published ones."""
        return f"{self.scene.published}_{self.index:05d}"


class SyntheticSource:
    """A few synthetic images of every scene, by scene and number."""

    IMAGES_PER_SCENE = 20
    SEED = 0

    @functools.cached_property
    def entries(self) -> Sequence[Entry]:
        """All images."""
        return [_SyntheticEntry(scene, i) for scene in SCENES for i in range(1, self.IMAGES_PER_SCENE + 1)]

    def read(self, positions: Sequence[int]) -> Iterator[Record]:
        """Draw the images at the positions."""
        for position in positions:
            scene, index = divmod(position, self.IMAGES_PER_SCENE)
            yield synthetic_record(SCENES[scene], index + 1, self.SEED)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of how many images there are and of their seed."""
        return hashlib.sha256(f"synthetic {self.IMAGES_PER_SCENE} {self.SEED}".encode()).hexdigest()

    @property
    def images_fingerprint(self) -> str:
        """The same, as these images have no other labels."""
        return self.fingerprint


def _stamps(folder: str, below: str = "") -> Iterator[str]:
    """Yield the stamps of a folder's files and of those in the folders below it."""
    with os.scandir(folder) as entries:
        kept = sorted((entry for entry in entries if not is_clutter(entry.name)), key=lambda entry: entry.name)
    for entry in kept:
        if entry.is_dir():
            yield from _stamps(entry.path, f"{below}{entry.name}/")
        elif entry.name.casefold().endswith(_SUFFIXES):
            yield f"{below}{_stamp(entry)}"


def _stamp(file: Path | os.DirEntry[str]) -> str:
    if file.name.casefold().endswith(".csv"):
        return f"{file.name} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
    stat = file.stat()
    return f"{file.name} {stat.st_size} {stat.st_mtime_ns}"


def open_source(location: Path | None, label_version: LabelVersion) -> Source:
    """Open a copy of the release, or synthetic scenes if there is no location."""
    return SyntheticSource() if location is None else ReleaseSource(location, label_version)


def cache_key(source: Source) -> str:
    """Return a hash of the records and of how they are stored.

    Versions of `datasets` below 4 cannot read the features that 4 and later write, so each has its own cache.
    """
    stored = json.dumps(FEATURES.to_dict(), sort_keys=True)
    return hashlib.sha256(f"{source.fingerprint} {stored}".encode()).hexdigest()[:16]


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of ~."""
    return Path(path).expanduser()


def content_hash(path: str | os.PathLike[str]) -> str:
    """Return a hash of a file's content.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        return hashlib.sha256(expanded(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})", "Check the path.") from error


def downloads_folder(cache_dir: str | None) -> Path:
    """Return where `datasets` keeps what it downloads."""
    return Path(cache_dir).expanduser() / "downloads" if cache_dir else Path(config.DOWNLOADED_DATASETS_PATH)


def find_data(data_dir: str | os.PathLike[str] | None, downloads: Path) -> Path | None:
    """Return the copy of the release to use, or None if there is none yet.

    Args:
        data_dir: What the user passed: a folder or archive.
        downloads: Where an earlier download lies.

    Returns:
        `data_dir`, else what the environment variable names, else an earlier download.

    Raises:
        ConfigurationError: The environment variable names nothing that exists.
    """
    if data_dir is not None:
        return Path(data_dir).expanduser().absolute()
    named = os.environ.get(DATA_DIR_VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        if not path.exists():
            raise ConfigurationError(
                f"{DATA_DIR_VARIABLE}={named}: no such folder or archive", "Correct or unset the variable."
            )
        return path
    archive = archive_path(downloads)
    return archive if archive.exists() else None
