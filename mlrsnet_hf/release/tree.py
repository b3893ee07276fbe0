"""Folders and files, on disk or in an archive, and the images that a scene's folder or archive holds.

The search for the release's layout sees both alike. A `place` is the path that errors name, inside an archive after
that archive's.
"""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.base import (
    ARCHIVE_SUFFIXES,
    MAX_SCENE_BYTES,
    REFETCH,
    Found,
    Member,
    disk_stamp,
    stamp,
)
from mlrsnet_hf.release.archives.nested import Archive, NestedArchive, open_archive
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, is_clutter, split_suffix


class ImageStore(Protocol):
    """One scene's image files, wherever they lie."""

    place: str
    names: Sequence[str]
    """Names of the files, in any order."""

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named files, each once, in the order given or in one that is much cheaper."""

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the files on disk that hold the images."""


class DiskFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def content(self) -> bytes:
        """Return what is in it."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the file.") from error

    def archive(self) -> Archive:
        """Return the archive that it is."""
        return open_archive(self.path)


class ArchiveFile:
    """A file in an archive."""

    def __init__(self, archive: Archive, path: str) -> None:
        self._archive = archive
        self.path = path
        self.name = path.rpartition("/")[2]
        self.place = f"{archive.place}/{path}"

    def content(self) -> bytes:
        """Return what is in it."""
        found = dict(self._archive.read([self.path])).get(self.path)
        if isinstance(found, bytes):
            return found
        raise found or ReleaseError(f"{self.place}: no longer in the archive", "Do not change the archive meanwhile.")

    def archive(self) -> Archive:
        """Return the archive that it is."""
        return NestedArchive(self._archive, self.path)


class DiskFolder:
    """A folder on disk; what file managers leave behind does not show."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def folders(self) -> "list[DiskFolder]":
        """Return the folders in it, by name."""
        return [DiskFolder(self.path / name) for name in self._children(folders=True)]

    def files(self) -> list[DiskFile]:
        """Return the files in it, by name."""
        return [DiskFile(self.path / name) for name in self._children(folders=False)]

    def images(self) -> "FolderImages":
        """Return the folder as one scene's images."""
        return FolderImages(self.path)

    def _children(self, folders: bool) -> list[str]:
        try:
            with os.scandir(self.path) as entries:
                return sorted(e.name for e in entries if e.is_dir() == folders and not is_clutter(e.name))
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the folder.") from error


class ArchiveFolder:
    """A folder in an archive, or the archive itself; what file managers leave behind does not show."""

    def __init__(self, archive: Archive, members: Sequence[Member], path: str = "") -> None:
        self._archive = archive
        self._members = members
        self._start = f"{path}/" if path else ""
        self.name = path.rpartition("/")[2]
        self.place = f"{archive.place}/{path}" if path else archive.place

    def folders(self) -> "list[ArchiveFolder]":
        """Return the folders in it, by name."""
        inside: dict[str, list[Member]] = {}
        for member in self._members:
            name, below, _ = member.path[len(self._start) :].partition("/")
            if below and not is_clutter(name):
                inside.setdefault(name, []).append(member)
        return [ArchiveFolder(self._archive, inside[name], f"{self._start}{name}") for name in sorted(inside)]

    def files(self) -> list[ArchiveFile]:
        """Return the files in it, by name."""
        names = (member.path[len(self._start) :] for member in self._members)
        own = sorted(name for name in names if "/" not in name and not is_clutter(name))
        return [ArchiveFile(self._archive, f"{self._start}{name}") for name in own]

    def images(self) -> "ArchiveImages":
        """Return the folder as one scene's images."""
        return ArchiveImages(self._archive, self.place, self._members)


File = DiskFile | ArchiveFile
Folder = DiskFolder | ArchiveFolder


def is_archive(name: str) -> bool:
    """Return whether a file name is that of an archive."""
    return split_suffix(name)[1] in ARCHIVE_SUFFIXES


def archive_folder(archive: Archive) -> ArchiveFolder:
    """Return an archive as a folder."""
    return ArchiveFolder(archive, archive.members())


class FolderImages:
    """The images in a folder on disk; one that holds a single folder, as unpacking may leave it, gives way to that."""

    def __init__(self, path: Path) -> None:
        names = _visible(path)
        while len(names) == 1 and (path / names[0]).is_dir():
            path /= names[0]
            names = _visible(path)
        self.path = path
        self.place = str(path)
        self.names = _image_names(self.place, names)

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
        """Return name, size and modification time of the images."""
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
        """Yield the named files in the order that the archive's kind reads them in."""
        wanted = {self._paths[name]: name for name in names}
        for path, content in self._archive.read(list(wanted)):
            yield wanted[path], content

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the archive on disk."""
        return [self._archive.stamp()]


def _visible(folder: Path) -> list[str]:
    try:
        return sorted(child.name for child in folder.iterdir() if not is_clutter(child.name))
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read ({error.strerror})", "Check the folder.") from error


def _image_names(place: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names, all of them of image files."""
    for name in names:
        if split_suffix(name)[1] not in IMAGE_SUFFIXES:
            raise ReleaseError(f"{place}/{name}: not a .jpg, .png or .tif file", "Keep only the scene's images there.")
    return names
