"""From an image file of any size and mode to RGB pixels, by the fastest decoder that gives Pillow's."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import datasets
import fsspec
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mlrsnet_hf.errors import ImageError

try:
    import simplejpeg
except ImportError:  # Pillow reads everything; simplejpeg reads most JPEG files in less time.
    simplejpeg = None

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3), red, green, blue; one image on its way to a batch."""

# What the two decoders were found to agree on to the last bit. Pillow reads the rest.
_COLORS = ("YCbCr", "Gray")
_SAMPLINGS = ("444", "422", "420", "Gray")
_TURNED = (b"Exif\0\0", b"ns.adobe.com/xap")
"""Marks of the two kinds of metadata that may ask for the image to be turned."""


def decode_pixels(image: Mapping[str, Any], name: str) -> Pixels:
    """Return the undecoded value of a `datasets.Image` column as an upright RGB image.

    Gray, palette, CMYK and 1-bit images are brought to RGB as Pillow's `convert("RGB")` does it: alpha is dropped, and
    the colors under it are used as they are stored. Of 16-bit values the high byte is kept, in gray images as in
    color ones, so that 0 to 65535 become 0 to 255. The orientation that EXIF or XMP gives is honored.

    Args:
        image: `bytes`, or `path` if these are not there: of a file, or of one in an archive (`zip://NAME::ARCHIVE`), as
            `datasets` writes it.
        name: How an error calls the image, such as its id.

    Returns:
        (H, W, 3) uint8, writable: the same to the last bit with and without simplejpeg.

    Raises:
        ImageError: The file is missing, truncated, not an image, or holds values that have no agreed range (floating
            point, or beyond 16 bits).
    """
    # Pillow's decoders also raise SyntaxError and ValueError for damaged files, archives a KeyError for a missing one.
    try:
        data = image["bytes"] if image["bytes"] is not None else _read(image["path"])
        pixels = _decode_jpeg(data)
        return _decode_by_pillow(data) if pixels is None else pixels
    except (OSError, SyntaxError, ValueError, KeyError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
        path = image["path"]
        unknown = isinstance(error, UnidentifiedImageError)  # Pillow names an object of Python
        raise ImageError(
            f"image {name!r}{f' ({path})' if path else ''} cannot be read: "
            f"{'it is in no format that Pillow knows' if unknown else error}",
            "Replace the file by a whole copy, or remove it and its row.",
        ) from error


def decode_rgb(image: Mapping[str, Any], name: str) -> Image.Image:
    """Return what `decode_pixels` gives as Pillow's type."""
    return Image.fromarray(decode_pixels(image, name))


def decoder_version() -> str:
    """Return the libraries that decode, with their versions."""
    fast = f"simplejpeg {simplejpeg.__version__}" if simplejpeg else "no simplejpeg"
    return f"Pillow {Image.__version__}, {fast}"


def _read(path: str | None) -> bytes:
    if path is None:
        raise ValueError("the row holds no image")
    if "://" not in path:
        return Path(path).read_bytes()
    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content


def _decode_jpeg(data: bytes) -> Pixels | None:
    """Return the pixels of a usual JPEG file; None for what is Pillow's to read or to refuse."""
    if simplejpeg is None or data[:3] != b"\xff\xd8\xff" or any(mark in data for mark in _TURNED):
        return None
    try:
        height, width, colors, sampling = simplejpeg.decode_jpeg_header(data)
        # Of more pixels than this Pillow would warn, or refuse them.
        is_bomb = Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS
        if colors not in _COLORS or sampling not in _SAMPLINGS or is_bomb:
            return None
        return simplejpeg.decode_jpeg(data)
    except ValueError:
        return None


def _decode_by_pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as opened:
        upright = ImageOps.exif_transpose(opened)
        if upright.mode == "F":
            raise ValueError("its values are floating point numbers, whose range is not known")
        if upright.mode.startswith("I"):
            values = np.asarray(upright)
            if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
                raise ValueError("its values do not fit in 16 bits")
            upright = Image.fromarray((values >> 8).astype(np.uint8))
        return np.array(upright.convert("RGB"))


class ImageFile(TypedDict):
    """An undecoded value of a `datasets.Image` column."""

    bytes: bytes | None
    path: str | None


class ImageFiles:
    """The image files of a split, by row.

    A row of a `datasets.Dataset` costs some 40 microseconds of Python before its image is there, a fifth of the time
    that decoding takes; a value of the Arrow array below it costs a few.

    Args:
        split: Rows with an `image`; other columns are not read.
    """

    def __init__(self, split: datasets.Dataset) -> None:
        self.split = split.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
        self._chunks = self.split.data.column("image").chunks
        self._starts = np.cumsum([0] + [len(chunk) for chunk in self._chunks])[:-1]
        # What `select` and `shuffle` set; there is no public way to it (datasets 3.6 to 4).
        indices = self.split._indices
        self._places = None if indices is None else indices.column(0).to_numpy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the split does: by the path of its file, if it has one."""
        return ImageFiles, (self.split,)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, row: int) -> ImageFile:
        place = row if self._places is None else int(self._places[row])
        # The last chunk that starts here or before; empty chunks share their start with the next.
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        value: ImageFile | None = self._chunks[chunk][place - int(self._starts[chunk])].as_py()
        return value or {"bytes": None, "path": None}
