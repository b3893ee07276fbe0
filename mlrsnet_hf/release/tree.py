"""Folders and files, on disk or in an archive.

The search for the release's layout sees both alike. A `place` is the path that errors name, inside an archive after
that archive's.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.archives.base import MAX_TABLE_BYTES, REFETCH, Member, disk_stamp, split_archive_suffix
from mlrsnet_hf.release.archives.nested import Archive, NestedArchive, open_archive
from mlrsnet_hf.release.image_stores import ArchiveImages, FolderImages
from mlrsnet_hf.release.names import is_clutter


class DiskFile:
    """A file on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def content(self, limit: int = MAX_TABLE_BYTES) -> bytes:
        """Return what is in it; refuse more than a label table can hold."""
        content = self.head(limit + 1)
        if len(content) > limit:
            raise ReleaseError(f"{self.place}: has more than {limit:,} bytes, which no label table has", REFETCH)
        return content

    def head(self, count: int) -> bytes:
        """Return its first bytes."""
        try:
            if not self.path.is_file():  # a pipe would keep its reader waiting
                self.path.stat()
                raise ReleaseError(f"{self.place}: not a plain file", "Remove it.")
            with self.path.open("rb") as file:
                return file.read(count)
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the file.") from error

    def archive(self) -> Archive:
        """Return the archive that it is."""
        return open_archive(self.path)

    def stamp(self) -> str:
        """Return name, size and modification time."""
        return disk_stamp(self.path)


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

    def head(self, count: int) -> bytes:
        """Return its first bytes."""
        return self.content()[:count]

    def archive(self) -> Archive:
        """Return the archive that it is."""
        return NestedArchive(self._archive, self.path)

    def stamp(self) -> str:
        """Return name, size and modification time of the archive on disk."""
        return self._archive.stamp()


class DiskFolder:
    """A folder on disk, through links as well; what is neither file nor folder, as a link to nothing, is a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.place = str(path)

    def folders(self) -> "list[DiskFolder]":
        """Return the folders in it, by name."""
        return [DiskFolder(self.path / name) for name, is_folder in self._children if is_folder]

    def files(self) -> list[DiskFile]:
        """Return the files in it, by name."""
        return [DiskFile(self.path / name) for name, is_folder in self._children if not is_folder]

    def clutter(self) -> list[str]:
        """Return the names of what file managers and systems left in it, which shows in neither list."""
        return [name for name in self._names if is_clutter(name)]

    def images(self) -> FolderImages:
        """Return the folder as one scene's images."""
        return FolderImages(self.path)

    @cached_property
    def _names(self) -> dict[str, bool]:
        """Name, and whether it is a folder."""
        try:
            with os.scandir(self.path) as entries:
                return dict(sorted((entry.name, _is_folder(entry)) for entry in entries))
        except OSError as error:
            raise ReleaseError(f"{self.place}: cannot be read ({error.strerror})", "Check the folder.") from error

    @property
    def _children(self) -> list[tuple[str, bool]]:
        return [child for child in self._names.items() if not is_clutter(child[0])]


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

    def clutter(self) -> list[str]:
        """Return the names of what file managers and systems left in it, which shows in neither list."""
        names = {member.path[len(self._start) :].partition("/")[0] for member in self._members}
        return sorted(filter(is_clutter, names))

    def images(self) -> ArchiveImages:
        """Return the folder as one scene's images."""
        return ArchiveImages(self._archive, self.place, self._members)

    def stamp(self) -> str:
        """Return name, size and modification time of the archive on disk."""
        return self._archive.stamp()


File = DiskFile | ArchiveFile
Folder = DiskFolder | ArchiveFolder


def is_archive(name: str) -> bool:
    """Return whether a file name is that of an archive."""
    return bool(split_archive_suffix(name)[1])


def archive_folder(archive: Archive) -> ArchiveFolder:
    """Return an archive as a folder."""
    return ArchiveFolder(archive, archive.members())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
