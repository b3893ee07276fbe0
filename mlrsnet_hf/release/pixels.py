"""Image files to pixels: where every byte is looked at, as `image_structure` does not.

A process that only decodes imports no more than this.
"""

import io
import warnings

import numpy as np
from PIL import Image

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.release.release import Record

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


def record_histogram(record: Record) -> np.ndarray:
    """Decode a record's image; see `channel_histogram`.

    Raises:
        ImageError: It cannot be decoded.
    """
    return channel_histogram(decode_image(record.image, record.file_name))
