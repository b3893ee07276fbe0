"""What a source holds, listed before rows and images are matched.

The audit must go on where `open_release` stops, so it starts from this listing. This is the only module of the audit
that knows how sources are laid out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.folder import IMAGE_SUFFIXES, _child_folder, _children
from mlrsnet_hf.release.label_files import LabelRow, read_label_file
from mlrsnet_hf.taxonomy import Scene, find_scene

_LAYOUT = "Pass a folder that holds Images/<scene>/*.jpg and Labels/<scene>.csv, or the label files alone."


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file as it lies in the source."""

    scene: Scene
    name: str
    data: bytes
    fault: str | None = None
    """Why it could not be read from the source, if so."""


@dataclass(frozen=True, slots=True)
class LayoutFault:
    """A file or folder that cannot be used."""

    where: str
    found: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows and the image names of a source, with what is wrong with its layout."""

    rows: Mapping[Scene, tuple[LabelRow, ...]]
    """By scene in the order of ids; a scene whose label file cannot be read is not among them."""
    images: Mapping[Scene, tuple[str, ...]] | None
    """File names by scene; None for label files alone."""
    layout_faults: tuple[LayoutFault, ...]
    label_faults: Mapping[Scene, ReleaseError]
    """Why a scene's label file cannot be read."""
    read_images: Callable[[], Iterator[ImageFile]]
    """Reads the image files one after another."""

    @property
    def image_count(self) -> int:
        """How many image files there are."""
        return sum(map(len, (self.images or {}).values()))


def list_source(source: str | Path) -> Listing:
    """List a release folder, or label files alone: a folder `Labels`, or a folder of label files.

    Raises:
        ReleaseError: There are neither images nor label files.
    """
    root = Path(source)
    if not root.is_dir():
        raise ReleaseError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}", _LAYOUT)
    faults: list[LayoutFault] = []
    label_files = _by_scene([path for path in _children(_label_folder(root)) if _is_label_file(path)], faults)
    rows, label_faults = _read_labels(label_files)
    images = _image_files(root, faults)
    if not label_files and not images:
        raise ReleaseError(f"{root}: no label file and no image in it", _LAYOUT)
    return Listing(
        rows,
        None if images is None else {scene: tuple(path.name for path in paths) for scene, paths in images.items()},
        tuple(faults),
        label_faults,
        lambda: _read(images or {}),
    )


def _label_folder(root: Path) -> Path:
    return _child_folder(root, "Labels") if _has_folder(root, "Labels") or _has_folder(root, "Images") else root


def _has_folder(root: Path, name: str) -> bool:
    return any(path.is_dir() and path.name.casefold() == name.casefold() for path in _children(root))


def _is_label_file(path: Path) -> bool:
    return path.is_file() and path.suffix.casefold() == ".csv"


def _by_scene(paths: list[Path], faults: list[LayoutFault]) -> dict[Scene, Path]:
    found: dict[Scene, Path] = {}
    for path in paths:
        try:
            scene = find_scene(path.name if path.is_dir() else path.stem)
        except UnknownNameError as error:
            faults.append(LayoutFault(str(path), error.found))
            continue
        if scene in found:
            faults.append(LayoutFault(str(path), f"stands for {scene.name}, as {found[scene].name} does"))
        else:
            found[scene] = path
    return dict(sorted(found.items(), key=lambda item: item[0].id))


def _read_labels(
    label_files: Mapping[Scene, Path],
) -> tuple[dict[Scene, tuple[LabelRow, ...]], dict[Scene, ReleaseError]]:
    rows: dict[Scene, tuple[LabelRow, ...]] = {}
    faults: dict[Scene, ReleaseError] = {}
    for scene, path in label_files.items():
        try:
            rows[scene] = tuple(read_label_file(path))
        except ReleaseError as error:
            faults[scene] = error
    return rows, faults


def _image_files(root: Path, faults: list[LayoutFault]) -> dict[Scene, list[Path]] | None:
    if not _has_folder(root, "Images"):
        return None
    children = _children(_child_folder(root, "Images"))
    faults.extend(
        LayoutFault(str(path), "a file where a scene's folder is expected") for path in children if path.is_file()
    )
    folders = _by_scene([path for path in children if path.is_dir()], faults)
    images: dict[Scene, list[Path]] = {}
    for scene, folder in folders.items():
        paths = _children(folder)
        faults.extend(LayoutFault(str(path), "not an image file") for path in paths if not _is_image(path))
        images[scene] = [path for path in paths if _is_image(path)]
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.casefold() in IMAGE_SUFFIXES and not path.is_dir()


def _read(images: Mapping[Scene, list[Path]]) -> Iterator[ImageFile]:
    for scene, paths in images.items():
        for path in paths:
            try:
                yield ImageFile(scene, path.name, path.read_bytes())
            except OSError as error:
                yield ImageFile(scene, path.name, b"", f"cannot be read ({error.strerror})")
