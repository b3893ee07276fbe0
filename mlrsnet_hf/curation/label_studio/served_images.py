"""The addresses at which annotators' browsers find pictures, and file names that tell them nothing.

File names often tell the category (airport/airport_00001.jpg). Local pictures are linked under names that are hashes
into a folder that Label Studio serves; pictures at a URL keep their address there, which is not shown but can be looked
up.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.inputs.pixels.decoding import decode_rgb
from mlrsnet_hf.runtime.logs import progress_bar

ROOT_VARIABLE = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
"""Names the folder below which Label Studio serves files, for its server and for us; where it is not set, that is /."""


_SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Endings of files that browsers show."""


@dataclass(frozen=True, slots=True)
class ServedImages:
    """Where annotators' browsers find pictures."""

    addresses: dict[str, str]
    """Of each image, by its name."""
    folder: Path | None
    """What Label Studio has to serve (`Server.fill_project`); None for pictures at a URL."""


def opaque_name(name: str) -> str:
    """Return 24 characters that stand for an image's name and do not tell it.

    Examples:
        >>> opaque_name("airport/airport_00001.jpg")
        '3e4f09db6b5eb914d246c62c'
    """
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


def is_url(source: str | Path) -> bool:
    """Return whether images lie at a URL, and not in a folder."""
    return str(source).partition("://")[0].lower() in ("http", "https")


def serve_images(source: str | Path, names: Sequence[str], links: Path) -> ServedImages:
    """Return the addresses of images, and link those of a folder under names that tell nothing.

    It may be called again, after a kill too, with the same names or more; an image that has changed is linked anew, and
    one that is gone keeps its link. What browsers do not show, such as TIFF, is converted to PNG.

    Args:
        source: A folder, or a URL that stands before the names.
        names: Of images, relative to it, with / between folders.
        links: Folder for the links, below Label Studio's document root; made if it is not there.

    Raises:
        ConfigurationError: A name leaves the folder, an image is not there or cannot be linked or copied, or the links
            would not lie below the document root.
        ImageError: An image cannot be converted.
    """
    for name in names:
        _require_inside(name, source)
    if is_url(source):
        base = str(source).rstrip("/")
        return ServedImages({name: f"{base}/{quote(name)}" for name in names}, None)
    links = links.absolute()
    base = local_address(links)
    addresses = {}
    try:
        links.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{links}: cannot be made ({error.strerror or error})", "Choose another folder or disk."
        ) from error
    for name in progress_bar(names, "linking images", unit="image", shown=len(names) > 1000):
        suffix = Path(name).suffix.lower()
        link = links / (opaque_name(name) + (suffix if suffix in _SHOWN else ".png"))
        _link(Path(source) / name, link)
        addresses[name] = f"{base}/{quote(link.name)}"
    return ServedImages(addresses, links)


def local_address(path: Path) -> str:
    """Return the address at which Label Studio serves a file or folder below its document root.

    Raises:
        ConfigurationError: It does not lie there.
    """
    root = Path(os.path.normpath(Path(os.environ.get(ROOT_VARIABLE) or os.sep).absolute()))
    if root not in path.absolute().parents:
        raise ConfigurationError(
            f"{path}: Label Studio serves nothing there, but below {root} alone",
            f"Choose a folder below that, or set {ROOT_VARIABLE} for Label Studio and here.",
        )
    return f"/data/local-files/?d={quote(path.absolute().relative_to(root).as_posix())}"


def _require_inside(name: str, source: str | Path) -> None:
    """Refuse a name that leaves the place that it is looked for in."""
    path = PurePosixPath(name)
    parts = name.replace("\\", "/").split("/")
    if not name or path.is_absolute() or ".." in parts or Path(name).is_absolute() or "\0" in name:
        raise ConfigurationError(
            f"the image {quoted(name)} does not lie in {source}", "Give names relative to it, without .. in them."
        )


def _link(image: Path, link: Path) -> None:
    """Let `link` be the file of an image: a hard link, a copy where the disk has none, or what browsers show of it."""
    is_shown = image.suffix.lower() in _SHOWN  # by its name: what is behind a link may have none, as in the Hub's cache
    image = image.resolve()  # of a link, what is behind it: Linux would link the link
    try:
        if not image.is_file():
            if link.exists():
                return
            raise ConfigurationError(f"{image}: there is no such image", "Restore it, or leave its name out.")
        if link.exists():
            there, here = link.stat(), image.stat()
            # Copies and conversions have the time of what they were made of, copies its size too.
            is_same_size = there.st_size == here.st_size or not is_shown
            if os.path.samestat(there, here) or (there.st_mtime_ns == here.st_mtime_ns and is_same_size):
                return
        partial = link.with_name(f".{link.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            if is_shown:
                os.link(image, partial)
            else:
                _convert(image, partial)
        except OSError:  # another disk, one without hard links, or somebody else's file
            shutil.copy2(image, partial)
        partial.replace(link)
    except OSError as error:
        raise ConfigurationError(
            f"{image}: cannot be linked or copied ({error.strerror or error})", "Mend it, or leave its name out."
        ) from error


def _convert(image: Path, picture: Path) -> None:
    try:
        decode_rgb({"bytes": None, "path": str(image)}, str(image)).save(picture, format="PNG")
    except ImageError as error:
        raise ImageError(f"{error.found}: browsers cannot show it", "Convert it to PNG or JPEG.") from error
    stamp = image.stat()
    os.utime(picture, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
