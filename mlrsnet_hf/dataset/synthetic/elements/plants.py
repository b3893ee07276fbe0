"""Single trees."""

import functools
import math

import numpy as np
from PIL import Image

from mlrsnet_hf.dataset.synthetic.canvas import FREE, SHADOW, WATER, WAY, Canvas
from mlrsnet_hf.dataset.synthetic.elements.registry import Layer, feature
from mlrsnet_hf.dataset.synthetic.geometry import SIDE, Point, Points
from mlrsnet_hf.dataset.synthetic.palette import shaded
from mlrsnet_hf.dataset.synthetic.textures import tint

_SIZES = (26, 32, 38, 46)
_SECTORS = 12
_SHAPES = 3


@functools.cache
def _crown(size: int, shape: int, sector: int) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Return the light on a crown, its outline and its shadow, for a sun in one of 12 sectors."""
    rng = np.random.Generator(np.random.PCG64([size, shape]))
    reach = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(reach, reach)
    turn = np.arctan2(y, x)
    edge = 0.84 + 0.1 * np.sin(5 * turn + rng.uniform(0, 6.3)) + 0.06 * np.sin(9 * turn + rng.uniform(0, 6.3))
    far = np.hypot(x, y)
    angle = 2 * math.pi * sector / _SECTORS
    facing = -(x * math.cos(angle) + y * math.sin(angle))
    leaves = np.asarray(
        Image.fromarray(rng.integers(0, 255, (size // 4, size // 4), dtype=np.uint8)).resize((size, size))
    )
    grey = 128 + 80 * facing - 40 * (far / edge) ** 3 + (leaves.astype(float) - 128) * 0.5
    outline = np.clip((edge - far) * size / 3, 0, 1) * 255
    light, mask, shadow = (Image.fromarray(a.clip(0, 255).astype(np.uint8)) for a in (grey, outline, outline * 0.42))
    return light, mask, shadow


@feature("trees", Layer.PLANT)
def draw_trees(canvas: Canvas) -> None:
    """Round crowns, lit from one side, each with its shadow."""
    dice = canvas.dice
    sector = round(math.atan2(canvas.sun[1], canvas.sun[0]) / (2 * math.pi) * _SECTORS) % _SECTORS
    leaf = canvas.palette.leaf()
    first = dice.whole(0, len(_SIZES) - 2)
    crowns = []
    for size in _SIZES[first : first + 2]:
        for shape in range(_SHAPES):
            light, mask, shadow = _crown(size, shape, sector)
            colour = shaded(leaf, dice.between(0.8, 1.2))
            crowns.append((tint(light, shaded(colour, 0.35), shaded(colour, 1.6)), mask, shadow, size))
    dx, dy = canvas.sun
    paste = canvas.image.paste
    for x, y in _places(canvas):
        image, mask, shadow, size = dice.pick(crowns)
        left, top = int(x - size / 2), int(y - size / 2)
        paste(SHADOW, (left + int(dx * size * 0.4), top + int(dy * size * 0.4)), shadow)
        paste(image, (left, top), mask)


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
