"""ZIP files."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.base import (
    FILE,
    LINK,
    REFETCH,
    Found,
    Member,
    checked_member,
    disk_stamp,
    member_path,
    refuse_crowd,
    refuse_stand_in,
)

_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_UNIX = 3
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""Those that ask for little memory, whatever the file says."""
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""What zipfile and the decompressors raise on damaged archives."""


class ZipArchive:
    """A ZIP file on disk; its directory is read once in each process."""

    def __init__(self, path: Path, place: str | None = None) -> None:
        self.path = path
        self.place = place or str(path)
        self._process = -1

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "place": self.place, "_process": -1}

    def members(self) -> list[Member]:
        """Return the files in it, those that are not read with their fault; refuse paths that lead out."""
        self._open()
        return [
            self._checked(info)
            for info in self._zip.infolist()
            if not info.filename.endswith("/") or _kind(info) == LINK
        ]

    def read(self, paths: Collection[str]) -> Iterator[Found]:
        """Yield the named members in the order given; of one that cannot be read, the error."""
        self._open()
        for path in paths:
            if path in self._infos:
                try:
                    yield path, b"".join(self._chunks(path))
                except ReleaseError as error:
                    yield path, ImageError(error.found, error.remedy)

    def copy_member(self, path: str, target: BinaryIO) -> None:
        """Copy one member into an open file."""
        self._open()
        for chunk in self._chunks(path):
            target.write(chunk)

    def stamp(self) -> str:
        """Return name, size and modification time of the file."""
        return disk_stamp(self.path)

    def _open(self) -> None:
        """Open the file, unless this process has; a handle from before a fork shares its position with the parent."""
        if self._process == os.getpid():
            return
        try:
            self._zip = zipfile.ZipFile(self.path)
        except _DAMAGE as error:
            refuse_stand_in(self.path, self.place)
            raise ReleaseError(f"{self.place}: cannot be read as a ZIP file ({_said(error)})", REFETCH) from error
        refuse_crowd(self.place, len(self._zip.infolist()))
        self._infos = {member_path(info.filename): info for info in self._zip.infolist()}
        self._process = os.getpid()

    def _checked(self, info: zipfile.ZipInfo) -> Member:
        return checked_member(self.place, info.filename, info.file_size, _kind(info))

    def _chunks(self, path: str) -> Iterator[bytes]:
        """Yield a member's content, which zipfile ends at the declared size and checks by its CRC."""
        fault = self._checked(self._infos[path]).fault
        if fault:
            raise fault
        try:
            with self._zip.open(self._infos[path]) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except _DAMAGE as error:
            raise ReleaseError(f"{self.place}/{path}: cannot be read ({_said(error)})", REFETCH) from error


def _kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in _COMPRESSIONS:
        return f"compressed by method {info.compress_type}"
    mode = info.external_attr >> 16
    if info.create_system != _UNIX or stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return FILE
    return LINK if stat.S_ISLNK(mode) else "a device"


def _said(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
