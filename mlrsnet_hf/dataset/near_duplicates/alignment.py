"""Whether two thumbnails show the same ground: align one with the other, then correlate their texture.

The alignment is an affine map, refined from coarse to fine by inverse compositional Lucas-Kanade (Baker & Matthews
2004, section 3.2) in which each image's gain and offset are divided out. A pair is dropped at the first level where the
aligned images do not correlate. The last word has the texture in units of its own local contrast and with the square
root of its spectrum's magnitudes, so that neither one strong edge, such as the border of a runway, nor the period of a
ploughed field speaks for the whole image.
"""

import functools
from dataclasses import dataclass

import numpy as np

from mlrsnet_hf.dataset.near_duplicates.perceptual_hash import grid, smoothing


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid."""

    side: int
    fine: float
    """Smoothing in pixels of this level."""
    coarse: float
    """What is smoothed away: the band between the two is compared."""
    steps: int
    correlation: float
    """What the aligned pair must reach to be a pair still."""


LEVELS = (
    Level(side=16, fine=0.5, coarse=3.0, steps=6, correlation=0.6),
    Level(side=32, fine=0.5, coarse=3.0, steps=4, correlation=0.6),
    Level(side=64, fine=0.7, coarse=3.0, steps=4, correlation=0.6),
)
LEAST_OVERLAP = 0.7
"""Share of an image that the other must show."""
GREATEST_ZOOM = 1.35
"""Ratio of the sides of the two."""
GREATEST_STRETCH = 1.3
"""Ratio of one axis to the other."""
_NOISE = 0.7
"""Gray levels of texture that correlate with nothing, so that flat images are not taken for each other."""
_LOCAL_NOISE = 1.5
"""The same, where the contrast is local."""
_NEIGHBORHOOD = 3.0
"""Standard deviation, in pixels of the finest level, of what is local."""


def same_ground(first: np.ndarray, second: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return for every pair of thumbnails the correlation of their aligned texture.

    Args:
        first: (n, 64, 64), uint8.
        second: (n, 64, 64), uint8.
        maps: (n, 2, 3), a rough map from points of the second to points of the first, coordinates on [-1, 1].

    Returns:
        (n,), float32: the correlation of the flattened textures if the pair passed all levels, else 0.
    """
    result = np.zeros(len(first), np.float32)
    left = np.arange(len(first))
    maps = maps.astype(np.float32)
    for level in LEVELS:
        if not len(left):
            return result
        correlation, maps = _align(first[left], second[left], maps, level)
        passed = (correlation >= level.correlation) & _plausible(maps)
        left, maps = left[passed], maps[passed]
    if len(left):
        result[left] = _flattened_correlation(first[left], second[left], maps)
    return result


def _align(first: np.ndarray, second: np.ndarray, maps: np.ndarray, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """Refine the maps at one level; return the correlations reached and the maps."""
    points = grid(level.side)
    moving, fixed = _band(first, level), _band(second, level)
    jacobian = _jacobian(fixed, points)
    hessian = jacobian @ jacobian.transpose(0, 2, 1)
    hessian += np.eye(6, dtype=np.float32) * (1e-3 * np.trace(hessian, axis1=1, axis2=2)[:, None, None] / 6 + 1e-6)
    inverse = np.linalg.inv(hessian)
    fixed = fixed.reshape(len(fixed), -1)
    for _ in range(level.steps):
        moved, inside = _sample(moving, maps @ points)
        target, spread = _centered(fixed, inside)
        seen, contrast = _centered(moved, inside)
        error = seen * (spread / contrast)[:, None] - target
        step = (inverse @ (jacobian @ error[..., None]))[..., 0].reshape(-1, 2, 3)
        maps = _compose(maps, np.clip(step, -0.1, 0.1))
    moved, inside = _sample(moving, maps @ points)
    target, spread = _centered(fixed, inside)
    seen, contrast = _centered(moved, inside)
    area = inside.sum(1)
    correlation = (seen * target).sum(1) / (area + 1e-6) / (spread * contrast)
    return np.where(area >= LEAST_OVERLAP * inside.shape[1], correlation, 0), maps


def _flattened_correlation(first: np.ndarray, second: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return the correlation at the finest level of textures in local contrast and with flattened spectra."""
    level = LEVELS[-1]
    moved, inside = _sample(_band(first, level), maps @ grid(level.side))
    spectra = []
    for values in (moved, _band(second, level)):
        texture = _in_local_contrast(values.reshape(-1, level.side, level.side), inside)
        spectrum = np.fft.fft2(texture).reshape(len(texture), -1)
        spectrum /= np.sqrt(np.abs(spectrum)) + 1e-3
        spectra.append(spectrum / (np.linalg.norm(spectrum, axis=1, keepdims=True) + 1e-6))
    return (spectra[0] * spectra[1].conj()).real.sum(1)


def _in_local_contrast(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return values about their local mean, divided by their local standard deviation with the noise."""
    mask = inside.reshape(values.shape)
    blur = smoothing(values.shape[1], _NEIGHBORHOOD)
    area = blur @ mask @ blur.T + 1e-3
    values = (values - blur @ (values * mask) @ blur.T / area) * mask
    return values / np.sqrt(blur @ (values * values) @ blur.T / area + _LOCAL_NOISE**2)


def _band(thumbnails: np.ndarray, level: Level) -> np.ndarray:
    """Return the texture of a level: (n, side, side)."""
    gray = thumbnails.astype(np.float32)
    fine, coarse = smoothing(level.side, level.fine), smoothing(level.side, level.coarse)
    return fine @ gray @ fine.T - coarse @ gray @ coarse.T


def _jacobian(fixed: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return how each pixel changes with the six numbers of an affine map: (n, 6, side * side)."""
    slope = _slope(fixed.shape[1])
    right, down = (fixed @ slope.T).reshape(len(fixed), 1, -1), (slope @ fixed).reshape(len(fixed), 1, -1)
    return np.concatenate([right * points, down * points], 1)


@functools.cache
def _slope(side: int) -> np.ndarray:
    """Return the matrix of central differences along a line on [-1, 1]."""
    return np.asarray(np.gradient(np.eye(side, dtype=np.float32), 2 / side, axis=0))


def _sample(images: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate each image at its points; return the values and which points lie inside."""
    side = images.shape[1]
    position = (at + 1) * (side / 2) - 0.5
    inside = ((position > -0.5) & (position < side - 0.5)).all(1).astype(np.float32)
    position = np.clip(position, 0, side - 1.001)
    corner = position.astype(np.int32)
    x, y = (position - corner).transpose(1, 0, 2)
    flat = images.reshape(-1)
    index = corner[:, 1] * side + corner[:, 0] + (np.arange(len(images), dtype=np.int32) * side * side)[:, None]
    above = flat.take(index) * (1 - x) + flat.take(index + 1) * x
    below = flat.take(index + side) * (1 - x) + flat.take(index + side + 1) * x
    return above * (1 - y) + below * y, inside


def _centered(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values about their mean, zero outside, and their standard deviation with the noise."""
    area = inside.sum(1, keepdims=True) + 1e-6
    values = (values - (values * inside).sum(1, keepdims=True) / area) * inside
    return values, np.sqrt((values * values).sum(1) / area[:, 0] + _NOISE**2)


def _compose(maps: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the maps after the inverse of (identity + step)."""
    linear = np.linalg.inv(step[:, :, :2] + np.eye(2, dtype=np.float32))
    before = maps[:, :, :2] @ linear
    return np.concatenate([before, maps[:, :, 2:] - before @ step[:, :, 2:]], 2)


def _plausible(maps: np.ndarray) -> np.ndarray:
    """Return which maps zoom and stretch no more than mild resizing and cropping do."""
    stretch = np.linalg.svd(maps[:, :, :2], compute_uv=False)
    greatest, least = stretch[:, 0], stretch[:, 1]
    return (greatest < GREATEST_ZOOM) & (least > 1 / GREATEST_ZOOM) & (greatest < GREATEST_STRETCH * least)
