"""Random changes of a training image that leave its labels true: overhead pictures have no up."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from mlrsnet_hf.training.preprocessing import Pixels, PixelTransform, Preprocessing

Augmentation = Callable[[Pixels, np.random.Generator], Pixels]

SYMMETRIES = 8

_STORED_SIDE = 256 / 224
"""Training images are kept this much larger than the model sees them, so that crops still hold detail."""


def stored_transform(preprocessing: Preprocessing) -> PixelTransform:
    """Return the part of training's transform that is the same in every epoch: RGB image -> (H, W, 3) uint8.

    The shorter side is resized; 256-pixel scenes stay untouched for a model that sees 224.
    """
    side = round(preprocessing.image_size * _STORED_SIDE)

    def transform(image: Image.Image) -> Pixels:
        scale = side / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        return np.asarray(image if size == image.size else image.resize(size, Image.Resampling.BICUBIC))

    return transform


def augmentation(image_size: int, crop_scale: float) -> Augmentation:
    """Return the random part: (H, W, 3) uint8 -> (image_size, image_size, 3) uint8.

    A square of `crop_scale` to 1 of the area of the largest square, resized; then one of the eight symmetries.
    """

    def augment(pixels: Pixels, draw: np.random.Generator) -> Pixels:
        return symmetry(random_crop(pixels, image_size, crop_scale, draw), int(draw.integers(SYMMETRIES)))

    return augment


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
