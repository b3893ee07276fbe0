"""Folders and files that may lie on disk or in an archive, as the search for the release's layout sees them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.archives.base import ARCHIVE_SUFFIXES, Archive, Member
from mlrsnet_hf.release.archives.nested import NestedArchive, open_archive
from mlrsnet_hf.release.image_stores import ArchiveImages, FolderImages, ImageStore
from mlrsnet_hf.release.names import is_clutter, split_suffix


class File(Protocol):
    """A file."""

    name: str
    place: str
    """For errors: its path, inside an archive after that archive's."""

    def content(self) -> bytes:
        """Return what is in it.

        Raises:
            ReleaseError: It cannot be read.
        """

    def archive(self) -> Archive:
        """Return the archive that it is."""


@runtime_checkable
class Folder(Protocol):
    """A folder; what file managers leave behind does not show."""

    name: str
    place: str

    def folders(self) -> list["Folder"]:
        """Return the folders in it, by name."""

    def files(self) -> list[File]:
        """Return the files in it, by name."""

    def images(self) -> ImageStore:
        """Return the folder as one scene's images."""


class DiskFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def content(self) -> bytes:
        """See `File.content`."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the file.") from error

    def archive(self) -> Archive:
        """See `File.archive`."""
        return open_archive(self.path)


class DiskFolder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def folders(self) -> list[Folder]:
        """See `Folder.folders`."""
        return [DiskFolder(self.path / name) for name in self._children(folders=True)]

    def files(self) -> list[File]:
        """See `Folder.files`."""
        return [DiskFile(self.path / name) for name in self._children(folders=False)]

    def images(self) -> ImageStore:
        """See `Folder.images`."""
        return FolderImages(self.path)

    def _children(self, folders: bool) -> list[str]:
        try:
            with os.scandir(self.path) as entries:
                return sorted(e.name for e in entries if e.is_dir() == folders and not is_clutter(e.name))
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the folder.") from error


class ArchiveFile:
    """A file in an archive."""

    def __init__(self, archive: Archive, path: str) -> None:
        self._archive = archive
        self.path = path
        self.name = path.rpartition("/")[2]
        self.place = f"{archive.place}/{path}"

    def content(self) -> bytes:
        """See `File.content`."""
        found = dict(self._archive.read([self.path])).get(self.path)
        if isinstance(found, bytes):
            return found
        raise found or ReleaseError(f"{self.place}: no longer in the archive", "Do not change the archive meanwhile.")

    def archive(self) -> Archive:
        """See `File.archive`."""
        return NestedArchive(self._archive, self.path)


class ArchiveFolder:
    """A folder in an archive, or the archive itself."""

    def __init__(self, archive: Archive, members: Sequence[Member], path: str = "") -> None:
        self._archive = archive
        self._members = members
        self._start = f"{path}/" if path else ""
        self.name = path.rpartition("/")[2]
        self.place = f"{archive.place}/{path}" if path else archive.place

    def folders(self) -> list[Folder]:
        """See `Folder.folders`."""
        inside: dict[str, list[Member]] = {}
        for member in self._members:
            name, below, _ = member.path[len(self._start) :].partition("/")
            if below and not is_clutter(name):
                inside.setdefault(name, []).append(member)
        return [ArchiveFolder(self._archive, inside[name], f"{self._start}{name}") for name in sorted(inside)]

    def files(self) -> list[File]:
        """See `Folder.files`."""
        names = (member.path[len(self._start) :] for member in self._members)
        own = sorted(name for name in names if "/" not in name and not is_clutter(name))
        return [ArchiveFile(self._archive, f"{self._start}{name}") for name in own]

    def images(self) -> ImageStore:
        """See `Folder.images`."""
        return ArchiveImages(self._archive, self.place, self._members)


def is_archive(name: str) -> bool:
    """Return whether a file name is that of an archive."""
    return split_suffix(name)[1] in ARCHIVE_SUFFIXES


def archive_folder(archive: Archive) -> Folder:
    """Return an archive as a folder."""
    return ArchiveFolder(archive, archive.members())
