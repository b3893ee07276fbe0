"""What ZIP and RAR archives share: their members, and the limits that keep a hostile archive harmless.

Nothing is ever written under a name that an archive gives: files pass through memory one at a time, and an archive
inside an archive is copied to a temporary file of our own naming while it is read.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ImageError, ReleaseError

ARCHIVE_SUFFIXES = (".rar", ".zip")
MAX_FILE_BYTES = 16 << 20
"""Size of an image or label file; a published image has some 12 KB, a label file 330 KB, a raw 600x600 TIFF 1.1 MB."""
MAX_SCENE_BYTES = 2 << 30
"""Size of one scene's images, which are held until their turn comes; as raw 256x256 TIFF they have 0.6 GB."""
MAX_NESTED_BYTES = 4 << 30
"""Size of an archive in an archive; all of the release's are 1.3 GB together."""
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


def member_path(path: str) -> str:
    r"""Return an archive's spelling of a path with `/` between its parts and no empty ones.

    Examples:
        >>> member_path("./Images\\beach//beach_00001.jpg")
        'Images/beach/beach_00001.jpg'
    """
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def checked_member(place: str, path: str, size: int, kind: str = FILE) -> Member:
    """Return a member that is safe to read: refuse paths that lead out, what is no regular file, and absurd sizes."""
    shown = f"{place}: member {path[:200]!r}"
    parts = path.replace("\\", "/").split("/")
    if not member_path(path) or "\0" in path or not parts[0] or ".." in parts or ":" in parts[0]:
        raise ReleaseError(f"{shown} has a path that leads out of the archive", REFETCH)
    if kind != FILE:
        raise ReleaseError(f"{shown} is {kind}, not a plain file", REFETCH)
    limit = MAX_NESTED_BYTES if path.casefold().endswith(ARCHIVE_SUFFIXES) else MAX_FILE_BYTES
    if size > limit:
        raise ReleaseError(f"{shown} claims {size:,} bytes; at most {limit:,} are read", REFETCH)
    return Member(member_path(path), size)


def refuse_crowd(place: str, members: int) -> None:
    """Refuse an archive with more members than any release has."""
    if members > MAX_MEMBERS:
        raise ReleaseError(f"{place}: more than {MAX_MEMBERS:,} members", REFETCH)


def disk_stamp(path: Path) -> str:
    """Return name, size and modification time of a file on disk; refuse one that is gone."""
    try:
        return stamp(path.name, path.stat())
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror})", "Open the source again.") from error


def stamp(name: str, stat: os.stat_result) -> str:
    """Return name, size and modification time in a line."""
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"
