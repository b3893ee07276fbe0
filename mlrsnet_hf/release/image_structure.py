"""Structure of an image file, checked without decoding it.

A cut or empty file is found by its header and its end; damage inside the compressed data is not.
"""

import struct

START_OF_IMAGE = b"\xff\xd8\xff"
END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
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
    if data.startswith(START_OF_IMAGE):
        return _jpeg_fault(data)
    if data.startswith(PNG_SIGNATURE):
        return _png_fault(data)
    if data[:4] in _TIFF_ORDER:
        return _tiff_fault(data, _TIFF_ORDER[data[:4]])
    return "not a JPEG, PNG or TIFF file" if data else "empty file"


def _jpeg_fault(data: bytes) -> str | None:
    """Walk the segments to the first scan (ITU-T T.81, annex B); bytes after the end marker are harmless."""
    position, sized = 2, False
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker == _START_OF_SCAN:
            if not sized:
                return "damaged JPEG file (no size in its header)"
            whole = data.endswith(END_OF_IMAGE) or data.find(END_OF_IMAGE, position) >= 0
            return None if whole else "truncated JPEG file (no end marker)"
        if marker in _FRAMES:
            # After length and precision: height, width.
            sized = data[position + 5 : position + 7] != b"\0\0" != data[position + 7 : position + 9]
        position += 2 + (data[position + 2] << 8 | data[position + 3])
    cut = data[position : position + 1] in (b"", b"\xff")
    return "truncated JPEG file (no end marker)" if cut else "damaged JPEG file (broken header)"


def _png_fault(data: bytes) -> str | None:
    if data[12:16] != b"IHDR" or not any(data[16:20]) or not any(data[20:24]):
        return "damaged PNG file (no size in its header)"
    return None if data.rfind(_PNG_END) > 0 else "truncated PNG file (no end chunk)"


def _tiff_fault(data: bytes, order: str) -> str | None:
    """Check that the first directory, its values and the strips or tiles lie inside the file (TIFF 6.0)."""
    try:
        tags = _tiff_directory(data, order)
    except struct.error:
        return "truncated TIFF file (directory beyond its end)"
    for offsets, counts in _TIFF_DATA:
        if offsets in tags and counts in tags:
            ends = (start + count for start, count in zip(tags[offsets], tags[counts], strict=False))
            return None if max(ends) <= len(data) else "truncated TIFF file (image data beyond its end)"
    return "damaged TIFF file (no image data named)"


def _tiff_directory(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """Return the values of the tags that locate the image's data.

    Raises:
        struct.error: The directory or one of its values is not in the file.
    """
    wanted = {tag for pair in _TIFF_DATA for tag in pair}
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
