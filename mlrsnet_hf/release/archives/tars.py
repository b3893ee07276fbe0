"""TAR files, plain or compressed by gzip or bzip2."""

import bz2
import gzip
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.base import (
    FILE,
    LINK,
    MAX_NESTED_BYTES,
    REFETCH,
    Found,
    Member,
    checked_member,
    disk_stamp,
    member_path,
    refuse_crowd,
    refuse_stand_in,
)

MAX_BYTES = 4 * MAX_NESTED_BYTES
"""How far into an archive is read; a compressed one can claim any length."""
_MAX_READ = 64 << 20
"""Most that is read at once; tarfile reads the names of members at once, however long they claim to be."""
_CHUNK = 1 << 20
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error)
"""What tarfile and the decompressors raise on damaged archives."""


class TarArchive:
    """A TAR file on disk, read from front to back."""

    def __init__(self, path: Path, place: str | None = None) -> None:
        self.path = path
        self.place = place or str(path)

    def members(self) -> list[Member]:
        """Return the files in it, those that are not read with their fault; refuse paths that lead out."""
        members: list[Member] = []
        with self._opened() as archive:
            for info in self._infos(archive):
                members.append(self._checked(info))
                refuse_crowd(self.place, len(members))
        return members

    def read(self, paths: Collection[str]) -> Iterator[Found]:
        """Yield the named members in the archive's order; of one that cannot be read, the error."""
        missing = set(paths)
        try:
            with self._opened() as archive:
                for info in self._infos(archive):
                    path = member_path(info.name)
                    if path in missing:
                        missing.discard(path)
                        yield path, self._content(archive, info, path)
                    if not missing:
                        return
        except ReleaseError as error:
            for path in missing:
                yield path, ImageError(f"{self.place}/{path}: cannot be read ({error.found})", error.remedy)

    def copy_member(self, path: str, target: BinaryIO) -> None:
        """Copy one member into an open file."""
        with self._opened() as archive:
            for info in self._infos(archive):
                if member_path(info.name) == path:
                    for chunk in self._chunks(archive, info, path):
                        target.write(chunk)
                    return

    def stamp(self) -> str:
        """Return name, size and modification time of the file."""
        return disk_stamp(self.path)

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        """Yield the open archive; what its bytes say of their compression counts, not its name."""
        with self._guarded(), self.path.open("rb") as file:
            start = file.read(3)
            file.seek(0)
            unpack = gzip.open if start.startswith(b"\x1f\x8b") else bz2.open if start == b"BZh" else None
            with unpack(file) if unpack else file as content:
                bounded = cast(BinaryIO, _Bounded(cast(BinaryIO, content)))
                with tarfile.open(fileobj=bounded, mode="r:", errorlevel=2) as archive:
                    yield archive

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except ReleaseError:
            raise
        except _DAMAGE as error:
            refuse_stand_in(self.path, self.place)
            raise ReleaseError(f"{self.place}: cannot be read as a TAR file ({_said(error)})", REFETCH) from error

    def _infos(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """Yield what is no folder; forget it at once, since tarfile keeps all that it has seen."""
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            if not info.isdir():
                yield info

    def _checked(self, info: tarfile.TarInfo) -> Member:
        kind = FILE if info.isreg() and not info.issparse() else LINK if info.issym() or info.islnk() else "a device"
        return checked_member(self.place, info.name, info.size, kind)

    def _content(self, archive: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> bytes | ImageError:
        try:
            return b"".join(self._chunks(archive, info, path))
        except ReleaseError as error:
            return ImageError(error.found, error.remedy)

    def _chunks(self, archive: tarfile.TarFile, info: tarfile.TarInfo, path: str) -> Iterator[bytes]:
        """Yield a member's content, as long as its header says."""
        fault = self._checked(info).fault
        if fault:
            raise fault
        file, left = archive.extractfile(info), info.size
        while file and left:
            try:
                chunk = file.read(min(_CHUNK, left))
            except _DAMAGE as error:
                raise ReleaseError(f"{self.place}/{path}: cannot be read ({_said(error)})", REFETCH) from error
            if not chunk:
                raise ReleaseError(f"{self.place}/{path}: cannot be read (cut short)", REFETCH)
            left -= len(chunk)
            yield chunk


def _said(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


class _Bounded:
    """An open file that is read neither too far nor too much at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _MAX_READ:
            raise tarfile.ReadError(f"{size:,} bytes of a header")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if offset > MAX_BYTES:
            raise tarfile.ReadError(f"more than {MAX_BYTES:,} bytes")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
