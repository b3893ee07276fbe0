"""RAR files, read through UnRAR (Python package `unrar2-cffi`).

The package's own classes end quietly at a damaged header and open the archive anew for every member, so the loop over
the members is ours. Members are only ever tested, an operation in which UnRAR hands their content to a callback and
writes nothing.
"""

import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

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

MAX_DICTIONARY_BYTES = 256 << 20
"""Memory that unpacking may claim; RAR's default is 32 MB, 4 MB in its older format."""

_MAX_RESUMPTIONS = 100
"""Damaged members of one archive that are passed over."""

# UnRAR's dll.hpp.
_DONE, _END_OF_ARCHIVE = 0, 10
_ANSWERS = {
    11: "not enough memory",
    12: "damaged",
    13: "not a RAR file, or damaged",
    14: "unknown format",
    15: "it or its next volume cannot be opened",
    18: "the disk cannot be read",
    22: "encrypted",
    24: "encrypted",
    25: "dictionary too large",
}
_SPLIT, _ENCRYPTED, _DIRECTORY = 0x03, 0x04, 0x20
_REDIRECTIONS = {1: LINK, 2: LINK, 3: LINK, 4: "a hard link", 5: "a reference to another member"}
_HOST_UNIX = 3
_FOLDER = "a folder"
_GO_ON, _STOP = 1, -1


class RarArchive:
    """A RAR file on disk, solid or not."""

    def __init__(self, path: Path, place: str | None = None) -> None:
        self.path = path
        self.place = place or str(path)

    def members(self) -> list[Member]:
        """Return the files in it, those that are not read with their fault; refuse paths that lead out."""
        members: list[Member] = []
        with _opened(self.path, self.place, to_unpack=False) as handle:
            for header in _headers(handle, self.place):
                if _kind(header) != _FOLDER:
                    members.append(self._checked(header))
                    refuse_crowd(self.place, len(members))
                _skip(handle)
        return members

    def read(self, paths: Collection[str]) -> Iterator[Found]:
        """Yield the named members in the archive's order; of one that cannot be read, the error.

        After a damaged member UnRAR reads no further, so that the archive is opened anew for those behind it.
        """
        missing = set(paths)
        for _ in range(_MAX_RESUMPTIONS):
            before = len(missing)
            try:
                for path, content in self._contents(frozenset(missing)):
                    missing.discard(path)
                    yield path, content
                return
            except ReleaseError as error:
                stopped = error
            if len(missing) in (0, before):
                break
        for path in missing:
            yield path, ImageError(f"{self.place}/{path}: cannot be read ({stopped.found})", stopped.remedy)

    def copy_member(self, path: str, target: BinaryIO) -> None:
        """Copy one member into an open file."""
        for _, content in self._contents({path}, target.write):
            if isinstance(content, ImageError):
                raise ReleaseError(content.found, content.remedy)

    def stamp(self) -> str:
        """Return name, size and modification time of the file."""
        return disk_stamp(self.path)

    def _checked(self, header: Any) -> Member:  # noqa: ANN401
        return checked_member(self.place, _name(header, self.place), _size(header), _kind(header))

    def _contents(self, wanted: Collection[str], write: Callable[[bytes], object] | None = None) -> Iterator[Found]:
        """Yield the wanted members, or hand their content to `write`; stop after the last one."""
        left = len(wanted)
        with _opened(self.path, self.place, to_unpack=True) as handle:
            for header in _headers(handle, self.place):
                path = member_path(_name(header, self.place))
                content = bytearray()
                is_wanted = path in wanted
                refused = self._checked(header).fault if is_wanted else None
                fault = _test(handle, header, (write or content.extend) if is_wanted and not refused else None)
                if refused:
                    left -= 1
                    yield path, ImageError(refused.found, refused.remedy)
                elif is_wanted:
                    left -= 1
                    error = f"{self.place}/{path}: cannot be read ({fault})"
                    yield path, ImageError(error, REFETCH) if fault else bytes(content)
                if not left:
                    return


def _unrar() -> Any:  # noqa: ANN401 - a module without types
    try:
        from unrar.cffi import unrarlib
    except ImportError as error:
        raise ReleaseError(
            "RAR archives need UnRAR, which is not installed",
            "On Linux x86-64 run: pip install unrar2-cffi. Elsewhere unpack each Images/<scene>.rar with unrar, 7-Zip "
            "or bsdtar (The Unarchiver on macOS) into Images/<scene>/, and pass that folder.",
        ) from error
    return unrarlib


@contextmanager
def _opened(path: Path, place: str, to_unpack: bool) -> Iterator[Any]:
    """Yield UnRAR's handle of an archive."""
    unrar = _unrar()
    name = unrar.ffi.new("wchar_t[]", str(path))
    mode = unrar.C_RAR_OM_EXTRACT if to_unpack else unrar.C_RAR_OM_LIST_INCSPLIT
    archive = unrar.ffi.new("struct RAROpenArchiveDataEx *", {"ArcNameW": name, "OpenMode": mode})
    handle = unrar.RAROpenArchiveEx(archive)
    if archive.OpenResult != _DONE:
        refuse_stand_in(path, place)
        raise ReleaseError(f"{place}: cannot be read as a RAR file ({_said(archive.OpenResult)})", REFETCH)
    try:
        yield handle
    finally:
        unrar.RARCloseArchive(handle)


def _headers(handle: Any, place: str) -> Iterator[Any]:  # noqa: ANN401
    """Yield the members' headers; each must be skipped or tested before the next is asked for."""
    unrar = _unrar()
    while True:
        header = unrar.RARHeaderDataEx()
        answer = unrar.RARReadHeaderEx(handle, header)
        if answer == _END_OF_ARCHIVE:
            return
        if answer != _DONE:
            raise ReleaseError(f"{place}: cannot be read as a RAR file ({_said(answer)})", REFETCH)
        if header.Flags & _SPLIT:
            raise ReleaseError(
                f"{place}: one of several volumes", "Unpack the volumes together, and pass the folder with the images."
            )
        if header.DictSize << 10 > MAX_DICTIONARY_BYTES:
            raise ReleaseError(
                f"{place}: unpacking would take {header.DictSize >> 10:,} MiB of memory; at most "
                f"{MAX_DICTIONARY_BYTES >> 20} are given",
                "Unpack it, and pass the folder with the images.",
            )
        yield header


def _skip(handle: Any) -> None:  # noqa: ANN401
    unrar = _unrar()
    unrar.RARProcessFileW(handle, unrar.C_RAR_SKIP, unrar.ffi.NULL, unrar.ffi.NULL)


def _test(handle: Any, header: Any, write: Callable[[bytes], object] | None) -> str | None:  # noqa: ANN401
    """Hand a member's content to `write`, or pass it over; return what went wrong.

    UnRAR checks the content by its CRC. A solid archive unpacks what is passed over too.
    """
    unrar = _unrar()
    if write and header.Flags & _ENCRYPTED:
        _skip(handle)
        return "encrypted"
    room = _size(header)
    failure: BaseException | None = None

    def callback(message: int, address: int, length: int) -> int:
        nonlocal room, failure
        if message != unrar.UCM_PROCESSDATA:  # UnRAR asks for a password, a volume, more memory
            return _STOP
        room -= length
        if room < 0:
            return _STOP
        if write:
            try:
                write(bytes(unrar.ffi.buffer(unrar.ffi.cast("char *", address), length)))
            except BaseException as error:  # none may cross C: it waits
                failure = error
                return _STOP
        return _GO_ON

    keep = unrar.ffi.new_handle(callback)
    unrar.RARSetCallbackPtr(handle, unrar.PyUNRARCALLBACKStub, keep)
    operation = unrar.C_RAR_TEST if write else unrar.C_RAR_SKIP
    answer = unrar.RARProcessFileW(handle, operation, unrar.ffi.NULL, unrar.ffi.NULL)
    unrar.RARSetCallbackPtr(handle, unrar.ffi.NULL, unrar.ffi.NULL)
    if failure:
        raise failure
    if answer != _DONE:
        return _said(answer)
    return "shorter than declared" if write and room else None


def _kind(header: Any) -> str:  # noqa: ANN401
    if header.Flags & _ENCRYPTED:
        return "encrypted"
    if header.RedirType:
        return _REDIRECTIONS.get(header.RedirType, LINK)
    if header.HostOS == _HOST_UNIX and stat.S_IFMT(header.FileAttr) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return LINK if stat.S_ISLNK(header.FileAttr) else "a device"
    return _FOLDER if header.Flags & _DIRECTORY else FILE


def _name(header: Any, place: str) -> str:  # noqa: ANN401
    """Return a member's path.

    A damaged header may hold what is no character; of that, cffi's own conversion makes a string that Python itself
    fails on later.
    """
    ffi = _unrar().ffi
    codec = {2: "utf-16", 4: "utf-32"}[ffi.sizeof("wchar_t")] + ("-le" if sys.byteorder == "little" else "-be")
    try:
        return bytes(ffi.buffer(header.FileNameW)).decode(codec, "surrogatepass").partition("\0")[0]
    except UnicodeDecodeError as error:
        raise ReleaseError(f"{place}: cannot be read as a RAR file (a name in it is no text)", REFETCH) from error


def _size(header: Any) -> int:  # noqa: ANN401
    return int(header.UnpSize | header.UnpSizeHigh << 32)


def _said(answer: int) -> str:
    return _ANSWERS.get(answer, f"UnRAR's error {answer}")
