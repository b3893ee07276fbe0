"""A picture, in whatever form a caller has it, to the pixels that a model's reading makes of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels.decoding import Pixels, decode_pixels
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading

Picture = Image.Image | npt.NDArray[Any] | bytes | str | os.PathLike[str] | Mapping[str, Any]
"""A Pillow image, an (H, W, C) or (H, W) uint8 array, the bytes of an image file or its path, or a row's undecoded
image as `datasets` gives it."""


def picture_pixels(picture: Picture, name: str, reading: Reading = RGB) -> Pixels:
    """Return the (H, W, reading.channels) uint8 pixels of a picture, upright.

    A file is decoded as `decode_pixels` says. An array has the channels that the model sees, in their order; a gray one
    serves where these are red, green and blue. A Pillow image is brought to RGB.

    Args:
        picture: See `Picture`.
        name: How an error calls it.
        reading: Which bands are read, and the range of their values.

    Raises:
        ImageError: It cannot be read, holds other than uint8, or has other channels than those that the model sees.
        MissingExtraError: The reading is not RGB, and rasterio is not installed.
    """
    if isinstance(picture, Image.Image):
        return _pillow_pixels(picture, name, reading)
    if isinstance(picture, np.ndarray):
        return _array_pixels(picture, name, reading)
    if isinstance(picture, bytes):
        picture = {"bytes": picture, "path": None}
    elif isinstance(picture, str | os.PathLike):
        picture = {"bytes": None, "path": str(Path(picture).expanduser())}
    elif not isinstance(picture, Mapping) or not {"bytes", "path"} <= set(picture):
        raise ImageError(
            f"{name}: a {type(picture).__name__} is given" + " without bytes and path" * isinstance(picture, Mapping),
            "Give a Pillow image, a uint8 array, the bytes of an image file or its path.",
        )
    return decode_pixels(picture, name, reading)


def _pillow_pixels(image: Image.Image, name: str, reading: Reading) -> Pixels:
    if not reading.is_usual:
        raise ImageError(
            f"{name}: the model sees {reading.described()}, and a Pillow image is given",
            "Give the image file, or an array of these bands.",
        )
    if image.mode == "F" or image.mode.startswith("I"):
        raise ImageError(
            f"{name}: a Pillow image of mode {image.mode} has more than 8 bits, of which nobody knows the white",
            "Scale it to 0 to 255, or give the image file to a model with a value range.",
        )
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _array_pixels(array: npt.NDArray[Any], name: str, reading: Reading) -> Pixels:
    if array.dtype != np.uint8:
        raise ImageError(f"{name}: an array of {array.dtype} is given", "Give uint8, from 0 to 255.")
    pixels = array[:, :, None] if array.ndim == 2 else array
    if pixels.ndim == 3 and pixels.shape[2] == 1 and reading.is_usual:
        pixels = pixels.repeat(3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != reading.channels or 0 in pixels.shape:
        raise ImageError(
            f"{name}: an array of shape {array.shape} is given, and the model sees {reading.channels} channels",
            f"Give (height, width, {reading.channels}).",
        )
    return np.ascontiguousarray(pixels)
