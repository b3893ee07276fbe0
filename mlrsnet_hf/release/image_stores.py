"""One scene's images, wherever they lie: in a folder or in an archive."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.base import MAX_SCENE_BYTES, REFETCH, Archive, Member, disk_stamp, stamp
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, is_clutter, split_suffix

Found = tuple[str, bytes | ImageError]
"""Name and content of an image file, or why it cannot be read."""


class ImageStore(Protocol):
    """One scene's image files."""

    place: str
    """For errors."""
    names: Sequence[str]
    """Of the files, in any order."""

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named files, each once, in the order given or in one that is much cheaper."""

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the files on disk that hold the images."""


class FolderImages:
    """The images in a folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path, names = _scene_folder(path)
        self.place = str(self.path)
        self.names = _image_names(self.place, names)

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """See `ImageStore.read`; the order is that given."""
        start = f"{self.path}{os.sep}"
        for name in names:
            try:
                with io.FileIO(start + name) as file:
                    content = file.readall()
            except OSError as error:
                yield name, ImageError(f"{start}{name}: cannot be read ({error.strerror})", "Check the file.")
            else:
                yield name, content

    def stamps(self) -> list[str]:
        """See `ImageStore.stamps`."""
        try:
            with os.scandir(self.path) as entries:
                stamps = {entry.name: stamp(entry.name, entry.stat()) for entry in entries}
        except OSError:
            stamps = {}
        return [stamps[name] if name in stamps else disk_stamp(self.path / name) for name in self.names]


class ArchiveImages:
    """The images in an archive, or in one folder of it, at any depth."""

    def __init__(self, archive: Archive, place: str, members: Sequence[Member]) -> None:
        self._archive = archive
        self.place = place
        if sum(member.size for member in members) > MAX_SCENE_BYTES:
            raise ReleaseError(f"{place}: more than {MAX_SCENE_BYTES:,} bytes of images in one scene", REFETCH)
        kept = [member.path for member in members if not any(map(is_clutter, member.path.split("/")))]
        self.names = _image_names(place, [path.rpartition("/")[2] for path in kept])
        self._paths = dict(zip(self.names, kept, strict=True))

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """See `ImageStore.read`."""
        wanted = {self._paths[name]: name for name in names}
        for path, content in self._archive.read(list(wanted)):
            yield wanted[path], content

    def stamps(self) -> list[str]:
        """See `ImageStore.stamps`."""
        return [self._archive.stamp()]


def _scene_folder(folder: Path) -> tuple[Path, list[str]]:
    """Return a folder and what it holds; one that holds a single folder, as unpacking may leave it, gives way to it."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_clutter(entry.name))
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read ({error.strerror})", "Check the folder.") from error
    if len(names) == 1 and (folder / names[0]).is_dir():
        return _scene_folder(folder / names[0])
    return folder, names


def _image_names(place: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names, all of them of image files."""
    for name in names:
        if split_suffix(name)[1] not in IMAGE_SUFFIXES:
            raise ReleaseError(f"{place}/{name}: not a .jpg, .png or .tif file", "Keep only the scene's images there.")
    return names
