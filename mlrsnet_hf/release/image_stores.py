"""The images of one scene, in a folder or in an archive."""

import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.base import MAX_SCENE_BYTES, REFETCH, Found, Member, disk_stamp, stamp
from mlrsnet_hf.release.archives.nested import Archive
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, is_clutter, split_suffix

_WRAPPERS = 4
"""Folders, one in the other, in which unpacking may have left a scene."""
_COPY = re.compile(r"(?: ?\(\d+\)| - Copy(?: \(\d+\))?| copy(?: \d+)?)$")
"""What browsers and file managers append to the name of a file that is there already."""


class ImageStore(Protocol):
    """One scene's image files, wherever they lie."""

    place: str
    names: Sequence[str]
    """Names of the files, in any order."""
    passed_over: Sequence[str]
    """Names of what lies beside them and is none of the scene's images."""

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named files, each once, in the order given or in one that is much cheaper."""

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the files on disk that hold the images."""


class FolderImages:
    """The images in a folder on disk; one that holds a single folder, as unpacking may leave it, gives way to that."""

    def __init__(self, path: Path) -> None:
        for _ in range(_WRAPPERS):
            names = _listed(path)
            visible = [name for name in names if not is_clutter(name)]
            folders = [name for name in visible if (path / name).is_dir()] if not any(map(_is_image, visible)) else []
            if len(folders) != 1:
                break
            path /= folders[0]
        self.path = path
        self.place = str(path)
        self.names, self.passed_over = _image_names(names)

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named files in the order given."""
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
        """Return name, size and modification time of the images; of a link to nothing, that it is one."""
        try:
            with os.scandir(self.path) as entries:
                stamps = {entry.name: _stamp(entry) for entry in entries}
        except OSError:
            stamps = {}
        return [stamps[name] if name in stamps else disk_stamp(self.path / name) for name in self.names]


class ArchiveImages:
    """The images in an archive, or in one folder of it, at any depth."""

    def __init__(self, archive: Archive, place: str, members: Sequence[Member]) -> None:
        self._archive = archive
        self.place = place
        kept = [member for member in members if not any(map(is_clutter, member.path.split("/")))]
        path_of = [(member.path.rpartition("/")[2], member.path) for member in kept]
        self.names, self.passed_over = _image_names([name for name, _ in path_of])
        images = [member for member in kept if _is_image(member.path)]
        for fault in (member.fault for member in images if member.fault):
            raise fault
        if sum(member.size for member in images) > MAX_SCENE_BYTES:
            raise ReleaseError(f"{place}: more than {MAX_SCENE_BYTES:,} bytes of images in one scene", REFETCH)
        self._paths = dict(path_of)

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named files in the order that the archive's kind reads them in."""
        wanted = {self._paths[name]: name for name in names}
        for path, content in self._archive.read(list(wanted)):
            yield wanted[path], content

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the archive on disk."""
        return [self._archive.stamp()]


def _listed(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read ({error.strerror})", "Check the folder.") from error


def _is_image(name: str) -> bool:
    return split_suffix(name)[1] in IMAGE_SUFFIXES


def _image_names(names: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of images, and those that are passed over: no images, and copies of an image beside them."""
    stems = {split_suffix(name)[0] for name in names}
    images: list[str] = []
    others: list[str] = []
    for name in names:
        stem = split_suffix(name)[0]
        is_copy = _COPY.search(stem) and _COPY.sub("", stem) in stems
        (images if _is_image(name) and not is_clutter(name) and not is_copy else others).append(name)
    return images, others


def _stamp(entry: os.DirEntry[str]) -> str:
    try:
        return stamp(entry.name, entry.stat())
    except OSError as error:
        return f"{entry.name} {error.strerror}"
