"""Where the builder's images come from: a copy of the release, or synthetic scenes.

Both have `entries` (all images, in a fixed order), `read` (the records at ascending positions in `entries`) and two
hashes: of what decides the records, and of what decides the images, whatever their labels.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets import config

from mlrsnet_hf.dataset.download import DATA_DIR_VARIABLE, archive_path
from mlrsnet_hf.dataset.repository.parts import repository_order
from mlrsnet_hf.dataset.repository.schema import FEATURES
from mlrsnet_hf.dataset.splits.protocols import ids_by_scene
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.release import Entry, LabelVersion, Record, Release, open_release
from mlrsnet_hf.release.stamps import source_fingerprint
from mlrsnet_hf.synthetic import draw_labels, synthetic_record
from mlrsnet_hf.taxonomy import SCENES


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
    def entries(self) -> Sequence[Entry]:
        """All images, in the order of a repository: see `repository_order`."""
        entries = {entry.id: entry for entry in self.release.entries}
        ordered = repository_order(ids_by_scene(self.release.entries))
        return [entries[image_id] for ids in ordered.values() for image_id in ids]

    def read(self, positions: Sequence[int]) -> Iterator[Record]:
        """Yield the records at ascending positions."""
        return self.release.records([self.entries[position] for position in positions])

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the files that the copy is read from; see `source_fingerprint`.

        Raises:
            ReleaseError: There is no such copy, or it cannot be read.
        """
        return source_fingerprint(self.location)

    @property
    def images_fingerprint(self) -> str:
        """A hash of the images' names, sizes and modification times."""
        return self.release.images_fingerprint()


class SyntheticSource:
    """A few synthetic images of every scene, by scene and number."""

    IMAGES_PER_SCENE = 20
    SEED = 0

    @functools.cached_property
    def entries(self) -> Sequence[Entry]:
        """All images."""
        return [
            Entry(name := f"{scene.published}_{i:05d}", f"{name}.jpg", scene, draw_labels(scene, self.SEED, i), False)
            for scene in SCENES
            for i in range(1, self.IMAGES_PER_SCENE + 1)
        ]

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


def cache_key(source: ReleaseSource | SyntheticSource) -> str:
    """Return a hash of the records and of how they are stored.

    Versions of `datasets` below 4 cannot read the features that 4 and later write, so each has its own cache.
    """
    stored = json.dumps(FEATURES.to_dict(), sort_keys=True)
    return hashlib.sha256(f"{source.fingerprint} {stored}".encode()).hexdigest()[:16]


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder in place of ~."""
    return Path(path).expanduser()


def downloads_folder(cache_dir: str | None) -> Path:
    """Return where `datasets` keeps what it downloads."""
    return expanded(cache_dir) / "downloads" if cache_dir else Path(config.DOWNLOADED_DATASETS_PATH)


def find_data(data_dir: str | os.PathLike[str] | None, downloads: Path) -> Path | None:
    """Return the copy of the release to use: `data_dir`, else what the environment names, else an earlier download.

    Returns:
        None if there is no copy yet.

    Raises:
        ConfigurationError: The environment variable names nothing that exists.
    """
    if data_dir is not None:
        return expanded(data_dir).absolute()
    named = os.environ.get(DATA_DIR_VARIABLE)
    if named:
        path = expanded(named).absolute()
        if not path.exists():
            raise ConfigurationError(
                f"{DATA_DIR_VARIABLE}={named}: no such folder or archive", "Correct or unset the variable."
            )
        return path
    archive = archive_path(downloads)
    return archive if archive.exists() else None
