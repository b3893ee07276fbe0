"""What ZIP and RAR archives share: their members, and the limits that keep a hostile archive harmless.

Nothing is ever written under a name that an archive gives: files pass through memory one at a time, and an archive
inside an archive is copied to a temporary file of our own naming while it is read.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ImageError, ReleaseError
from mlrsnet_hf.release.archives.stand_ins import HEAD_BYTES, stand_in

ARCHIVE_SUFFIXES = (".rar", ".zip", ".tar.gz", ".tar.bz2", ".tar", ".tgz", ".tbz2")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
"""Of tables in text, in the order in which they are preferred."""
MAX_FILE_BYTES = 16 << 20
"""Size of an image; a published one has some 12 KB, a raw 600x600 TIFF 1.1 MB."""
MAX_TABLE_BYTES = 128 << 20
"""Size of a label table; a published label file has 330 KB, one of all scenes 15 MB, with words in UTF-16 80."""
MAX_SCENE_BYTES = 2 << 30
"""Size of one scene's images, which are held until their turn comes; as raw 256x256 TIFF they have 0.6 GB."""
MAX_NESTED_BYTES = 4 << 30
"""Size of an archive in an archive; all of the release's are 1.3 GB together."""
_LIMITS = ((ARCHIVE_SUFFIXES, MAX_NESTED_BYTES), (TABLE_SUFFIXES, MAX_TABLE_BYTES))
"""By suffix, where it is not that of an image."""
MAX_MEMBERS = 300_000
"""Members of one archive; the whole release has 109,161 images."""

FILE, LINK = "a file", "a link"
REFETCH = "Fetch the published archive again."

Found = tuple[str, bytes | ImageError]
"""Path or name of a file and its content, or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive."""

    path: str
    """Its parts, joined by `/`."""
    size: int
    """As declared; more is never read."""
    fault: ReleaseError | None = None
    """Why it is not read, if so; what nobody asks for may have one."""


def member_path(path: str) -> str:
    r"""Return an archive's spelling of a path with `/` between its parts and no empty ones.

    Examples:
        >>> member_path("./Images\\beach//beach_00001.jpg")
        'Images/beach/beach_00001.jpg'
    """
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def split_archive_suffix(name: str) -> tuple[str, str]:
    """Return stem and suffix of an archive's name; the suffix is empty where it is none of an archive.

    Examples:
        >>> split_archive_suffix("Images.TAR.GZ")
        ('Images', '.tar.gz')
        >>> split_archive_suffix("beach.csv")
        ('beach.csv', '')
    """
    suffix = next((suffix for suffix in ARCHIVE_SUFFIXES if name.casefold().endswith(suffix)), "")
    return name[: len(name) - len(suffix)], suffix


def checked_member(place: str, path: str, size: int, kind: str = FILE) -> Member:
    """Return a member, with its fault if it is no regular file or has an absurd size; refuse paths that lead out."""
    shown = f"{place}: member {path[:200]!r}"
    parts = path.replace("\\", "/").split("/")
    if not member_path(path) or "\0" in path or not parts[0] or ".." in parts or ":" in parts[0]:
        raise ReleaseError(f"{shown} has a path that leads out of the archive", REFETCH)
    fault = None
    limit = next((limit for suffixes, limit in _LIMITS if path.casefold().endswith(suffixes)), MAX_FILE_BYTES)
    if kind != FILE:
        fault = ReleaseError(f"{shown} is {kind}, not a plain file", REFETCH)
    elif size > limit:
        fault = ReleaseError(f"{shown} claims {size:,} bytes; at most {limit:,} are read", REFETCH)
    return Member(member_path(path), size, fault)


def refuse_crowd(place: str, members: int) -> None:
    """Refuse an archive with more members than any release has."""
    if members > MAX_MEMBERS:
        raise ReleaseError(f"{place}: more than {MAX_MEMBERS:,} members", REFETCH)


def refuse_stand_in(path: Path, place: str) -> None:
    """Refuse a file that is no archive but a pointer to it, or the page of an error."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        other = stand_in(file.read(HEAD_BYTES))
        if other:
            raise ReleaseError(f"{place}: {other[0]}", other[1])


def disk_stamp(path: Path) -> str:
    """Return name, size and modification time of a file on disk; refuse one that is gone."""
    try:
        return stamp(path.name, path.stat())
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror})", "Open the source again.") from error


def stamp(name: str, stat: os.stat_result) -> str:
    """Return name, size and modification time in a line."""
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"
