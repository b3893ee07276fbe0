"""Where the release's parts lie in a source: the folder or archive of the images, that of the label files.

The layout is `Images/<scene>/*.jpg`, `Images/<scene>.rar` or `Images/<scene>.zip` beside `Labels/<scene>.csv`, on disk
or in an archive, with up to three folders around both or around one of them; either part may be an archive itself, and
one table of all scenes stands for the label files. Names match in any letter case, scenes by canonical or published
name. What lies beside the parts is not looked at.

The search opens no archive whose name says which part it is, so that `stamps.py` can ask it for what decides a copy.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.archives.base import TABLE_SUFFIXES, split_archive_suffix
from mlrsnet_hf.release.archives.nested import open_archive
from mlrsnet_hf.release.label_files import is_label_table
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, image_scene, named_scene, split_suffix
from mlrsnet_hf.release.parquet import has_images, parquet_files
from mlrsnet_hf.release.tree import DiskFolder, File, Folder, archive_folder, is_archive
from mlrsnet_hf.taxonomy import Scene

IMAGES, LABELS = "Images", "Labels"
LAYOUT = (
    "Pass the folder that holds Images/<scene>/*.jpg (or Images/<scene>.rar or .zip) and Labels/<scene>.csv, or the "
    "archive with these."
)
_WRAPPERS = 3
"""Folders that may lie around the parts, and around what each part holds."""
_CROWD = 1000
"""Folders of one depth that are looked into; a project may have any number."""
_NEARBY = 50
"""Folders beside the labels, and in each of these, that are looked into for images."""
_HEAD_BYTES = 1 << 16
"""How much of a table shows its header; 60 names have 700 bytes."""

Part = Folder | File
"""A folder, the archive that stands in its place, or one table of labels."""


@dataclass(frozen=True, slots=True)
class Copy:
    """The parts of a copy of the release."""

    root: Folder
    """The folder or archive in which both lie."""
    images: Part | None
    labels: Part | None
    """None where there is no such part."""


@dataclass(frozen=True, slots=True)
class ParquetCopy:
    """Parquet files with images."""

    files: tuple[Path, ...]
    passed_over: tuple[Path, ...]
    """Parquet files without images beside them."""


def find_copy(source: Path) -> Copy | ParquetCopy:
    """Return the parts of a copy, or the Parquet files that the source is.

    Of a release and Parquet files with images what lies higher counts, at one depth the release; labels alone count
    there only if they lie in the source itself.

    Raises:
        ReleaseError: There is no such source, it is of another kind, or it holds two copies.
    """
    if not source.exists():
        raise ReleaseError(f"{source}: no such folder", LAYOUT)
    if not source.is_dir():
        if source.suffix.casefold() == ".parquet":
            return ParquetCopy((source,), ())
        if not is_archive(source.name):
            raise ReleaseError(f"{source}: not a folder", LAYOUT)
        return _parts(_search(archive_folder(open_archive(source)))[1])
    folder = DiskFolder(source)
    folder.files()  # raises if the source itself cannot be read
    depth, root = _search(folder)
    counts = depth == 0 or bool(_named(root, IMAGES))
    found = parquet_files(source, depth if counts else _WRAPPERS)
    with_images = [file for file in found if has_images(file)]
    if with_images:
        return ParquetCopy(tuple(with_images), tuple(file for file in found if file not in with_images))
    if found and not counts:
        return ParquetCopy(tuple(found), ())
    return _parts(root if counts else _packed(folder) or root)


def find_part(copy: Copy, name: str) -> Part:
    """Return a part of a copy.

    Raises:
        ReleaseError: There is none; where images lie beside the labels under another name, the message names them.
    """
    part = copy.images if name == IMAGES else copy.labels
    if part is None:
        if name == IMAGES:
            refuse_misplaced_images(copy)
        _refuse_other_kind(copy.root, name)
        raise ReleaseError(f"{copy.root.place}: no folder {name}/ in it", LAYOUT)
    return part


def unpacked(part: Part, name: str) -> Folder:
    """Return the folder that holds a part's scenes or label files: without its archive, and what lies around them."""
    outer = folder = archive_folder(part.archive()) if isinstance(part, File) else part
    for _ in range(_WRAPPERS + 1):
        if _holds_scenes(folder) or (name == LABELS and label_tables(folder)):
            return folder
        inner: Sequence[Part] = folder.folders() or [file for file in folder.files() if is_archive(file.name)]
        chosen = [child for child in inner if stem_of(child).casefold() == name.casefold()] or inner
        if len(chosen) != 1:
            break
        folder = archive_folder(chosen[0].archive()) if isinstance(chosen[0], File) else chosen[0]
    return outer


def scene_of(node: Part) -> Scene | None:
    """Return the scene that a folder's or file's name stands for."""
    return named_scene(stem_of(node))


def is_empty(part: Part) -> bool:
    """Return whether a part is a folder in which nothing lies but what the system left."""
    return isinstance(part, Folder) and not part.folders() and not part.files()


def tables_in(folder: Folder) -> list[File]:
    """Return the files with the name of a table in text."""
    return [file for file in folder.files() if split_suffix(file.name)[1] in TABLE_SUFFIXES]


def label_tables(folder: Folder) -> list[File]:
    """Return the tables in a folder that have the header of a label file."""
    found = []
    for file in tables_in(folder):
        with contextlib.suppress(ReleaseError):  # what cannot be read, as a link to nothing, is none
            if is_label_table(file.head(_HEAD_BYTES)):
                found.append(file)
    return found


def refuse_misplaced_images(copy: Copy) -> None:
    """Refuse a copy whose labels lie beside images that go by another name than Images.

    Raises:
        ReleaseError: Such images are there.
    """
    if copy.images is None:
        _refuse_other_kind(copy.root, IMAGES)
        for place in _misplaced_images(copy):
            if place == copy.root.place and copy.root.name.casefold() == IMAGES.casefold():
                raise ReleaseError(
                    f"{place}: the images alone", f"Pass the folder around it, with {LABELS}/ beside it."
                )
            raise ReleaseError(
                f"{copy.root.place}: no folder {IMAGES}/ in it, though images of MLRSNet's scenes lie in {place}",
                f"Rename that to {IMAGES}, with a folder for each scene in it; or pass the label files alone.",
            )


def _refuse_other_kind(root: Folder, name: str) -> None:
    for file in root.files():
        if file.name.casefold().startswith(f"{name}.".casefold()):
            raise ReleaseError(f"{file.place}: not an archive of a kind that is read", "Unpack it there.")


def _misplaced_images(copy: Copy) -> Iterator[str]:
    root, labels = copy.root, copy.labels.place if copy.labels else ""
    if any(scene_of(child) for child in root.folders()) or any(map(_is_of_scene, root.files())):
        yield root.place
    for folder in _readable_folders(root)[:_NEARBY]:
        inside = [folder, *_readable_folders(folder)[:_NEARBY]]
        if folder.place != labels and any(_holds_images(one) for one in inside):
            yield folder.place
    for file in root.files():
        if is_archive(file.name) and file.place != labels:
            with contextlib.suppress(ReleaseError):
                if _holds_images(unpacked(file, IMAGES)):
                    yield file.place


def _holds_images(folder: Folder) -> bool:
    """Return whether folders or archives of scenes, or their images, lie in a folder."""
    try:
        children = [*folder.folders(), *filter(_is_of_scene, folder.files())]
    except ReleaseError:
        return False
    return any(isinstance(child, File) or scene_of(child) for child in children)


def _is_of_scene(file: File) -> bool:
    if is_archive(file.name):
        return scene_of(file) is not None
    return split_suffix(file.name)[1] in IMAGE_SUFFIXES and image_scene(file.name) is not None


def stem_of(node: Part) -> str:
    """Return the name of a folder, or that of a file without its suffix."""
    if isinstance(node, Folder):
        return node.name
    stem, suffix = split_archive_suffix(node.name)
    return stem if suffix else split_suffix(node.name)[0]


def _search(folder: Folder) -> tuple[int, Folder]:
    """Return the highest folder that holds a part, and how deep it lies, or the folder itself.

    Of several at one depth those with images count, with labels beside them before those without.
    """
    level, seen = [folder], {os.path.realpath(folder.place)}
    for depth in range(_WRAPPERS + 1):
        held = [(2 * bool(_named(one, IMAGES)) + bool(_named(one, LABELS)), one) for one in level]
        most = max((count for count, _ in held), default=0)
        best = [one for count, one in held if count == most > 0]
        if len(best) == 1:
            return depth, best[0]
        if best and most > 1:
            both = f"{best[0].place} and {best[1].place}"
            raise ReleaseError(f"{both}: both hold {IMAGES}", "Pass one of the two.")
        below: list[Folder] = []
        for child in (child for one in level for child in _readable_folders(one)):
            identity = os.path.realpath(child.place)  # a link may lead to a folder that is there already
            if identity not in seen:
                seen.add(identity)
                below.append(child)
        level = below[:_CROWD]
    return _WRAPPERS, folder


def _packed(folder: DiskFolder) -> Folder | None:
    """Return what the only archive in a folder holds, if that has a part."""
    archives = [file for file in folder.files() if is_archive(file.name) and not scene_of(file)]
    if len(archives) != 1:
        return None
    root = _search(archive_folder(archives[0].archive()))[1]
    return root if _holds_part(root) else None


def _readable_folders(folder: Folder) -> Sequence[Folder]:
    """Return the folders in a folder; one that cannot be read is no part of a copy."""
    try:
        return folder.folders()
    except ReleaseError:
        return []


def _parts(root: Folder) -> Copy:
    images, labels = _part(root, IMAGES), _part(root, LABELS)
    if images and not labels:
        labels = root if any(map(scene_of, tables_in(root))) else only_table(root)
    return Copy(root, images, labels)


def only_table(folder: Folder) -> File | None:
    """Return the table of all scenes in a folder; None if there is none.

    Raises:
        ReleaseError: There are two.
    """
    tables = label_tables(folder)
    if len(tables) > 1:
        raise ReleaseError(f"{tables[0].place} and {tables[1].place}: both hold labels", "Keep one of the two there.")
    return tables[0] if tables else None


def _part(root: Folder, name: str) -> Part | None:
    found = _named(root, name)
    if len(found) > 1:
        both = " and ".join(f"{child.name}{'' if is_archive(child.name) else '/'}" for child in found[:2])
        raise ReleaseError(f"{root.place}: both {both} in it", "Keep one of the two.")
    return found[0] if found else None


def _holds_part(folder: Folder) -> bool:
    return any(_named(folder, name) for name in (IMAGES, LABELS))


def _holds_scenes(folder: Folder) -> bool:
    return any(map(scene_of, folder.folders())) or any(map(scene_of, folder.files()))


def _named(folder: Folder, name: str) -> Sequence[Part]:
    """Return the folders of a name, else the archives of that name."""
    try:
        folders = [child for child in folder.folders() if child.name.casefold() == name.casefold()]
        packed = [file for file in folder.files() if is_archive(file.name)]
    except ReleaseError:
        return []
    archives = [file for file in packed if stem_of(file).casefold() == name.casefold()]
    return archives if archives and all(map(is_empty, folders)) else folders
