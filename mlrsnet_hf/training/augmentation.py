"""Random changes of a training image that leave its labels true: overhead pictures have no up."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mlrsnet_hf.training.preprocessing import Pixels

SYMMETRIES = 8

_STORED_SIDE = 256 / 224
"""Training images are kept this much larger than the model sees them, so that crops still hold detail."""


@dataclass(frozen=True, slots=True)
class StoredTransform:
    """The part of training's transform that is the same in every epoch: RGB image -> (H, W, 3) uint8.

    The shorter side is resized; 256-pixel scenes stay untouched for a model that sees 224.
    """

    image_size: int
    """Side of the square that the model sees, in pixels."""

    def __call__(self, image: Image.Image) -> Pixels:
        """Resize the image."""
        scale = round(self.image_size * _STORED_SIDE) / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        return np.asarray(image if size == image.size else image.resize(size, Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The random part: (H, W, 3) uint8 -> (image_size, image_size, 3) uint8.

    A square of `crop_scale` to 1 of the area of the largest square, resized; then one of the eight symmetries.
    """

    image_size: int
    crop_scale: float

    def __call__(self, pixels: Pixels, draw: np.random.Generator) -> Pixels:
        """Return another view of the image at every call."""
        square = random_crop(pixels, self.image_size, self.crop_scale, draw)
        return symmetry(square, int(draw.integers(SYMMETRIES)))


def random_crop(pixels: Pixels, size: int, scale: float, draw: np.random.Generator) -> Pixels:
    """Cut a random square of at least `scale` of the largest square's area and resize it to `size`."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * draw.uniform(scale, 1.0) ** 0.5))
    top, left = int(draw.integers(height - side + 1)), int(draw.integers(width - side + 1))
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def symmetry(pixels: Pixels, which: int) -> Pixels:
    """Return one of the eight symmetries of the square, 0 to 7, of (S, S, 3) pixels; 0 changes nothing."""
    turned = np.rot90(pixels, which % 4)
    return turned[:, ::-1] if which >= 4 else turned
