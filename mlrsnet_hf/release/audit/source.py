"""What a source holds, listed before rows and images are matched, and its image files one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.image_stores import ImageStore
from mlrsnet_hf.release.label_files import LabelRow
from mlrsnet_hf.release.layout import ParquetCopy, find_copy
from mlrsnet_hf.release.listing import Listing, SceneLabels, list_copy
from mlrsnet_hf.release.parquet import read_parquet
from mlrsnet_hf.release.scene_files import Stray, find_images
from mlrsnet_hf.release.tree import DiskFile
from mlrsnet_hf.taxonomy import Scene


@dataclass(frozen=True, slots=True)
class AuditedFile:
    """An image file as it lies in the source."""

    scene: Scene
    name: str
    data: bytes
    fault: str | None = None
    """Why it could not be read from the source, if so."""


def list_source(source: str | Path, with_images: bool = True) -> Listing:
    """List what `open_release` or `open_labels` takes, faults and all; without images, `images` is None.

    Raises:
        ReleaseError: There are no labels at all, images lie beside them under a name that is not looked for, or the
            source is an archive or a Parquet file that cannot be read.
    """
    path = Path(source)
    copy = find_copy(path)
    if isinstance(copy, ParquetCopy):
        return _parquet_listing(path, copy)
    return list_copy(copy, find_images(copy.images) if copy.images and with_images else None)


def read_images(listing: Listing) -> Iterator[AuditedFile]:
    """Read the image files one after another."""
    for scene, store in (listing.images or {}).items():
        yield from _read(scene, store)


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


def _parquet_listing(source: Path, copy: ParquetCopy) -> Listing:
    release = read_parquet(source, copy.files)
    parts = {part.entries[0].scene: part for part in release.parts}
    labels = {
        scene: SceneLabels(
            tuple(LabelRow(name, entry.labels, 0) for entry, name in zip(part.entries, part.image_names, strict=True)),
            DiskFile(copy.files[0]),
            "",
        )
        for scene, part in parts.items()
    }
    images = {scene: part.images for scene, part in parts.items()}
    strays = tuple(Stray(str(file), "a Parquet file without images") for file in copy.passed_over)
    return Listing(labels, {}, images, {}, (), strays)
