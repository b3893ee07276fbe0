"""The images and the label file of each scene, in the parts of a copy, and what lies among them and is passed over."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.archives.base import TABLE_SUFFIXES
from mlrsnet_hf.release.image_stores import ArchiveImages, ImageStore
from mlrsnet_hf.release.layout import (
    IMAGES,
    LABELS,
    LAYOUT,
    Part,
    is_empty,
    only_table,
    scene_of,
    stem_of,
    tables_in,
    unpacked,
)
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, is_clutter, named_scene, split_suffix
from mlrsnet_hf.release.table_text import SPREADSHEET_SUFFIXES
from mlrsnet_hf.release.tree import File, Folder, is_archive
from mlrsnet_hf.taxonomy import SCENES, Scene, find_scene

OTHER_ARCHIVE_SUFFIXES = (".7z", ".xz", ".txz", ".zst", ".gz", ".bz2")
Node = TypeVar("Node", bound=File | Folder)
Held = TypeVar("Held")


class Stray(NamedTuple):
    """What lies in a part of the release without being part of it."""

    place: str
    reason: str
    remedy: str = ""
    is_clutter: bool = False
    """Whether a file manager or the system left it."""

    def error(self) -> ReleaseError:
        """Return what is said where something is missing that it may stand for."""
        return ReleaseError(f"{self.place}: {self.reason}", self.remedy or LAYOUT)


@dataclass(frozen=True, slots=True)
class ByScene(Generic[Held]):
    """The images or the label files of a copy, with what is wrong with them."""

    place: str
    parts: dict[Scene, Held]
    """Parts in the order of the scenes."""
    conflicts: list[ReleaseError]
    """Files and folders of a scene that has others already."""
    faults: dict[Scene, ReleaseError]
    """Scenes whose images cannot be listed, or whose label file cannot be read."""
    strays: list[Stray]


def find_scenes(part: Part) -> ByScene[File | Folder]:
    """Find the images of each scene: its folder, else its archive, which unpacking may have left there."""
    folder = unpacked(part, IMAGES)
    found: ByScene[File | Folder] = ByScene(folder.place, {}, [], {}, _clutter(folder))
    archives = _by_scene((file for file in folder.files() if is_archive(file.name)), found)
    folders = _by_scene(folder.folders(), found)
    whole = {scene: child for scene, child in folders.items() if scene not in archives or not is_empty(child)}
    both = {**archives, **whole}
    found.parts.update(_sorted(both))
    for file in (file for file in folder.files() if not is_archive(file.name)):
        suffix = split_suffix(file.name)[1]
        if suffix in IMAGE_SUFFIXES and not both:
            flat = f"{file.place}: an image in no folder of a scene"
            found.conflicts.append(ReleaseError(flat, f"Put each scene's images into {IMAGES}/<scene>/."))
            break
        scene = named_scene(file.name.partition(".")[0])
        if suffix in OTHER_ARCHIVE_SUFFIXES and scene and scene not in both:
            remedy = f"Unpack it into {IMAGES}/{scene.published}/, or pack it as ZIP."
            found.faults[scene] = ReleaseError(f"{file.place}: an archive that is not RAR, ZIP or TAR", remedy)
        else:
            found.strays.append(Stray(file.place, "neither a folder nor an archive of a scene"))
    return found


def find_images(part: Part) -> ByScene[ImageStore]:
    """List the images of each scene; those of a scene that cannot be listed are among the faults."""
    found = find_scenes(part)
    images: ByScene[ImageStore] = ByScene(found.place, {}, found.conflicts, found.faults, found.strays)
    for scene, node in found.parts.items():
        try:
            images.parts[scene] = store = _open_images(node)
        except ReleaseError as error:
            images.faults[scene] = error
        else:
            others = ((name, f"{store.place}/{name}") for name in store.passed_over)
            images.strays.extend(Stray(place, "no image", is_clutter=is_clutter(name)) for name, place in others)
    return images


def find_label_files(part: Part) -> "ByScene[File] | File":
    """Find the label file of each scene, or the one table of all scenes that stands for them.

    Raises:
        ReleaseError: There is neither, or there are two tables.
    """
    if isinstance(part, File) and not is_archive(part.name):
        return part
    folder = unpacked(part, LABELS)
    found: ByScene[File] = ByScene(folder.place, {}, [], {}, _clutter(folder))
    rest = {file.name: file for file in folder.files()}
    for suffix in TABLE_SUFFIXES:
        same = [file for file in tables_in(folder) if split_suffix(file.name)[1] == suffix and scene_of(file)]
        for scene, file in _by_scene(same, found).items():
            if scene not in found.parts:
                found.parts[scene] = rest.pop(file.name)
    for file in list(rest.values()):
        meant = scene_of(file)
        if meant and meant not in found.parts and split_suffix(file.name)[1] in SPREADSHEET_SUFFIXES:
            found.faults[meant] = ReleaseError(f"{file.place}: a spreadsheet, not text", "Save the table as CSV there.")
            del rest[file.name]
    if not found.parts and not found.faults:
        return _table_of_all(folder)
    others: list[File | Folder] = [*rest.values(), *folder.folders()]
    found.strays.extend(_stray(node, "no label file of a scene") for node in others)
    return ByScene(found.place, _sorted(found.parts), found.conflicts, found.faults, found.strays)


def _table_of_all(folder: Folder) -> File:
    if table := only_table(folder):
        return table
    for other in tables_in(folder)[:1]:
        raise _stray(other, "no label file of a scene").error()
    raise ReleaseError(f"{folder.place}: no label file in it", LAYOUT)


def _open_images(node: File | Folder) -> ImageStore:
    if isinstance(node, File):
        archive = node.archive()
        return ArchiveImages(archive, archive.place, archive.members())
    return node.images()


def _by_scene(nodes: Iterable[Node], found: ByScene[Held]) -> dict[Scene, Node]:
    """Return files or folders by the scene that their names stand for; add the others to the strays."""
    by_scene: dict[Scene, Node] = {}
    for node in nodes:
        scene = scene_of(node)
        if scene is None:
            found.strays.append(_stray(node, ""))
        elif scene in by_scene:
            taken = f"{node.place}: stands for {scene.name}, as {by_scene[scene].name} does"
            found.conflicts.append(ReleaseError(taken, "Keep one of the two."))
        else:
            by_scene[scene] = node
    return by_scene


def _sorted(parts: dict[Scene, Held]) -> dict[Scene, Held]:
    return {scene: parts[scene] for scene in SCENES if scene in parts}


def _stray(node: File | Folder, reason: str) -> Stray:
    """Return a stray with the names of scenes that are near its own."""
    try:
        find_scene(stem_of(node))
    except UnknownNameError as error:
        return Stray(node.place, error.found, error.remedy)
    return Stray(node.place, reason)


def _clutter(folder: Folder) -> list[Stray]:
    return [Stray(f"{folder.place}/{name}", "left by the system", is_clutter=True) for name in folder.clutter()]
