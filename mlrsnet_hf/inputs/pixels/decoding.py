"""From an image file of any size and mode to pixels.

Of 8-bit gray and RGB images by the fastest decoder that gives Pillow's; of others as a `Reading` says.
"""

import bisect
import contextlib
import io
import itertools
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import datasets
import fsspec
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels.ground_resolution import image_resolution
from mlrsnet_hf.inputs.pixels.raster import (
    TIFF_STARTS,
    PixelsError,
    bands_and_kind,
    has_rasterio,
    may_be_raster,
    not_eight_bit,
    opened_raster,
    raster_values,
    raster_version,
    read_raster,
    refuse_range_of_others,
    scaled,
    stretched,
)
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading, ValueKind

try:
    import simplejpeg
except ImportError:  # Pillow reads everything; simplejpeg reads most JPEG files in less time.
    simplejpeg = None

Pixels = npt.NDArray[np.uint8]
"""(H, W, C), for most images red, green, blue; one image on its way to a batch."""

# What the two decoders were found to agree on to the last bit. Pillow reads the rest.
_COLORS = ("YCbCr", "Gray")
_SAMPLINGS = ("444", "422", "420", "Gray")
_TURNED = (b"Exif\0\0", b"ns.adobe.com/xap")
"""Marks of the two kinds of metadata that may ask for the image to be turned."""
_SCAN = 0xDA
_SEGMENTS = frozenset((*range(0xC0, 0xD0), *range(_SCAN, 0xFF)))
"""Markers of JPEG files that a length follows."""
_SAMPLE_FORMAT = 339
"""Tag of TIFF: 1 is unsigned."""

# It would tell of bands that it does not know, without the image's name, before the error does with it.
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)


def decode_pixels(image: Mapping[str, Any], name: str, reading: Reading = RGB, enough: int | None = None) -> Pixels:
    """Return the undecoded value of a `datasets.Image` column as the pixels that a reading makes of it.

    Without one, an upright RGB image: gray, palette, CMYK and 1-bit images are brought to RGB as Pillow's
    `convert("RGB")` does it, alpha is dropped, and the colors under it are used as they are stored. The orientation
    that EXIF or XMP gives is honored. Values of more than 8 bits are refused: nobody knows which of them is white.

    With one, the bands of TIFF, PNG, JPEG 2000 and PNM files as rasterio gives them; files of other formats, and those
    with a palette, have the bands red, green and blue.

    Args:
        image: `bytes`, or `path` if these are not there: of a file, or of one in an archive (`zip://NAME::ARCHIVE`), as
            `datasets` writes it.
        name: How an error calls the image, such as its id.
        reading: Which bands are read, and the range of their values.
        enough: Pixels of the shorter side that serve the caller. Without a reading, JPEG files of at least twice as
            many are decoded at 1/2, 1/4 or 1/8 of their size, in a fraction of the time: the decoder averages.

    Returns:
        (H, W, reading.channels) uint8, writable: the same to the last bit with and without simplejpeg.

    Raises:
        ImageError: The file is missing, truncated, not an image, or has other bands or values than those to be read.
        MissingExtraError: A reading is given, and rasterio is not installed.
    """
    # What most images are first, at the least cost in Python: threads that decode take turns at it.
    if reading.is_usual and image["bytes"] is not None:
        pixels = _decode_jpeg(image["bytes"], enough)
        if pixels is not None:
            return pixels
    with _named_errors(image, name):
        data = _content(image)
        return _decode_usual(data, enough) if reading.is_usual else _decode_bands(data, reading)


def decode_rgb(image: Mapping[str, Any], name: str) -> Image.Image:
    """Return what `decode_pixels` gives as Pillow's type, for people to look at.

    Of an image that is not 8-bit gray or RGB, and where rasterio is installed, the first three bands that are not alpha
    (the first, of fewer), each stretched from its 2nd to its 98th percentile.
    """
    try:
        return Image.fromarray(decode_pixels(image, name))
    except ImageError as error:
        if not (isinstance(error.__cause__, PixelsError) and has_rasterio()):
            raise
        with _named_errors(image, name):
            return Image.fromarray(stretched(_content(image)))


def band_values(image: Mapping[str, Any], name: str, reading: Reading) -> list[npt.NDArray[np.float64]]:
    """Return the values of each band that a reading chooses, (H, W) each, NaN where there is none; see `decode_pixels`.

    Raises:
        ImageError: As `decode_pixels`.
    """
    with _named_errors(image, name):
        data = _content(image)
        values = raster_values(data, reading) if may_be_raster(data) else None
        if values is not None:
            return values
        return list(_chosen_colors(data, reading).astype(np.float64).transpose(2, 0, 1))


def file_contents(image: Mapping[str, Any], name: str) -> tuple[int, ValueKind]:
    """Return how many bands an image file has, and what they hold; see `decode_pixels`.

    Raises:
        ImageError: It is missing or damaged.
    """
    with _named_errors(image, name):
        return bands_and_kind(_content(image))


def file_resolution(image: Mapping[str, Any], name: str) -> float | None:
    """Return the meters on the ground per pixel of an image file; None of one without georeference.

    Raises:
        ImageError: It is missing or damaged.
    """
    with _named_errors(image, name):
        return image_resolution(_content(image))


def file_side(image: Mapping[str, Any], name: str) -> int:
    """Return the pixels of an image file's shorter side; it is not decoded.

    Raises:
        ImageError: It is missing or damaged.
    """
    with _named_errors(image, name):
        data = _content(image)
        try:
            with Image.open(io.BytesIO(data)) as opened:
                return min(opened.size)
        except (OSError, UnidentifiedImageError):
            if not (may_be_raster(data) and has_rasterio()):
                raise
        with opened_raster(data) as file:
            return min(file.width, file.height)


def file_content(image: Mapping[str, Any], name: str) -> bytes:
    """Return an image file as it is; arguments as in `decode_pixels`.

    Raises:
        ImageError: It is missing.
    """
    with _named_errors(image, name):
        return _content(image)


def decoder_version(reading: Reading = RGB) -> str:
    """Return the libraries that decode, with their versions, and what they are told to read."""
    fast = f"simplejpeg {simplejpeg.__version__}" if simplejpeg else "no simplejpeg"
    usual = f"Pillow {Image.__version__}, {fast}"
    return usual if reading.is_usual else f"{usual}, {raster_version()}, {reading!r}"


@contextlib.contextmanager
def _named_errors(image: Mapping[str, Any], name: str) -> Iterator[None]:
    """Name the image in what is wrong with it."""
    place = f" ({image['path']})" if image["path"] else ""
    try:
        yield
    except PixelsError as error:
        raise ImageError(f"image {name!r}{place} {error}", error.remedy) from error
    # Pillow's decoders also raise SyntaxError and ValueError for damaged files, archives a KeyError for a missing one.
    except (OSError, SyntaxError, ValueError, KeyError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # Pillow names an object of Python
        raise ImageError(
            f"image {name!r}{place} cannot be read: {'it is in no format that Pillow knows' if unknown else error}",
            "Replace the file by a whole copy, or remove it and its row.",
        ) from error


def _content(image: Mapping[str, Any]) -> bytes:
    content: bytes = image["bytes"] if image["bytes"] is not None else _read(image["path"])
    return content


def _read(path: str | None) -> bytes:
    if path is None:
        raise ValueError("the row holds no image")
    if "://" not in path:
        return Path(path).read_bytes()
    with fsspec.open(path, "rb") as file:
        content: bytes = file.read()
    return content


def _decode_usual(data: bytes, enough: int | None = None) -> Pixels:
    pixels = _decode_jpeg(data, enough)
    return _decode_by_pillow(data, enough) if pixels is None else pixels


def _decode_bands(data: bytes, reading: Reading) -> Pixels:
    pixels = read_raster(data, reading) if may_be_raster(data) else None
    if pixels is not None:
        return pixels
    colors, limits = _chosen_colors(data, reading), reading.limits()
    if limits is None:
        return colors
    refuse_range_of_others(reading)
    return np.stack([scaled(colors[..., place], *pair) for place, pair in enumerate(limits)], axis=-1)


def _chosen_colors(data: bytes, reading: Reading) -> Pixels:
    """Return the bands of a file that Pillow reads, which has red, green and blue."""
    if reading.band_count not in (None, 3) or max(reading.bands or [1]) > 3:
        raise PixelsError(
            f"has 3 bands, red, green and blue, of which {reading.described()} cannot be read",
            "Give --bands with numbers up to 3, or leave the image out with its row.",
        )
    colors = _decode_usual(data)
    return colors if reading.bands is None else np.ascontiguousarray(colors[..., [band - 1 for band in reading.bands]])


def _divisor(shorter_side: int, enough: int | None) -> int:
    """Return 1, 2, 4 or 8: by how much a JPEG file may be made smaller."""
    return next((by for by in (8, 4, 2) if enough is not None and shorter_side >= by * enough), 1)


def _decode_jpeg(data: bytes, enough: int | None = None) -> Pixels | None:
    """Return the pixels of a usual JPEG file; None for what is Pillow's to read or to refuse."""
    if simplejpeg is None or data[:3] != b"\xff\xd8\xff":
        return None
    try:
        end = _first_scan(data)
        if any(data.find(mark, 0, end) >= 0 for mark in _TURNED):
            return None
        height, width, colors, sampling = simplejpeg.decode_jpeg_header(data)
        # Of more pixels than this Pillow would warn, or refuse them.
        is_bomb = Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS
        if colors not in _COLORS or sampling not in _SAMPLINGS or is_bomb:
            return None
        by = _divisor(min(height, width), enough)
        if by == 1:
            return simplejpeg.decode_jpeg(data)
        return simplejpeg.decode_jpeg(data, min_height=-(-height // by), min_width=-(-width // by), min_factor=by)
    except (ValueError, IndexError):
        return None


def _first_scan(data: bytes) -> int:
    """Return where the metadata of a JPEG file ends; the end of a file whose segments do not follow one another."""
    place = 2
    while data[place] == 0xFF and data[place + 1] in _SEGMENTS:
        if data[place + 1] == _SCAN:
            return place
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return len(data)


def _decode_by_pillow(data: bytes, enough: int | None = None) -> Pixels:
    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        if data.startswith(TIFF_STARTS) and (fault := not_eight_bit(data)):
            raise fault from error
        raise
    with opened:
        if not _is_eight_bit(opened, data) and (fault := not_eight_bit(data)):
            raise fault
        by = _divisor(min(opened.size), enough)
        if by > 1:
            opened.draft(opened.mode, (opened.width // by, opened.height // by))  # without effect but on JPEG files
        return np.array(ImageOps.exif_transpose(opened).convert("RGB"))


def _is_eight_bit(image: Image.Image, data: bytes) -> bool:
    """Return whether Pillow gives the values as they are, and not, without a word, their high bytes."""
    if image.mode == "F" or image.mode.startswith("I"):
        return False
    if image.format == "JPEG2000":
        return _jpeg2000_depth(data) <= 8
    if image.format == "TIFF" and any(kind not in (1, 4) for kind in cast(Any, image).tag_v2.get(_SAMPLE_FORMAT, ())):
        return False
    for codec, _, _, settings in cast(Any, image).tile[:1]:  # the others are like it
        if image.format == "PPM" and codec.startswith("ppm"):  # settings: mode and largest value
            return settings[-1] <= 255
        return ";16" not in str(settings)
    return True


def _jpeg2000_depth(data: bytes) -> int:
    """Return the bits of a value: of the first component in the codestream's header (ISO/IEC 15444-1, A.5.1)."""
    start = data.find(b"\xff\x4f\xff\x51")
    depth = data[start + 42] if start >= 0 and start + 42 < len(data) else 7
    return 255 if depth & 0x80 else depth + 1  # the highest bit marks signed values


class ImageFile(TypedDict):
    """An undecoded value of a `datasets.Image` column."""

    bytes: bytes | None
    path: str | None


class ImageFiles:
    """The image files of a split, by row.

    A row of a `datasets.Dataset` costs some 40 microseconds of Python before its image is there, a fifth of the time
    that decoding takes; values of the Arrow arrays below it cost a few.

    Args:
        split: Rows with an `image`; other columns are not read.
    """

    def __init__(self, split: datasets.Dataset) -> None:
        self.split = split.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
        contents, paths = self.split.data.column("image").flatten()
        self._chunks = list(zip(contents.chunks, paths.chunks, strict=True))
        self._starts = [0, *itertools.accumulate(map(len, contents.chunks))][:-1]
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
        chunk = bisect.bisect_right(self._starts, place) - 1
        contents, paths = self._chunks[chunk]
        place -= self._starts[chunk]
        return {"bytes": contents[place].as_py(), "path": paths[place].as_py()}
