"""Image files: checked without decoding them, and decoded.

The checks of structure are ours because Pillow's `verify` passes truncated JPEG and TIFF files, and its `load`, which
finds them, decodes: a hundred times the work, for 109,161 images that are otherwise read and passed on as they are.
Damage inside the compressed data is found by decoding alone.
"""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.release.archives.stand_ins import stand_in

MAX_PIXELS = 1024**3 // 12
"""Decoders refuse more, or warn of it (Pillow's limit: a quarter of a gigabyte of RGB)."""

START_OF_IMAGE = b"\xff\xd8\xff"
END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_NOT_IN_HEADER = frozenset({*range(0xC0), 0xD8, 0xD9})
"""Markers that T.81 reserves, and start and end of an image; decoders give up at them."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = b"\0\0\0\rIHDR"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_SIZE = (256, 257)
"""Tags of width and height."""
_TIFF_DATA = ((273, 279), (324, 325))
"""Tags of offsets and byte counts, of strips and of tiles."""
_TIFF_INTEGERS = {3: "H", 4: "I"}
"""Struct letters of the field types SHORT and LONG."""
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
"""Bytes of one value, by field type."""


def image_fault(data: bytes) -> str | None:
    """Return what is wrong with the structure of a JPEG, PNG or TIFF file, or None.

    The format is known by the first bytes, not by the file's name.

    Examples:
        >>> image_fault(b"GIF89a")
        'not a JPEG, PNG or TIFF file'
        >>> image_fault(b"")
        'empty file'
    """
    found = _size_or_fault(data)
    return found if isinstance(found, str) else None


def image_size(data: bytes) -> tuple[int, int]:
    """Return width and height of an image file, which `image_fault` finds whenever this does.

    Raises:
        ValueError: The structure of the file is wrong.
    """
    found = _size_or_fault(data)
    if isinstance(found, str):
        raise ValueError(found)
    return found


def _size_or_fault(data: bytes) -> tuple[int, int] | str:
    """Return width and height, or what is wrong."""
    if data.startswith(START_OF_IMAGE):
        found = _jpeg(data)
    elif data.startswith(PNG_SIGNATURE):
        found = _png(data)
    elif data[:4] in _TIFF_ORDER:
        found = _tiff(data, _TIFF_ORDER[data[:4]])
    else:
        other = stand_in(data)
        return other[0] if other else "not a JPEG, PNG or TIFF file" if data else "empty file"
    if not isinstance(found, str) and found[0] * found[1] > MAX_PIXELS:
        return f"absurd size ({found[0]}x{found[1]} pixels)"
    return found


def _jpeg(data: bytes) -> tuple[int, int] | str:
    """Walk the segments to the first scan (ITU-T T.81, annex B); bytes after the end marker are harmless."""
    position, width, height = 2, 0, 0
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker == _START_OF_SCAN:
            if not width or not height:
                return "damaged JPEG file (no size in its header)"
            whole = data.endswith(END_OF_IMAGE) or data.find(END_OF_IMAGE, position) >= 0
            return (width, height) if whole else "truncated JPEG file (no end marker)"
        if marker in _FRAMES:
            if width or height:
                return "damaged JPEG file (two sizes in its header)"
            # After length and precision.
            height, width = (
                int.from_bytes(data[position + 5 : position + 7]),
                int.from_bytes(data[position + 7 : position + 9]),
            )
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _NOT_IN_HEADER or length < 2:
            return "damaged JPEG file (broken header)"
        position += 2 + length
    cut = data[position : position + 1] in (b"", b"\xff")
    return "truncated JPEG file (no end marker)" if cut else "damaged JPEG file (broken header)"


def _png(data: bytes) -> tuple[int, int] | str:
    """Read the first chunk, which is the header (PNG, 11.2.2), and look for the last."""
    if data[8:16] != _PNG_HEADER or not any(data[16:20]) or not any(data[20:24]):
        return "damaged PNG file (no size in its header)"
    if len(data) >= 33 and zlib.crc32(data[12:29]) != int.from_bytes(data[29:33]):
        return "damaged PNG file (wrong checksum of its header)"
    if data.rfind(_PNG_END) < 33:
        return "truncated PNG file (no end chunk)"
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _tiff(data: bytes, order: str) -> tuple[int, int] | str:
    """Check that the first directory, its values and the strips or tiles lie inside the file (TIFF 6.0)."""
    try:
        tags = _tiff_directory(data, order)
    except struct.error:
        return "truncated TIFF file (directory beyond its end)"
    located = next(((starts, counts) for starts, counts in _TIFF_DATA if starts in tags and counts in tags), None)
    if located is None:
        return "damaged TIFF file (no image data named)"
    starts, counts = located
    if max(start + count for start, count in zip(tags[starts], tags[counts], strict=False)) > len(data):
        return "truncated TIFF file (image data beyond its end)"
    width, height = (tags.get(tag, (0,))[0] for tag in _TIFF_SIZE)
    return (width, height) if width and height else "damaged TIFF file (no size in its header)"


def _tiff_directory(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """Return the values of the tags of size and place of the image; `struct.error` tells that they are cut off."""
    wanted = {tag for pair in (_TIFF_SIZE, *_TIFF_DATA) for tag in pair}
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    values = {}
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        size = _TIFF_SIZES.get(kind, 1) * count
        at = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
        if at + size > len(data):
            raise struct.error(f"tag {tag}")
        if tag in wanted and count and kind in _TIFF_INTEGERS:
            values[tag] = struct.unpack_from(f"{order}{count}{_TIFF_INTEGERS[kind]}", data, at)
    return values


LEVELS = 256


def decode_image(data: bytes, place: str) -> Image.Image:
    """Decode an image file.

    Args:
        data: The file.
        place: Where it lies, for the error.

    Raises:
        ImageError: It cannot be decoded, or would have an absurd number of pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            image.load()
            return image
    except Exception as error:  # Pillow's decoders raise errors of many kinds; each means that there is no image
        raise ImageError(
            f"{place}: cannot be decoded ({error})", "Run mlrsnet audit, which finds every such image."
        ) from error


def channel_histogram(image: Image.Image) -> np.ndarray:
    """Return how many pixels have each value in red, green and blue, shape (3, 256), int64."""
    return np.array(image.convert("RGB").histogram(), np.int64).reshape(3, LEVELS)
