"""Single trees."""

import functools
import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import SIDE, Point, Points
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, feature
from mlrsnet_hf.synthetic.site import FREE, WATER, WAY
from mlrsnet_hf.synthetic.textures import tint

FloatArray = npt.NDArray[np.floating]

_SIZES = (26, 32, 38, 46)
_SECTORS = 12
_SHAPES = 2
_SHADOW_OPACITY = 0.45


@functools.cache
def _crown(size: int, shape: int, sector: int) -> tuple[Image.Image, Image.Image]:
    """Return a crown with its shadow, and the mask of both, for a sun in one of 12 sectors.

    The image is gray, dark in the shadow; it is 1.4 times as wide as the crown, to hold the shadow on any side.
    """
    rng = np.random.Generator(np.random.PCG64([size, shape]))
    side = int(1.4 * size)
    angle = 2 * math.pi * sector / _SECTORS
    away_x, away_y = math.cos(angle), math.sin(angle)
    waves = [(k, strength, rng.uniform(0, 6.3)) for k, strength in ((5, 0.1), (9, 0.06))]

    def cover(shift: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the crown's opacity, and its x and y from -1 to 1, moved away from the sun."""
        reach = ((np.arange(side) + 0.5) / side * 2 - 1) * 1.4
        x, y = np.meshgrid(reach - (shift - 0.2) * away_x, reach - (shift - 0.2) * away_y)
        turn = np.arctan2(y, x)
        edge = 0.84 + sum(strength * np.sin(k * turn + phase) for k, strength, phase in waves)
        return np.clip((edge - np.hypot(x, y)) * size / 3, 0, 1), x, y

    shadow, _, _ = cover(0.55)
    crown, x, y = cover(0)
    speckle = rng.integers(0, 255, (side // 4, side // 4), dtype=np.uint8)
    leaves = np.asarray(Image.fromarray(speckle).resize((side, side)), float)
    light = 128 - 80 * (x * away_x + y * away_y) - 40 * np.hypot(x, y) ** 3 + (leaves - 128) * 0.5
    mask = np.maximum(crown, shadow * _SHADOW_OPACITY) * 255
    return Image.fromarray((light * crown).clip(0, 255).astype(np.uint8)), Image.fromarray(mask.astype(np.uint8))


@feature("trees", Layer.PLANT)
def draw_trees(canvas: Canvas) -> None:
    """Round crowns, lit from one side, each with its shadow."""
    dice = canvas.dice
    sector = round(math.atan2(canvas.sun[1], canvas.sun[0]) / (2 * math.pi) * _SECTORS) % _SECTORS
    leaf = canvas.palette.leaf()
    first = dice.whole(0, len(_SIZES) - 2)
    trees = []
    for size in _SIZES[first : first + 2]:
        for shape in range(_SHAPES):
            light, mask = _crown(size, shape, sector)
            color = shaded(leaf, dice.between(0.8, 1.2))
            trees.append((tint(light, shaded(color, 0.22), shaded(color, 1.6)), mask, light.width / 2))
    paste = canvas.image.paste
    for x, y in _places(canvas):
        image, mask, half = dice.pick(trees)
        paste(image, (int(x - half), int(y - half)), mask)


def _places(canvas: Canvas) -> Points:
    """Return where trees stand: on free ground, else anywhere but in water and on ways."""
    dice = canvas.dice
    wanted = dice.whole(18, 50)
    pattern = {"scatter": _scattered, "rows": _in_rows, "clumps": _in_clumps}[canvas.layout.trees]
    candidates = pattern(canvas, wanted * 3)
    places = [p for p in candidates if canvas.zone(*p) == FREE][:wanted]
    if len(places) < 8:
        anywhere = _scattered(canvas, 120)
        places += [p for p in anywhere if canvas.zone(*p) not in (WATER, WAY)][: 12 - len(places)]
    return places or _scattered(canvas, 10)


def _scattered(canvas: Canvas, count: int) -> Points:
    between = canvas.dice.between
    return [(between(0, SIDE), between(0, SIDE)) for _ in range(count)]


def _in_clumps(canvas: Canvas, count: int) -> Points:
    between = canvas.dice.between
    middles = [_free_middle(canvas) for _ in range(5)]
    places = []
    for i in range(count):
        x, y = middles[i % 5]
        places.append((x + between(-34, 34) + between(-34, 34), y + between(-34, 34) + between(-34, 34)))
    return [p for p in places if 0 <= p[0] < SIDE and 0 <= p[1] < SIDE]


def _free_middle(canvas: Canvas) -> Point:
    spot = canvas.search(50, 50, 0, tries=5, reach=0.5)
    return spot.x, spot.y


def _in_rows(canvas: Canvas, count: int) -> Points:
    """Return rows along the ways, then single trees."""
    rows: Points = []
    for name in ("road", "parkway", "railway", "intersection", "roundabout", "trail"):
        for strip in canvas.strips.get(name, ()):
            for side in (-1, 1):
                rows += [
                    (x, y)
                    for x, y, _ in strip.walk(44, side * (strip.width / 2 + 26))
                    if 0 <= x < SIDE and 0 <= y < SIDE
                ]
    return canvas.dice.shuffled(rows) + _scattered(canvas, count - len(rows))
