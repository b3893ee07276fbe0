"""Random changes of an image that leave its labels true: overhead pictures have no up."""

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from mlrsnet_hf.inputs.pixels.decoding import Pixels

Matrix = npt.NDArray[np.float32]
"""(3, 4): new color = matrix[:, :3] @ color + matrix[:, 3], of colors from 0 to 255. Of other than three channels
(1, 2): new value = matrix[0, 0] * value + matrix[0, 1], the same for all channels."""

GRAY = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in gray (ITU-R BT.601), as Pillow and torchvision have them."""

SYMMETRIES = 8
"""Symmetries of the square. The first is the picture itself, the first 2 add the left-right mirror, the first 4 the
top-bottom mirror, and all 8 the transposes of these four."""

_STORED_SIDE = 256 / 224
"""Images are kept this much larger than the model sees them, so that crops still hold detail.

Whoever changes it, or how `StoredTransform` resizes, or when large JPEG files are decoded at a fraction of their size,
raises `_FORMAT` in decoded_cache.py, or old caches are read on.
"""
_GRAY_ROWS = 4
_LITTLE = 4 / 3
"""Crops that shrink by at most this are not antialiased. Squares, cut from images kept for the same size, shrink by at
most 8/7."""
_AT_ONCE = 4
"""Channels that OpenCV is given at once; not all of its functions take more."""
_MIRRORS = {1: 1, 2: 0, 3: -1}
"""By the lowest two bits of a symmetry, what OpenCV calls the mirror."""

# Images are shared among threads and processes: OpenCV's own threads would want the same cores, and survive no fork.
cv2.setNumThreads(1)


@dataclass(frozen=True, slots=True)
class StoredTransform:
    """The part that is the same in every epoch: (H, W, C) uint8 -> (H, W, C) uint8.

    Images whose shorter side is longer than 8/7 of what the model sees are shrunk to that; 256-pixel scenes stay
    untouched for a model that sees 224. With or without a decoded cache, crops are taken from the result.
    """

    image_size: int
    """Side of the square that the model sees, in pixels."""

    @property
    def shorter_side(self) -> int:
        """The longest that the shorter side of a result is; of smaller images no detail is lost."""
        return round(self.image_size * _STORED_SIDE)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Shrink the image if it is large."""
        height, width = pixels.shape[:2]
        scale = self.shorter_side / min(height, width)
        return pixels if scale >= 1 else resize(pixels, (round(height * scale), round(width * scale)))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The random part: (H, W, C) uint8 -> (image_size, image_size, C) uint8, and what is left to the device.

    Symmetries and colors are: `model_input` changes the whole batch at once.
    """

    image_size: int
    crop_scale: float
    """Smallest area of a crop, as a share of the largest square's."""
    crop_ratio: float = 1.0
    """Crops are up to this much wider than high, or higher than wide."""
    symmetries: int = SYMMETRIES
    """How many of the symmetries are drawn from: 1, 2, 4 or 8."""
    jitter: float = 0.0
    """Brightness, contrast and saturation change by factors of 1 +- this; 0 leaves the colors alone. Of other than
    three channels there is no saturation."""

    def __call__(
        self, pixels: Pixels, draw: Iterator[float], out: Pixels | None = None
    ) -> tuple[Pixels, int, Matrix | None]:
        """Return a view of the image, which symmetry to `turn` it by, and its `color_matrix` if colors change.

        `draw` yields `random_numbers`, of which up to 8 are taken. The view is written to `out`, if that is given:
        contiguous, of the view's shape.
        """
        if out is None:
            out = np.empty((self.image_size, self.image_size, pixels.shape[2]), np.uint8)
        view = resize_crop(random_crop(pixels, self.crop_scale, self.crop_ratio, draw), out)
        which = int(next(draw) * self.symmetries)
        # The mean gray of every fourth row is that of the image to about one level, at a quarter of the work.
        return view, which, random_color_matrix(view[::_GRAY_ROWS], self.jitter, draw) if self.jitter else None


def random_numbers(*key: int) -> Iterator[float]:
    """Yield 16 numbers, drawn evenly from 0 to 1 (without 1), that depend on the key alone.

    They are its hash (BLAKE2b), on every machine and with every version of whatever library. That takes a microsecond;
    to seed a generator of numpy takes 20 and more while other images are decoded, and no other thread runs meanwhile.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=64).digest()
    return (number / 2**32 for number in struct.unpack("<16I", digest))


def random_crop(pixels: Pixels, scale: float, ratio: float, draw: Iterator[float]) -> Pixels:
    """Cut out a random rectangle (random resized crop, Szegedy et al. 2015, without its rejected draws).

    Its area is drawn evenly from `scale` to 1 of the largest square's. The logarithm of width / height is then drawn
    evenly from those between 1 / ratio and ratio that fit into the image, and last its place.

    Args:
        pixels: (H, W, C); a view of them is returned.
        scale: Above 0 and up to 1.
        ratio: At least 1; 1 cuts squares.
        draw: Yields numbers from 0 to 1, of which four are taken.
    """
    height, width = pixels.shape[:2]
    area = (scale + (1 - scale) * next(draw)) * min(height, width) ** 2
    narrowest, widest = max(1 / ratio, area / height**2), min(ratio, width**2 / area)
    aspect = narrowest * max(1.0, widest / narrowest) ** next(draw)
    high = min(height, max(1, round(math.sqrt(area / aspect))))
    wide = min(width, max(1, round(math.sqrt(area * aspect))))
    top, left = int(next(draw) * (height - high + 1)), int(next(draw) * (width - wide + 1))
    return pixels[top : top + high, left : left + wide]


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return (H, W, C) pixels at another (height, width): bilinear, antialiased when shrunk, as torchvision does it.

    Differs from Pillow's bilinear filter, three times slower, by at most 2 of 255.
    """
    if pixels.shape[:2] == size:
        return pixels
    # A whole image with its channels last in memory is what torch's fast path for bytes takes and gives.
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    resized = interpolate(image, size, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def resize_crop(crop: Pixels, out: Pixels) -> Pixels:
    """Write a (H, W, C) crop to `out`, (S, S, C) and contiguous, at its size, and return that.

    Bilinear, by OpenCV, which takes less time than torch; antialiased, as by `resize`, where that would pass over
    pixels, because a side shrinks to less than 3/4. Differs from Pillow's bilinear filter by at most 1 of 255 where the
    crop grows. Where it shrinks, Pillow softens edges and this does not: by 8/7, the most of `Augmentation` with square
    crops of images that are kept for its size, the mean of real scenes differs by 0.9 of 255, single pixels by 50.
    """
    side, channels = out.shape[0], out.shape[2]
    if max(crop.shape[:2]) > _LITTLE * side:
        out[:] = resize(crop, (side, side))
    elif channels <= _AT_ONCE:
        cv2.resize(crop, (side, side), dst=out, interpolation=cv2.INTER_LINEAR)
    else:
        for start in range(0, channels, _AT_ONCE):
            some = cv2.resize(crop[..., start : start + _AT_ONCE], (side, side), interpolation=cv2.INTER_LINEAR)
            out[..., start : start + _AT_ONCE] = some.reshape(side, side, -1)
    return out


def symmetry(pixels: Pixels, which: int, out: Pixels | None = None) -> Pixels:
    """Return one of the eight `SYMMETRIES` of the square, 0 to 7, of (S, S, C) pixels; 0 changes nothing.

    It is written to `out`, if that is given: contiguous, of the same shape, other memory.
    """
    out = np.empty(pixels.shape, np.uint8) if out is None else out
    mirror = _MIRRORS.get(which & 3)
    if pixels.shape[2] > _AT_ONCE or which == 0:
        view = pixels.swapaxes(0, 1) if which & 4 else pixels
        out[:] = np.flip(view, tuple(axis for axis, bit in enumerate((2, 1)) if which & bit))
    else:
        if which & 4:
            cv2.transpose(pixels, dst=out)
        if mirror is not None:
            cv2.flip(out if which & 4 else pixels, mirror, dst=out)
    return out


def turn(images: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Return (N, S, S, C) uint8 images, each turned by the one of the `SYMMETRIES` that (N,) `which` names for it."""
    if images.device.type != "cpu":
        return turn_at_once(images, which)
    # There torch takes five times as long as OpenCV.
    turned = torch.empty_like(images)
    for image, number, place in zip(images.numpy(), which.tolist(), turned.numpy(), strict=True):
        symmetry(image, number, place)
    return turned


def turn_at_once(images: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Return what `turn` does, without a loop over the images or a wait for their device."""
    bits = which[:, None, None, None]
    images = torch.where((bits & 4) > 0, images.transpose(1, 2), images)
    images = torch.where((bits & 2) > 0, images.flip(1), images)
    return torch.where((bits & 1) > 0, images.flip(2), images)


def symmetry_views(images: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    """Yield the first 1, 2, 4 or 8 `SYMMETRIES` of (N, C, S, S) images, on their device and in their memory format."""
    channels_last = images.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for which in range(count):
        view = images.transpose(2, 3).contiguous(memory_format=layout) if which & 4 else images
        axes = [axis for axis, mirrored in ((2, which & 2), (3, which & 1)) if mirrored]
        yield view.flip(axes) if axes else view


def random_color_matrix(pixels: Pixels, jitter: float, draw: Iterator[float]) -> Matrix:
    """Return a `color_matrix` whose three factors are drawn evenly from 1 - jitter (at least 0) to 1 + jitter.

    `draw` yields numbers from 0 to 1, of which three are taken.

    Contrast changes about the mean gray of the pixels: those of the image, or of rows spread over it. Bands that are
    not red, green and blue have no gray: brightness and contrast change them all alike, about the mean of all values.
    """
    lowest = max(0.0, 1 - jitter)
    brightness, contrast, saturation = (lowest + (1 + jitter - lowest) * next(draw) for _ in range(3))
    if pixels.shape[2] != 3:
        scale = brightness * contrast
        return np.array([[scale, (1 - contrast) * brightness * pixels.mean()]], np.float32)
    return color_matrix(brightness, contrast, saturation, mean_gray(pixels))


def color_matrix(brightness: float, contrast: float, saturation: float, mean: float) -> Matrix:
    """Return three changes in torchvision's meaning as one affine map of the colors.

    With x a color, g(x) its gray and m the mean gray of the image:
    brightness b: x -> b x; contrast c: x -> c x + (1 - c) m; saturation s: x -> s x + (1 - s) g(x).
    As maps without bounds the three give the same in any order. torchvision's `ColorJitter` applies them in a random
    order, and rounds and bounds the colors to 0 to 255 after each; here they are bounded once, after all three.

    Factors of 1 change nothing; `mean` is from 0 to 255.
    """
    scale = brightness * contrast
    linear = scale * (saturation * np.eye(3) + (1 - saturation) * GRAY)
    offset = np.full((3, 1), (1 - contrast) * brightness * mean)
    return np.hstack([linear, offset]).astype(np.float32)


def mean_gray(pixels: Pixels) -> float:
    """Return the mean gray, 0 to 255, of (H, W, 3) pixels."""
    height, width = pixels.shape[:2]
    # Sums of whole rows first: numpy has no fast path for sums that leave a last axis of three.
    small = 255 * height < 2**16
    sums = np.add.reduce(pixels.reshape(height, width * 3), axis=0, dtype=np.uint16 if small else np.uint64)
    return float(sums.reshape(width, 3).sum(axis=0, dtype=np.float64) @ GRAY / (height * width))
