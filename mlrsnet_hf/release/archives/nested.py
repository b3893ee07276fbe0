"""Archives by the kind of their file, and archives in archives."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.release.archives.base import Archive, Member, spooled
from mlrsnet_hf.release.archives.rars import RarArchive
from mlrsnet_hf.release.archives.zips import ZipArchive


def open_archive(path: Path, place: str | None = None) -> Archive:
    """Return the archive at a path, of the kind that its suffix says; nothing is read yet."""
    return RarArchive(path, place) if path.suffix.casefold() == ".rar" else ZipArchive(path, place)


class NestedArchive:
    """An archive that is a member of another; each use copies it to a temporary file, removed afterwards."""

    def __init__(self, outer: Archive, path: str) -> None:
        self.outer = outer
        self.path = path
        self.place = f"{outer.place}/{path}"

    def members(self) -> list[Member]:
        """See `Archive.members`."""
        with spooled(self.outer, self.path) as copy:
            return open_archive(copy, self.place).members()

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes | ImageError]]:
        """See `Archive.read`."""
        with spooled(self.outer, self.path) as copy:
            yield from open_archive(copy, self.place).read(paths)

    def copy_member(self, path: str, target: BinaryIO) -> None:
        """See `Archive.copy_member`."""
        with spooled(self.outer, self.path) as copy:
            open_archive(copy, self.place).copy_member(path, target)

    def stamp(self) -> str:
        """See `Archive.stamp`."""
        return self.outer.stamp()
