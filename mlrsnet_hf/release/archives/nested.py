"""Archives by the kind of their file, and archives in archives."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.archives.base import Found, Member
from mlrsnet_hf.release.archives.rars import RarArchive
from mlrsnet_hf.release.archives.tars import TarArchive
from mlrsnet_hf.release.archives.zips import ZipArchive


class NestedArchive:
    """An archive that is a member of another; each use copies it to a temporary file, removed afterwards."""

    def __init__(self, outer: "Archive", path: str) -> None:
        self.outer = outer
        self.path = path
        self.place: str = f"{outer.place}/{path}"

    def members(self) -> list[Member]:
        """Return the regular files in it."""
        with self._copied() as copy:
            return copy.members()

    def read(self, paths: Collection[str]) -> Iterator[Found]:
        """Yield the named members, in the order of the archive's kind."""
        with self._copied() as copy:
            yield from copy.read(paths)

    def copy_member(self, path: str, target: BinaryIO) -> None:
        """Copy one member into an open file."""
        with self._copied() as copy:
            copy.copy_member(path, target)

    def stamp(self) -> str:
        """Return name, size and modification time of the file on disk."""
        return self.outer.stamp()

    @contextmanager
    def _copied(self) -> Iterator["Archive"]:
        folder = Path(tempfile.mkdtemp(prefix="mlrsnet-"))
        try:
            copy = folder / f"archive.{self.path.rpartition('.')[2].casefold()}"
            try:
                with copy.open("wb") as target:
                    self.outer.copy_member(self.path, target)
            except OSError as error:
                raise ReleaseError(
                    f"{self.place}: cannot be copied to {folder.parent} ({error.strerror})",
                    "Make room there, or point TMPDIR to a larger disk.",
                ) from error
            yield open_archive(copy, self.place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


Archive = RarArchive | ZipArchive | TarArchive | NestedArchive
"""All have a `place` for errors (a path, inside an archive after that archive's) and the methods of `NestedArchive`."""


def open_archive(path: Path, place: str | None = None) -> Archive:
    """Return the archive at a path, of the kind that its suffix says; nothing is read yet."""
    kinds: dict[str, type[RarArchive] | type[ZipArchive]] = {".rar": RarArchive, ".zip": ZipArchive}
    return kinds.get(path.suffix.casefold(), TarArchive)(path, place)
