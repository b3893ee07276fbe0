"""What a source holds, listed before rows and images are matched.

The audit must go on where `open_release` stops, so it starts from this listing. This is the only module of the audit
that knows how sources are laid out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ImageError, ReleaseError, UnknownNameError
from mlrsnet_hf.release.image_stores import ArchiveImages, ImageStore
from mlrsnet_hf.release.label_files import LabelRow, parse_label_file
from mlrsnet_hf.release.layout import IMAGES, LABELS, Node, find_part, has_part, source_folder
from mlrsnet_hf.release.names import split_suffix
from mlrsnet_hf.release.opening import find_parquet
from mlrsnet_hf.release.parquet import open_parquet
from mlrsnet_hf.release.tree import File, Folder, is_archive
from mlrsnet_hf.taxonomy import SCENES, Scene, find_scene


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file as it lies in the source."""

    scene: Scene
    name: str
    data: bytes
    fault: str | None = None
    """Why it could not be read from the source, if so."""


@dataclass(frozen=True, slots=True)
class Listing:
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
        """How many image files there are."""
        return sum(len(store.names) for store in (self.images or {}).values())

    def read_images(self) -> Iterator[ImageFile]:
        """Read the image files one after another."""
        for scene, store in (self.images or {}).items():
            yield from _read(scene, store)


def list_source(source: str | Path, with_images: bool = True) -> Listing:
    """List what `open_release` or `open_labels` takes, faults and all.

    Args:
        source: A folder or file.
        with_images: Whether to look for images; without, `Listing.images` is None.

    Raises:
        ReleaseError: There are no labels at all, or the source is an archive or a Parquet file that cannot be read.
    """
    path = Path(source)
    files = find_parquet(path)
    if files:
        return _parquet_listing(path, files)
    folder = source_folder(path)
    strangers: list[str] = []
    rows, label_faults = _read_labels(_label_files(folder, strangers))
    look = with_images and has_part(folder, IMAGES)
    images, image_faults = _find_images(folder, strangers) if look else (None, {})
    return Listing(rows, label_faults, images, image_faults, tuple(strangers))


def _label_files(source: Folder, strangers: list[str]) -> dict[Scene, File]:
    alone = not has_part(source, IMAGES) and not has_part(source, LABELS)
    folder = source if alone else find_part(source, LABELS)
    files = [(split_suffix(f.name)[0], f) for f in folder.files() if split_suffix(f.name)[1] == ".csv"]
    if not files:
        raise ReleaseError(
            f"{folder.place}: no label file in it", "Pass a copy of the release, or the folder with its label files."
        )
    return _by_scene(files, strangers)


def _by_scene(nodes: Iterable[tuple[str, Node]], strangers: list[str]) -> dict[Scene, Node]:
    """Return files or folders by scene; those that belong to none, or stand for one a second time, are strangers."""
    found: dict[Scene, Node] = {}
    for name, node in nodes:
        try:
            scene = find_scene(name)
        except UnknownNameError as error:
            strangers.append(f"{node.place}: {error.found}")
            continue
        if scene in found:
            strangers.append(f"{node.place}: stands for {scene.name}, as {found[scene].name} does")
        found.setdefault(scene, node)
    return {scene: found[scene] for scene in SCENES if scene in found}


def _read_labels(
    files: Mapping[Scene, File],
) -> tuple[dict[Scene, tuple[LabelRow, ...]], dict[Scene, ReleaseError]]:
    rows: dict[Scene, tuple[LabelRow, ...]] = {}
    faults: dict[Scene, ReleaseError] = {}
    for scene, file in files.items():
        try:
            rows[scene] = tuple(parse_label_file(file.content(), file.place))
        except ReleaseError as error:
            faults[scene] = error
    return rows, faults


def _find_images(source: Folder, strangers: list[str]) -> tuple[dict[Scene, ImageStore], dict[Scene, ReleaseError]]:
    folder = find_part(source, IMAGES)
    files = folder.files()
    strangers += [f"{file.place}: neither a folder nor an archive" for file in files if not is_archive(file.name)]
    archives = _by_scene(((split_suffix(f.name)[0], f) for f in files if is_archive(f.name)), strangers)
    folders = _by_scene(((child.name, child) for child in folder.folders()), strangers)
    stores: dict[Scene, ImageStore] = {}
    faults: dict[Scene, ReleaseError] = {}
    for scene in (scene for scene in SCENES if scene in archives or scene in folders):
        try:
            stores[scene] = folders[scene].images() if scene in folders else _archive_images(archives[scene])
        except ReleaseError as error:
            faults[scene] = error
    return stores, faults


def _archive_images(file: File) -> ImageStore:
    archive = file.archive()
    return ArchiveImages(archive, archive.place, archive.members())


def _read(scene: Scene, store: ImageStore) -> Iterator[ImageFile]:
    """Read a scene's images; those that do not come are told as such."""
    left, reason = dict.fromkeys(store.names), "no longer there"
    try:
        for name, content in store.read(list(left)):
            left.pop(name, None)
            if isinstance(content, ImageError):
                yield ImageFile(scene, name, b"", content.found)
            else:
                yield ImageFile(scene, name, content)
    except ReleaseError as error:
        reason = error.found
    yield from (ImageFile(scene, name, b"", reason) for name in left)


def _parquet_listing(source: Path, files: list[Path]) -> Listing:
    try:
        release = open_parquet(source, files, "as-published")
    except ReleaseError:  # a repository of ours may hold repaired labels only
        release = open_parquet(source, files, "verified")
    scenes = [part.entries[0].scene for part in release.parts]
    rows = {
        scene: tuple(
            LabelRow(name, entry.labels, 0) for entry, name in zip(part.entries, part.image_names, strict=True)
        )
        for scene, part in zip(scenes, release.parts, strict=True)
    }
    return Listing(rows, {}, {s: part.images for s, part in zip(scenes, release.parts, strict=True)}, {}, ())
