"""Random changes of brightness, contrast and saturation, as one matrix per image.

The host draws the matrix; the device applies it together with the normalisation (`model_input`), so that no picture is
rounded or copied for it.
"""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.training.decoding import Pixels

Matrix = npt.NDArray[np.float32]
"""(3, 4): new colour = matrix[:, :3] @ colour + matrix[:, 3], of colours from 0 to 255."""

GREY = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in grey (ITU-R BT.601), as Pillow and torchvision have them."""


def random_colour_matrix(pixels: Pixels, jitter: float, draw: np.random.Generator) -> Matrix:
    """Return a `colour_matrix` whose three factors are drawn evenly from 1 - jitter (at least 0) to 1 + jitter.

    Args:
        pixels: (H, W, 3) of the image, or of rows spread over it: contrast changes about their mean grey.
        jitter: At least 0.
        draw: Where the draws come from.
    """
    brightness, contrast, saturation = draw.uniform(max(0.0, 1 - jitter), 1 + jitter, 3)
    return colour_matrix(brightness, contrast, saturation, mean_grey(pixels))


def colour_matrix(brightness: float, contrast: float, saturation: float, mean: float) -> Matrix:
    """Return three changes in torchvision's meaning as one affine map of the colours.

    With x a colour, g(x) its grey and m the mean grey of the image:
    brightness b: x -> b x; contrast c: x -> c x + (1 - c) m; saturation s: x -> s x + (1 - s) g(x).
    As maps without bounds the three give the same in any order. torchvision's `ColorJitter` applies them in a random
    order, and rounds and bounds the colours to 0 to 255 after each; here they are bounded once, after all three.

    Args:
        brightness: Factor; 1 changes nothing, as for the other two.
        contrast: Factor.
        saturation: Factor.
        mean: Mean grey of the image, 0 to 255.

    Returns:
        (3, 4) float32.
    """
    scale = brightness * contrast
    linear = scale * (saturation * np.eye(3) + (1 - saturation) * GREY)
    offset = np.full((3, 1), (1 - contrast) * brightness * mean)
    return np.hstack([linear, offset]).astype(np.float32)


def mean_grey(pixels: Pixels) -> float:
    """Return the mean grey, 0 to 255, of (H, W, 3) pixels."""
    height, width = pixels.shape[:2]
    # Sums of whole rows first: numpy has no fast path for sums that leave a last axis of three.
    small = 255 * height < 2**16
    sums = np.add.reduce(pixels.reshape(height, width * 3), axis=0, dtype=np.uint16 if small else np.uint64)
    return float(sums.reshape(width, 3).sum(axis=0, dtype=np.float64) @ GREY / (height * width))
