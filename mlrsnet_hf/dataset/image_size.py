"""Width and height from the header of an image file, without decoding it."""

import io

from PIL import Image

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def image_size(data: bytes) -> tuple[int, int]:
    """Return width and height of an image file.

    A JPEG's are read from its frame header (ITU-T T.81, B.2.2), which takes some microseconds; Pillow reads those of
    other formats.

    Raises:
        OSError: Neither finds a size.
    """
    position = 2
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1]
        if marker in _FRAMES:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width), int.from_bytes(height)
        if not 0xC0 <= marker < 0xFF or 0xD0 <= marker <= 0xDA:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    with Image.open(io.BytesIO(data)) as image:
        return image.size
