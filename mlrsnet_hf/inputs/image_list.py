"""Image files by whatever names them: files, folders, patterns, archives and URLs, as one list in a fixed order."""

import os
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import fsspec

from mlrsnet_hf.errors import ConfigurationError, ImageError, ReleaseError
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.image_words import is_address, is_pattern, named_paths
from mlrsnet_hf.inputs.pixels.decoding import ImageFile
from mlrsnet_hf.inputs.tables.image_files import IMAGE_SUFFIXES, has_image_suffix, images_below
from mlrsnet_hf.release.archives.base import Found, stamp
from mlrsnet_hf.release.archives.nested import Archive, NestedArchive, open_archive
from mlrsnet_hf.release.tree import is_archive
from mlrsnet_hf.runtime.logs import get_logger

_TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow")
_DEEPEST = 3
"""So many archives one in another are opened."""

logger = get_logger(__name__)


class ListedImage(NamedTuple):
    """One image of a list."""

    id: str
    """Its path or URL as it was given; of one in an archive the archive's, then its own."""
    place: str
    """Path, URL, or path in the archive."""
    stamp: str
    """Name, size and time of the file or of its archive, which change when it is written anew; empty for a URL."""
    archive: tuple[str, ...] = ()
    """Path of the archive that it is in, and of archives in that."""


class ListedFiles:
    """The files of a list, by row; those in archives come with the draws of `ArchivedBatches`."""

    def __init__(self, images: Sequence[ListedImage]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> ImageFile:
        """Return the file of a row.

        Raises:
            ImageError: It cannot be read.
        """
        image = self.images[row]
        try:
            content = _fetched(image.place) if "://" in image.place else Path(image.place).read_bytes()
        except OSError as error:
            raise ImageError(
                f"image {image.id!r} cannot be read: {error.strerror or error}", "Check the path, or leave it out."
            ) from error
        return {"bytes": content, "path": None}


def _fetched(url: str) -> bytes:
    system, path = fsspec.core.url_to_fs(url)
    try:
        content: bytes = system.cat_file(path)
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{type(error).__name__}: {error}") from error
    return content


class ArchivedBatches:
    """Batches whose draws bring the files that lie in archives, each archive read once, from front to back.

    Args:
        batches: Which images make which batch, in the order of the list.
        files: The list.
    """

    def __init__(self, batches: Sequence[list[Draw]], files: ListedFiles) -> None:
        self.batches = batches
        self.files = files

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Draw]]:
        wanted: dict[tuple[str, ...], list[str]] = {}
        for batch in self.batches:
            for draw in batch:
                image = self.files.images[draw[1]]
                if image.archive:
                    wanted.setdefault(image.archive, []).append(image.place)
        readers: dict[tuple[str, ...], _MembersInOrder] = {}
        for batch in self.batches:
            draws: list[Draw] = []
            for draw in batch:
                image = self.files.images[draw[1]]
                if image.archive:
                    if image.archive not in readers:
                        readers[image.archive] = _MembersInOrder(image.archive, wanted[image.archive])
                    draws.append((draw[0], draw[1], readers[image.archive].take(image)))
                else:
                    draws.append(draw)
            yield draws


class _MembersInOrder:
    """Members of an archive, asked for one by one in about the order in which they lie there."""

    def __init__(self, archive: tuple[str, ...], wanted: Sequence[str]) -> None:
        self._found: Iterator[Found] = _opened(archive).read(wanted)
        self._waiting: dict[str, bytes | ImageError] = {}

    def take(self, image: ListedImage) -> bytes | ImageError:
        while image.place not in self._waiting:
            path, content = next(self._found, (None, None))
            if path is None or content is None:
                return ImageError(f"image {image.id!r} cannot be read: no longer in the archive", "List it again.")
            self._waiting[path] = content
        content = self._waiting.pop(image.place)
        if isinstance(content, ImageError):
            reason = content.found.removeprefix(f"{image.id}: ").removeprefix("cannot be read ")
            return ImageError(f"image {image.id!r} cannot be read: {reason}", content.remedy)
        return content


def _opened(archive: tuple[str, ...]) -> Archive:
    outer, *inner = archive
    opened: Archive = open_archive(Path(outer))
    return reduce(NestedArchive, inner, opened)


def list_images(words: Sequence[str]) -> list[ListedImage]:
    """Return the images that words name, in the words' order and below a folder or pattern by name, each once.

    A file is an image whatever it is called, unless its suffix is an archive's (ZIP, TAR, RAR) or a table's; of folders
    (those below them too, hidden ones left out), patterns and archives (archives in them too) the files with a suffix
    of images count.

    Args:
        words: Paths of files or folders, patterns such as `tiles/**/*.png`, or URLs that fsspec knows: of files, of
            folders, with `*`, or `zip://*.jpg::https://...`.

    Raises:
        ConfigurationError: A word names nothing, an archive cannot be read, or no image is found.
    """
    found: dict[tuple[tuple[str, ...], str], ListedImage] = {}
    without: list[str] = []
    for word in words:
        before = len(found)
        for image in _named_by(word):
            is_file = not image.archive and "://" not in image.place
            place = os.path.abspath(image.place) if is_file else image.place  # noqa: PTH100 - links stay as they are
            found.setdefault((image.archive, place), image)
        if len(found) == before:
            without.append(word)
    if not found:
        raise ConfigurationError(
            f"no image in {', '.join(map(str, words))}", f"Known suffixes: {', '.join(IMAGE_SUFFIXES)}."
        )
    for word in without:
        logger.info("images: no other image in %s", word)
    return list(found.values())


def _named_by(word: str) -> Iterator[ListedImage]:
    if is_address(word):
        yield from _at_url(word)
        return
    is_named = not is_pattern(word)
    for path in named_paths(word):
        yield from _at_path(path, is_named)


def _at_path(path: Path, is_named: bool) -> Iterator[ListedImage]:
    if path.is_dir():
        yield from map(_file, images_below(path))
    elif is_archive(path.name):
        try:
            yield from _in_archive(open_archive(path), (str(path),), _as_text(path))
        except ReleaseError as error:
            raise ConfigurationError(error.found, "Fetch it again, or unpack it and give its folder.") from error
    elif has_image_suffix(path.name):
        yield _file(path)
    elif is_named:
        if path.suffix.lower() in _TABLE_SUFFIXES:
            raise ConfigurationError(f"{path}: a table, not an image", f"Give it as --dataset {path}.")
        yield _file(path)


def _file(path: Path) -> ListedImage:
    try:
        told = stamp(path.name, path.stat())
    except OSError:  # gone since; whatever reads it will tell
        told = ""
    return ListedImage(_as_text(path), str(path), told)


def _as_text(path: Path) -> str:
    r"""Return a path as text that can be stored; what is no UTF-8 in it stands as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _in_archive(archive: Archive, place: tuple[str, ...], shown: str) -> Iterator[ListedImage]:
    told = archive.stamp()
    for path in dict.fromkeys(member.path for member in archive.members()):
        if any(part.startswith((".", "__MACOSX")) for part in path.split("/")):
            continue
        if has_image_suffix(path):
            yield ListedImage(f"{shown}/{path}", path, told, place)
        elif is_archive(path) and len(place) < _DEEPEST:
            yield from _in_archive(NestedArchive(archive, path), (*place, path), f"{shown}/{path}")


def _at_url(url: str) -> Iterator[ListedImage]:
    own, chained, rest = url.partition("::")
    if is_archive(own.partition("?")[0]):
        raise ConfigurationError(
            f"{url}: an archive behind a URL", f"Fetch it first, or, if it is a ZIP, give 'zip://*.jpg::{url}'."
        )
    try:
        system, path = fsspec.core.url_to_fs(url)
        is_web = own.startswith(("http://", "https://"))  # which has no folders
        if "*" in own:
            found = sorted(map(str, system.glob(path)))
        elif not is_web and system.isdir(path):
            found = sorted(map(str, system.find(path)))
        else:
            yield ListedImage(url, url, "")
            return
        addresses = [system.unstrip_protocol(one) + chained + rest for one in found]
    except Exception as error:  # each file system has errors of its own
        raise ConfigurationError(f"{url}: cannot be listed ({error})", "Check the address and your access.") from error
    for address in addresses:
        if has_image_suffix(address.partition("::")[0]):
            yield ListedImage(address, address, "")
