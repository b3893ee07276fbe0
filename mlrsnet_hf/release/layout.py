"""Where the release's parts lie in a source: the images of each scene, and the label files.

The layout is `Images/<scene>/*.jpg`, `Images/<scene>.rar` or `Images/<scene>.zip` beside `Labels/<scene>.csv`, on disk
or in an archive, with or without one folder around both. Names match in any letter case, scenes by canonical or
published name.

What is wrong in it is listed, not raised: `open_release` raises the first fault, the audit reports them all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.archives.nested import open_archive
from mlrsnet_hf.release.names import split_suffix
from mlrsnet_hf.release.tree import ArchiveImages, DiskFolder, File, Folder, ImageStore, archive_folder, is_archive
from mlrsnet_hf.taxonomy import SCENES, Scene, find_scene

IMAGES, LABELS = "Images", "Labels"
Node = TypeVar("Node", bound=File | Folder)
Part = TypeVar("Part")
LAYOUT = (
    "Pass the folder that holds Images/<scene>/*.jpg (or Images/<scene>.rar or .zip) and Labels/<scene>.csv, or the "
    "archive with these."
)


@dataclass(frozen=True, slots=True)
class ByScene(Generic[Part]):
    """The images or the label files of a source, with what is wrong with them."""

    place: str
    parts: dict[Scene, Part]
    """Parts in the order of the scenes."""
    strangers: list[ReleaseError]
    """Files and folders that belong to no scene, or to one that has others already."""
    faults: dict[Scene, ReleaseError]
    """Scenes whose images cannot be listed."""

    def refuse_faults(self) -> None:
        """Raise the first fault."""
        for error in (*self.strangers, *self.faults.values()):
            raise error


def source_folder(source: Path) -> Folder:
    """Return a source, a folder or an archive, as a folder."""
    if source.is_dir():
        return DiskFolder(source)
    if not source.exists():
        raise ReleaseError(f"{source}: no such folder", LAYOUT)
    if not is_archive(source.name):
        raise ReleaseError(f"{source}: not a folder", LAYOUT)
    return archive_folder(open_archive(source))


def find_images(source: Folder) -> ByScene[ImageStore]:
    """Find the images of each scene: in its folder, else in its archive, which unpacking may have left there."""
    part = find_part(source, IMAGES)
    files: Sequence[File] = part.files()
    strangers = [
        ReleaseError(f"{file.place}: neither a folder nor an archive", LAYOUT)
        for file in files
        if not is_archive(file.name)
    ]
    archives = _by_scene(((split_suffix(f.name)[0], f) for f in files if is_archive(f.name)), strangers)
    folders = _by_scene(((child.name, child) for child in part.folders()), strangers)
    stores: dict[Scene, ImageStore] = {}
    faults: dict[Scene, ReleaseError] = {}
    for scene in (scene for scene in SCENES if scene in archives or scene in folders):
        try:
            if scene in folders:
                stores[scene] = folders[scene].images()
            else:
                archive = archives[scene].archive()
                stores[scene] = ArchiveImages(archive, archive.place, archive.members())
        except ReleaseError as error:
            faults[scene] = error
    return ByScene(part.place, stores, strangers, faults)


def find_label_files(source: Folder, alone: bool = False) -> ByScene[File]:
    """Find the label file of each scene, in a folder or archive named `Labels`; `alone` they may lie in the source."""
    part = source if alone and not has_part(source, LABELS) else find_part(source, LABELS)
    files = [file for file in part.files() if split_suffix(file.name)[1] == ".csv"]
    if not files:
        remedy = "Pass a copy of the release, or the folder with its label files." if alone else LAYOUT
        raise ReleaseError(f"{part.place}: no label file in it", remedy)
    strangers: list[ReleaseError] = []
    return ByScene(part.place, _by_scene(((split_suffix(f.name)[0], f) for f in files), strangers), strangers, {})


def has_part(source: Folder, name: str) -> bool:
    """Return whether a source holds `Images` or `Labels`, directly or in its only folder."""
    return bool(_named(_descended(source), name))


def find_part(source: Folder, name: str) -> Folder:
    """Return the only folder of a name, or the only archive of that name as a folder."""
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


def _by_scene(nodes: Iterable[tuple[str, Node]], strangers: list[ReleaseError]) -> dict[Scene, Node]:
    """Return files or folders by the scene that their names stand for; add the others to the strangers."""
    found: dict[Scene, Node] = {}
    for name, node in nodes:
        try:
            scene = find_scene(name)
        except UnknownNameError as error:
            strangers.append(ReleaseError(f"{node.place}: {error.found}", error.remedy))
            continue
        if scene in found:
            taken = f"{node.place}: stands for {scene.name}, as {found[scene].name} does"
            strangers.append(ReleaseError(taken, "Keep one of the two."))
        found.setdefault(scene, node)
    return {scene: found[scene] for scene in SCENES if scene in found}
