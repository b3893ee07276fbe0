"""Image files by what a table calls them: from another folder, without their suffix, or with backslashes."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_pixels
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.runtime.logs import get_logger

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2")
_MOST_FILES = 500_000
"""So many files below a folder are looked at; more lie only where no table of images does."""
_OPENED = 2

logger = get_logger(__name__)


def has_image_suffix(name: str) -> bool:
    """Return whether a name ends as those of image files do."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


class ImageFolders:
    """Folders in which the images of a table lie.

    A name is looked for, in each folder, as it is written; with slashes for backslashes; in other letters' case; with a
    suffix, if it has none of an image. A path of which the folder itself, or one in `given`, stands for the first parts
    is looked for by the others. A name without a folder is looked for in the folders below too, and must be there once.

    Args:
        folders: In the order in which they are looked through.
        given: Whether the user named them: then the first parts of a path, of another machine, need not be there.
    """

    def __init__(self, folders: Sequence[Path], given: bool) -> None:
        self.folders = list(dict.fromkeys(folder.absolute() for folder in folders))
        self.given = given
        self._listings: dict[Path, _Listing] = {}
        self._below: dict[Path, Mapping[str, list[Path]]] = {}

    def find(self, written: str) -> Path | None:
        """Return the file, or None if it is not there.

        Raises:
            ConfigurationError: Several files have the name.
        """
        text = written.strip()
        for folder in self.folders:
            for spelled in dict.fromkeys((text, text.replace("\\", "/"))):
                if _is_file(folder / spelled):
                    return folder / spelled
        parts = PurePosixPath(re.sub(r"^[A-Za-z]:", "", text.replace("\\", "/"))).parts
        parts = tuple(part for part in parts if part not in ("/", "."))
        if not parts or ".." in parts:
            return None
        for folder in self.folders:
            for dropped in range(len(parts)):
                if dropped and not (self.given or parts[dropped - 1] == folder.name):
                    continue
                if found := self._listing(folder.joinpath(*parts[dropped:-1])).find(parts[-1]):
                    return found
        return self._find_below(parts[0]) if len(parts) == 1 else None

    def _listing(self, folder: Path) -> "_Listing":
        if folder not in self._listings:
            self._listings[folder] = _Listing(folder)
        return self._listings[folder]

    def _find_below(self, name: str) -> Path | None:
        """Return the only file of a name below the folders."""
        for folder in self.folders[:1]:  # not below the working folder, which may be anywhere
            if folder not in self._below:
                below: dict[str, list[Path]] = {}
                for file in _images_below(folder):
                    for key in {file.name.casefold(), file.stem.casefold()}:
                        below.setdefault(key, []).append(file)
                self._below[folder] = below
            found = self._below[folder].get(name.casefold(), [])
            _refuse_several(name, found)
            if found:
                return found[0]
        return None


class _Listing:
    """The files of one folder, by name in whatever case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, list[str]] = {}
        self.stems: dict[str, list[str]] = {}
        try:
            with os.scandir(folder) as entries:
                for name in sorted(entry.name for entry in entries):
                    self.names.setdefault(name.casefold(), []).append(name)
                    if has_image_suffix(name):
                        self.stems.setdefault(Path(name).stem.casefold(), []).append(name)
        except OSError:  # it is not there
            pass

    def find(self, name: str) -> Path | None:
        for names in (self.names, {} if has_image_suffix(name) else self.stems):
            found = [n for n in names.get(name.casefold(), []) if _is_file(self.folder / n)]
            exact = [n for n in found if n == name or Path(n).stem == name]
            _refuse_several(name, [self.folder / n for n in exact or found])
            if found:
                return self.folder / (exact or found)[0]
        return None


def _is_file(path: Path) -> bool:
    """Return whether a file is there; a text that is no path, such as one too long, is none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files below a folder by name, through links too, each folder once, hidden ones not."""
    for place, names in _walk(folder):
        yield from (place / name for name in sorted(names) if has_image_suffix(name) and not name.startswith("."))


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files below a folder in which names are looked for."""
    count = 0
    for place, names in _walk(folder):
        count += len(names)
        if count > _MOST_FILES:
            raise ConfigurationError(
                f"{folder}: more than {_MOST_FILES:,} files lie below, too many to look for images by name",
                "Name the folder of the images with --image-dir.",
            )
        yield from (place / name for name in sorted(names) if has_image_suffix(name))


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder below one, itself too, with the names of its files; through links, each once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), names


def _refuse_several(name: str, found: Sequence[Path]) -> None:
    if len(found) > 1:
        raise ConfigurationError(
            f"image {name!r} may be {found[0]} or {found[1]}",
            "Name the folder of the images with --image-dir, or give the table paths with folder and suffix.",
        )


def find_images(written: Sequence[str | None], folders: ImageFolders, table: str) -> list[str | None]:
    """Return where each image lies; a URL, or a file in an archive (`zip://NAME::ARCHIVE`), is left as it is.

    Args:
        written: What the rows of a table say.
        folders: Where to look.
        table: What an error calls the table.

    Raises:
        ConfigurationError: An image is not there, two names lead to one file, or one name to two.
    """
    found: list[str | None] = []
    missing: list[tuple[int, str]] = []
    elsewhere: dict[str, str] = {}
    for row, name in enumerate(written):
        place = name
        if not name or "://" not in name:
            file = folders.find(name) if name else None
            place = None if file is None else str(file)
            if place is None or name is None:
                missing.append((row, name or ""))
            elif not _is_as_written(place, name) and elsewhere.setdefault(place, name) != name:
                raise ConfigurationError(
                    f"{table}: {elsewhere[place]!r} and {name!r} both lead to {place}",
                    "Name a folder with --image-dir below which each path of the table leads to a file of its own.",
                )
        found.append(place)
    if missing:
        row, name = missing[0]
        places = ", ".join(map(str, folders.folders))
        count = "no image" if len(missing) == len(written) else f"{len(written) - len(missing):,}"
        raise ConfigurationError(
            f"{table}: {count} of {len(written):,} images found; row {row} says {name[:200]!r}; looked in {places}, "
            "with and without a suffix",
            "Name the folder of the images with --image-dir."
            if len(missing) == len(written)
            else "Remove the rows without an image, or name the folder of all with --image-dir.",
        )
    (often, times), *_ = Counter(place for place in found if place is not None).most_common(1) or [("", 0)]
    if times > 1:
        logger.info("data: %s: %d rows name the image %s; each row counts as an image of its own", table, times, often)
    if elsewhere:
        place, name = next(iter(elsewhere.items()))
        logger.info("data: %s: %s images found by name, such as %r: %s", table, f"{len(elsewhere):,}", name, place)
    return found


def _is_as_written(place: str, name: str) -> bool:
    return os.path.normpath(place).endswith(re.sub(r"^(\.\./)+", "", os.path.normpath(name)))


def open_first_images(splits: Iterable[Dataset], reading: Reading) -> None:
    """Decode the first images of each split, so that what is wrong with all is told before anything else is made.

    Args:
        splits: With the columns `image` and `id`.
        reading: How image files are read.

    Raises:
        ImageError: One of them cannot be read, or has other bands or values.
    """
    for split in splits:
        first = split.select(range(min(_OPENED, len(split))))
        files = ImageFiles(first)
        for row, name in enumerate(first["id"]):
            decode_pixels(files[row], name, reading)
