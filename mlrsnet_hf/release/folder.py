"""A folder in the layout of the release: `Images/<scene>/*.jpg` beside `Labels/<scene>.csv`.

Opening a folder checks it whole, without reading the images: every row has its image, every image its row, every
scene folder its label file. Images are read one at a time, when their record is asked for.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mlrsnet_hf.errors import ImageError, ReleaseError, UnknownNameError, name_alternatives
from mlrsnet_hf.release.jpeg import jpeg_fault
from mlrsnet_hf.release.label_files import LabelRow, read_label_file
from mlrsnet_hf.release.records import Record
from mlrsnet_hf.release.repair import LabelSource, verified_labels
from mlrsnet_hf.taxonomy import Scene, find_scene

IMAGE_SUFFIXES = (".jpg", ".jpeg")
_LAYOUT = "Pass the folder that holds Images/<scene>/*.jpg and Labels/<scene>.csv."
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image file with its annotation."""

    scene: Scene
    labels: tuple[int, ...]
    """Label ids, ascending."""
    repaired: bool
    """Whether the labels differ from the published ones."""
    image: Path

    @property
    def id(self) -> str:
        """Published file stem."""
        return self.image.stem

    def read(self) -> Record:
        """Read the image.

        Raises:
            ImageError: The image cannot be read, is not a JPEG or is cut short.
        """
        try:
            data = self.image.read_bytes()
        except OSError as error:
            raise ImageError(f"{self.image}: cannot be read ({error.strerror})", "Check the file.") from error
        fault = jpeg_fault(data)
        if fault:
            raise ImageError(f"{self.image}: {fault}", "Fetch the image again, or remove it and its row.")
        return Record(
            id=self.id,
            file_name=self.image.name,
            scene=self.scene,
            labels=self.labels,
            image=data,
            repaired=self.repaired,
        )


@dataclass(frozen=True, slots=True)
class Release:
    """A checked release folder, or the part of it that is there."""

    root: Path
    entries: tuple[Entry, ...]
    """By scene id, then by image id."""
    label_files: tuple[Path, ...]

    def records(self) -> Iterator[Record]:
        """Yield the records in the order of `entries`; see `Entry.read` for the errors."""
        return (entry.read() for entry in self.entries)

    def fingerprint(self) -> str:
        """Return a hash of the label files' content and of the images' names, sizes and modification times.

        The folder's location does not enter, so that a moved copy keeps its fingerprint.
        """
        digest = hashlib.sha256()
        for path in self.label_files:
            digest.update(f"{path.name}\n".encode())
            digest.update(path.read_bytes())
        for entry in self.entries:
            stat = entry.image.stat()
            digest.update(f"{entry.scene.name}/{entry.image.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def open_release(root: str | Path, labels: LabelSource = "verified") -> Release:
    """Open a folder in the layout of the release and match its rows with its images.

    Any subset of the 46 scenes will do. The names of the two folders, of scenes and of images match in any letter
    case; scenes are known by canonical or published name.

    Args:
        root: The folder that holds `Images` and `Labels`.
        labels: `verified` repairs the published faults (see `verified_labels`), `as-published` takes the label files as
            they are.

    Raises:
        UnknownNameError: `labels` is neither.
        ReleaseError: The folder is missing, empty or not laid out like the release; a scene is unknown; a row has no
            image or an image no row; a label file is faulty.
    """
    if labels not in get_args(LabelSource):
        raise UnknownNameError(f"labels={labels!r} is not known", name_alternatives(labels, get_args(LabelSource)))
    root = Path(root)
    if not root.is_dir():
        raise ReleaseError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}", _LAYOUT)
    images = _by_scene(_scene_folders(_child_folder(root, "Images")))
    label_files = _by_scene(_label_files(_child_folder(root, "Labels")))
    _refuse_unpaired_scenes(images, label_files)
    scenes = sorted(images, key=lambda scene: scene.id)
    entries = tuple(
        _annotated(scene, row, image, labels)
        for scene in scenes
        for row, image in _match(scene, label_files[scene], images[scene])
    )
    _refuse_repeated_ids(entries)
    return Release(root, entries, tuple(label_files[scene] for scene in scenes))


def _child_folder(root: Path, name: str) -> Path:
    found = [path for path in _children(root) if path.is_dir() and path.name.casefold() == name.casefold()]
    if not found:
        raise ReleaseError(f"{root}: no folder {name}/ in it", _LAYOUT)
    if len(found) > 1:
        raise ReleaseError(f"{root}: both {found[0].name}/ and {found[1].name}/ in it", "Keep one of the two.")
    return found[0]


def _children(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, without what file managers leave behind."""
    names = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in names if path.name.casefold() not in _SYSTEM_FILES)


def _scene_folders(images: Path) -> list[Path]:
    folders = _children(images)
    if not folders:
        raise ReleaseError(f"{images}: empty folder", _LAYOUT)
    for path in folders:
        if not path.is_dir():
            raise ReleaseError(f"{path}: a file where a scene's folder is expected", f"Unpack archives. {_LAYOUT}")
    return folders


def _label_files(labels: Path) -> list[Path]:
    files = [path for path in _children(labels) if path.suffix.casefold() == ".csv"]
    if not files:
        raise ReleaseError(f"{labels}: no label file in it", _LAYOUT)
    return files


def _by_scene(paths: Sequence[Path]) -> dict[Scene, Path]:
    """Return the paths by the scene that their names stand for."""
    found: dict[Scene, Path] = {}
    for path in paths:
        try:
            scene = find_scene(path.name if path.is_dir() else path.stem)
        except UnknownNameError as error:
            raise ReleaseError(f"{path}: {error.found}", error.remedy) from error
        if scene in found:
            raise ReleaseError(f"{found[scene]} and {path}: both stand for {scene.name}", "Keep one of the two.")
        found[scene] = path
    return found


def _refuse_unpaired_scenes(images: dict[Scene, Path], label_files: dict[Scene, Path]) -> None:
    for scene, path in images.items():
        if scene not in label_files:
            raise ReleaseError(f"{path}: no label file for this scene", f"Add Labels/{scene.published}.csv.")
    for scene, path in label_files.items():
        if scene not in images:
            raise ReleaseError(
                f"{path}: no images for this scene", f"Add Images/{scene.published}/ or remove the file."
            )


def _annotated(scene: Scene, row: LabelRow, image: Path, labels: LabelSource) -> Entry:
    chosen = row.labels if labels == "as-published" else verified_labels(scene, image.stem, row.labels)
    return Entry(scene, chosen, chosen != row.labels, image)


def _match(scene: Scene, label_file: Path, folder: Path) -> list[tuple[LabelRow, Path]]:
    """Pair a scene's rows and images by file stem; both sides must be complete."""
    rows = {Path(row.file_name).stem.casefold(): row for row in read_label_file(label_file)}
    images = _images_by_stem(folder)
    if not rows and not images:
        raise ReleaseError(f"{folder}: empty folder", "Add the scene's images, or remove it and its label file.")
    without_image = [row for stem, row in rows.items() if stem not in images]
    if without_image:
        first = without_image[0]
        raise ReleaseError(
            f"{label_file}, line {first.line}: {first.file_name} is not in {folder}{_and_more(without_image)}",
            "Add the image or delete the row.",
        )
    without_row = [path for stem, path in images.items() if stem not in rows]
    if without_row:
        raise ReleaseError(
            f"{without_row[0]}: no row in {label_file}{_and_more(without_row)}", "Add the row or remove the image."
        )
    return sorted(((row, images[stem]) for stem, row in rows.items()), key=lambda pair: pair[1].stem)


def _images_by_stem(folder: Path) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for path in _children(folder):
        if path.suffix.casefold() not in IMAGE_SUFFIXES:
            raise ReleaseError(f"{path}: not a .jpg file", "Keep only the scene's images in its folder.")
        stem = path.stem.casefold()
        if stem in images:
            raise ReleaseError(f"{images[stem]} and {path}: two images of one name", "Keep one of the two.")
        images[stem] = path
    return images


def _and_more(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def _refuse_repeated_ids(entries: Sequence[Entry]) -> None:
    counts = Counter(entry.id for entry in entries)
    image_id, count = counts.most_common(1)[0]
    if count > 1:
        first, second = (entry.image for entry in entries if entry.id == image_id)
        raise ReleaseError(f"{first} and {second}: one id in two scenes", "Rename one, in its label file too.")
