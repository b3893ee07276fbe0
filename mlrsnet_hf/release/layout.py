"""Where the release's parts lie in a source: the images of each scene, and the label files.

The layout is `Images/<scene>/*.jpg`, `Images/<scene>.rar` or `Images/<scene>.zip` beside `Labels/<scene>.csv`, on disk
or in an archive, with or without one folder around both. Names match in any letter case, scenes by canonical or
published name.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.archives.nested import open_archive
from mlrsnet_hf.release.image_stores import ArchiveImages, ImageStore
from mlrsnet_hf.release.names import split_suffix
from mlrsnet_hf.release.tree import DiskFolder, File, Folder, archive_folder, is_archive
from mlrsnet_hf.taxonomy import Scene, find_scene

IMAGES, LABELS = "Images", "Labels"
Node = TypeVar("Node", File, Folder)
LAYOUT = (
    "Pass the folder that holds Images/<scene>/*.jpg (or Images/<scene>.rar or .zip) and Labels/<scene>.csv, or the "
    "archive with these."
)


def source_folder(source: Path) -> Folder:
    """Return a source, a folder or an archive, as a folder.

    Raises:
        ReleaseError: There is none, or the archive is refused.
    """
    if source.is_dir():
        return DiskFolder(source)
    if not source.exists():
        raise ReleaseError(f"{source}: no such folder", LAYOUT)
    if not is_archive(source.name):
        raise ReleaseError(f"{source}: not a folder", LAYOUT)
    return archive_folder(open_archive(source))


def find_images(source: Folder) -> dict[Scene, ImageStore]:
    """Return the images of each scene.

    A scene's folder is preferred to its archive, which may have been left there after unpacking.

    Raises:
        ReleaseError: There is no folder with images, it is empty, or something in it belongs to no scene.
    """
    images = find_part(source, IMAGES)
    files = images.files()
    for file in files:
        if not is_archive(file.name):
            raise ReleaseError(f"{file.place}: a file where a scene's folder or archive is expected", LAYOUT)
    archives = _by_scene((split_suffix(file.name)[0], file) for file in files)
    folders = _by_scene((folder.name, folder) for folder in images.folders())
    if not archives and not folders:
        raise ReleaseError(f"{images.place}: empty folder", LAYOUT)
    stores = {scene: folder.images() for scene, folder in folders.items()}
    for scene, file in archives.items():
        if scene not in stores:
            archive = file.archive()
            stores[scene] = ArchiveImages(archive, archive.place, archive.members())
    return stores


def find_label_files(source: Folder, alone: bool = False) -> dict[Scene, File]:
    """Return the label file of each scene, from a folder or an archive named `Labels`.

    Args:
        source: The source as a folder.
        alone: Whether the label files may also lie in the source itself.

    Raises:
        ReleaseError: There are none, or one belongs to no scene.
    """
    labels = source if alone and not has_part(source, LABELS) else find_part(source, LABELS)
    files = [file for file in labels.files() if split_suffix(file.name)[1] == ".csv"]
    if not files:
        raise ReleaseError(f"{labels.place}: no label file in it", LAYOUT)
    return _by_scene((split_suffix(file.name)[0], file) for file in files)


def has_part(source: Folder, name: str) -> bool:
    """Return whether a source holds `Images` or `Labels`, directly or in its only folder."""
    return bool(_named(_descended(source), name))


def find_part(source: Folder, name: str) -> Folder:
    """Return the folder of a name, or the archive of that name as a folder.

    Raises:
        ReleaseError: There is none, or more than one.
    """
    inner = _descended(source)
    found = _named(inner, name)
    if not found:
        raise ReleaseError(f"{source.place}: no folder {name}/ in it", LAYOUT)
    if len(found) > 1:
        both = " and ".join(f"{child.name}{'' if is_archive(child.name) else '/'}" for child in found[:2])
        raise ReleaseError(f"{inner.place}: both {both} in it", "Keep one of the two.")
    return found[0] if isinstance(found[0], Folder) else archive_folder(found[0].archive())


def _descended(source: Folder) -> Folder:
    """Return the source, or the only folder in it where neither part lies beside that."""
    if _named(source, IMAGES) or _named(source, LABELS):
        return source
    folders = source.folders()
    return folders[0] if len(folders) == 1 else source


def _named(folder: Folder, name: str) -> Sequence[Folder | File]:
    """Return the folders of a name, else the archives of that name."""
    folders = [child for child in folder.folders() if child.name.casefold() == name.casefold()]
    packed = (file for file in folder.files() if is_archive(file.name))
    return folders or [file for file in packed if split_suffix(file.name)[0].casefold() == name.casefold()]


def _by_scene(nodes: Iterable[tuple[str, Node]]) -> dict[Scene, Node]:
    """Return files or folders by the scene that their names stand for."""
    found: dict[Scene, Node] = {}
    for name, node in nodes:
        try:
            scene = find_scene(name)
        except UnknownNameError as error:
            raise ReleaseError(f"{node.place}: {error.found}", error.remedy) from error
        if scene in found:
            raise ReleaseError(
                f"{found[scene].place} and {node.place}: both stand for {scene.name}", "Keep one of the two."
            )
        found[scene] = node
    return found
