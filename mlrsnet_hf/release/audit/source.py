"""What a source holds, listed before rows and images are matched.

The audit must go on where `open_release` stops, so it starts from this listing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.label_files import LabelRow, parse_label_file
from mlrsnet_hf.release.layout import IMAGES, find_images, find_label_files, has_part, source_folder
from mlrsnet_hf.release.opening import find_parquet
from mlrsnet_hf.release.parquet import read_parquet
from mlrsnet_hf.release.tree import ImageStore
from mlrsnet_hf.taxonomy import Scene


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """An image file as it lies in the source."""

    scene: Scene
    name: str
    data: bytes
    fault: str | None = None
    """Why it could not be read from the source, if so."""


@dataclass(frozen=True, slots=True)
class SourceListing:
    """The rows and the images of a source, by scene in the order of ids, with what is wrong with its layout."""

    rows: Mapping[Scene, tuple[LabelRow, ...]]
    label_faults: Mapping[Scene, ReleaseError]
    """Why a scene's labels cannot be read; it has no rows."""
    images: Mapping[Scene, ImageStore] | None
    """None for label files alone."""
    image_faults: Mapping[Scene, ReleaseError]
    """Why a scene's images cannot be listed; it has none."""
    strangers: tuple[str, ...]
    """Files and folders that belong to no scene, each with what is wrong with it."""

    def image_names(self, scene: Scene) -> tuple[str, ...]:
        """Return the names of a scene's image files."""
        store = (self.images or {}).get(scene)
        return tuple(store.names) if store else ()

    @property
    def image_count(self) -> int:
        """Number of image files."""
        return sum(len(store.names) for store in (self.images or {}).values())

    def read_images(self) -> Iterator[AuditedFile]:
        """Read the image files one after another."""
        for scene, store in (self.images or {}).items():
            yield from _read(scene, store)


def list_source(source: str | Path, with_images: bool = True) -> SourceListing:
    """List what `open_release` or `open_labels` takes, faults and all; without images, `images` is None.

    Raises:
        ReleaseError: There are no labels at all, or the source is an archive or a Parquet file that cannot be read.
    """
    path = Path(source)
    files = find_parquet(path)
    if files:
        return _parquet_listing(path, files)
    folder = source_folder(path)
    has_images = has_part(folder, IMAGES)
    label_files = find_label_files(folder, alone=not has_images)
    rows: dict[Scene, tuple[LabelRow, ...]] = {}
    label_faults: dict[Scene, ReleaseError] = {}
    for scene, file in label_files.parts.items():
        try:
            rows[scene] = tuple(parse_label_file(file.content(), file.place))
        except ReleaseError as error:
            label_faults[scene] = error
    strangers = [error.found for error in label_files.strangers]
    if not (with_images and has_images):
        return SourceListing(rows, label_faults, None, {}, tuple(strangers))
    images = find_images(folder)
    strangers += [error.found for error in images.strangers]
    return SourceListing(rows, label_faults, images.parts, images.faults, tuple(strangers))


def _read(scene: Scene, store: ImageStore) -> Iterator[AuditedFile]:
    """Read a scene's images; those that do not come are told as such."""
    left, reason = dict.fromkeys(store.names), "no longer there"
    try:
        for name, content in store.read(list(left)):
            left.pop(name, None)
            if isinstance(content, ImageError):
                yield AuditedFile(scene, name, b"", content.found)
            else:
                yield AuditedFile(scene, name, content)
    except ReleaseError as error:
        reason = error.found
    yield from (AuditedFile(scene, name, b"", reason) for name in left)


def _parquet_listing(source: Path, files: list[Path]) -> SourceListing:
    release = read_parquet(source, files)
    parts = {part.entries[0].scene: part for part in release.parts}
    rows = {
        scene: tuple(
            LabelRow(name, entry.labels, 0) for entry, name in zip(part.entries, part.image_names, strict=True)
        )
        for scene, part in parts.items()
    }
    return SourceListing(rows, {}, {scene: part.images for scene, part in parts.items()}, {}, ())
