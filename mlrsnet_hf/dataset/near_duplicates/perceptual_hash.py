"""Perceptual hash of an image: numbers that symmetries, mild resizing, cropping and recompression hardly change.

An image is reduced to a gray thumbnail. Its hash is a max filter (Cahill, Iverson, Mixon, Packer 2022, "Group-invariant
max filtering"): for each of some random smooth patterns, the greatest response to the pattern under the eight
symmetries of the square, three zooms and nine shifts. A near-duplicate has nearly the same responses, only elsewhere,
and so nearly the same hash. Hashes propose pairs; `alignment` decides.
"""

import functools
import io
import math

import numpy as np
from PIL import Image

from mlrsnet_hf.errors import ImageError

THUMBNAIL = 64
"""Side of the thumbnails in pixels."""
PATTERNS = 96
"""Numbers per hash."""
_GRID = 16
_ZOOMS = (0.92, 1.0, 1.09)
_SHIFTS = (-0.12, 0.0, 0.12)
_WAVES = 12
_CYCLES = (0.5, 2.25)
"""Least and greatest frequency of the patterns, in cycles per half side."""
_PATTERN_REACH = 0.8
"""How far the patterns extend, as a share of the half side."""
_NOISE = 0.5
"""Gray levels of texture below which an image counts as flat."""


def thumbnail(image: bytes, name: str = "image") -> np.ndarray:
    """Decode an image file to a gray thumbnail, a JPEG at reduced scale.

    Args:
        image: An image file that Pillow reads.
        name: Names the image in errors.

    Returns:
        (64, 64), uint8.

    Raises:
        ImageError: The image cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.draft("L", (2 * THUMBNAIL, 2 * THUMBNAIL))
            small = opened.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise ImageError(f"{name}: cannot be decoded ({error})", "Fetch the image again, or leave it out.") from error
    return np.asarray(small)


def responses(thumbnails: np.ndarray) -> np.ndarray:
    """Return how every placed pattern responds to every thumbnail.

    Args:
        thumbnails: (n, 64, 64), uint8.

    Returns:
        (n, placements, patterns), float32; placements as in `placements`.
    """
    fine, coarse = smoothing(_GRID, 0.4), smoothing(_GRID, 2.5)
    gray = thumbnails.astype(np.float32)
    band = (fine @ gray @ fine.T - coarse @ gray @ coarse.T).reshape(len(gray), -1)
    band -= band.mean(1, keepdims=True)
    band /= band.std(1, keepdims=True) + _NOISE
    return (band @ _placed_patterns()).reshape(len(gray), len(placements()), PATTERNS)


@functools.cache
def placements() -> np.ndarray:
    """Return the affine maps under which patterns are tried: (216, 2, 3), the identity in row `identity_placement`."""
    return np.array(
        [
            [[flip * zoom * c, -zoom * s, x], [flip * zoom * s, zoom * c, y]]
            for flip in (1, -1)
            for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))
            for zoom in _ZOOMS
            for x in _SHIFTS
            for y in _SHIFTS
        ],
        dtype=np.float32,
    )


@functools.cache
def identity_placement() -> int:
    """Return the row of `placements` that leaves everything where it is."""
    return int(np.abs(placements() - np.eye(2, 3)).sum((1, 2)).argmin())


@functools.cache
def grid(side: int) -> np.ndarray:
    """Return the pixel centers (x, y, 1) of a square image on [-1, 1]: (3, side * side), row by row."""
    centers = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(centers, centers)
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, np.float32)])


@functools.cache
def smoothing(side: int, sigma: float) -> np.ndarray:
    """Return the matrix that smooths a line of a thumbnail and samples it at `side` points.

    Args:
        side: Number of samples.
        sigma: Standard deviation of the Gaussian in samples; mass beyond the border is shared out among the rest.

    Returns:
        (side, 64), float32; rows sum to 1.
    """
    scale = THUMBNAIL / side
    centers = (np.arange(side) + 0.5) * scale - 0.5
    kernel = np.exp(-0.5 * ((np.arange(THUMBNAIL) - centers[:, None]) / (sigma * scale)) ** 2)
    return (kernel / kernel.sum(1, keepdims=True)).astype(np.float32)


@functools.cache
def _placed_patterns() -> np.ndarray:
    """Return the patterns under every placement: (256, placements * patterns)."""
    points = placements() @ grid(_GRID)
    window = np.exp(-((np.abs(points) / _PATTERN_REACH) ** 6)).prod(1)
    placed = np.empty((len(points), PATTERNS, _GRID * _GRID), np.float32)
    for number, (frequencies, phases) in enumerate(_waves()):
        waves = np.cos(np.einsum("wd,gdp->gwp", frequencies, points) + phases[:, None]).sum(1) * window
        placed[:, number] = waves - waves.mean(1, keepdims=True)
    placed *= np.abs(np.linalg.det(placements()[:, :, :2]))[:, None, None]
    placed /= np.linalg.norm(placed, axis=2).mean()
    return np.ascontiguousarray(placed.reshape(-1, _GRID * _GRID).T)


def _waves() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return frequencies (waves, 2) and phases (waves,) of every pattern, the same under every library version."""
    base = 1.2207440846057596  # Roberts' R3 sequence, which spreads points evenly: the real root of x^4 = x + 1
    steps = np.array([1 / base, 1 / base**2, 1 / base**3])
    points = (0.5 + np.arange(1, PATTERNS * _WAVES + 1)[:, None] * steps) % 1
    low, high = _CYCLES
    radius = (low + (high - low) * points[:, 0]) * 2 * math.pi
    angle = points[:, 1] * 2 * math.pi
    frequencies = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)
    phases = (points[:, 2] * 2 * math.pi).astype(np.float32)
    return [(frequencies[i : i + _WAVES], phases[i : i + _WAVES]) for i in range(0, PATTERNS * _WAVES, _WAVES)]
