"""Random changes of a training image that leave its labels true: overhead pictures have no up."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from mlrsnet_hf.training.preprocessing import PixelTransform, Preprocessing

Augmentation = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]

SYMMETRIES = 8

_STORED_SIDE = 256 / 224
"""Training images are kept this much larger than the model sees them, so that crops still hold detail."""


def stored_transform(preprocessing: Preprocessing) -> PixelTransform:
    """Return the part of training's transform that is the same in every epoch: RGB image -> (3, H, W) uint8.

    The shorter side is resized; 256-pixel scenes stay untouched for a model that sees 224.
    """
    side = round(preprocessing.image_size * _STORED_SIDE)

    def transform(image: Image.Image) -> torch.Tensor:
        resized = functional.resize(image, side, InterpolationMode.BICUBIC)
        return functional.pil_to_tensor(resized)

    return transform


def augmentation(image_size: int, crop_scale: float, color_jitter: float) -> Augmentation:
    """Return the random part: (3, H, W) uint8 -> (3, image_size, image_size) uint8.

    A square of `crop_scale` to 1 of the area of the largest square, resized; one of the eight symmetries; the colours
    scaled by 1 +- `color_jitter`.
    """

    def augment(pixels: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
        pixels = random_crop(pixels, image_size, crop_scale, draw)
        pixels = symmetry(pixels, int(draw.integers(SYMMETRIES)))
        if color_jitter:
            pixels = jitter_colors(pixels, color_jitter, draw)
        return pixels.contiguous()

    return augment


def random_crop(pixels: torch.Tensor, size: int, scale: float, draw: np.random.Generator) -> torch.Tensor:
    """Cut a random square of at least `scale` of the largest square's area and resize it to `size`."""
    height, width = pixels.shape[-2:]
    side = max(1, round(min(height, width) * draw.uniform(scale, 1.0) ** 0.5))
    top, left = int(draw.integers(height - side + 1)), int(draw.integers(width - side + 1))
    return functional.resized_crop(pixels, top, left, side, side, [size, size], InterpolationMode.BILINEAR)


def symmetry(pixels: torch.Tensor, which: int) -> torch.Tensor:
    """Return one of the eight symmetries of the square, 0 to 7, of (..., S, S) pixels; 0 changes nothing."""
    turned = torch.rot90(pixels, which % 4, (-2, -1))
    return turned.flip(-1) if which >= 4 else turned


def jitter_colors(pixels: torch.Tensor, strength: float, draw: np.random.Generator) -> torch.Tensor:
    """Scale brightness, contrast and saturation, each by a factor drawn from 1 +- `strength`."""
    brightness, contrast, saturation = draw.uniform(1 - strength, 1 + strength, 3)
    pixels = functional.adjust_brightness(pixels, brightness)
    pixels = functional.adjust_contrast(pixels, contrast)
    return functional.adjust_saturation(pixels, saturation)
