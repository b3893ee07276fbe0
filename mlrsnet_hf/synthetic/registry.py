"""The registry: which function draws which label."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from PIL import Image

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot

Painted = tuple[Image.Image, Image.Image | None]
"""A texture of 256 x 256 and, where it lets other ground show through, its mask."""


class Layer(IntEnum):
    """Drawing order, from the ground up."""

    SHORE = 1
    WAY = 2
    DECK = 3
    SURFACE = 4
    STRUCTURE = 5
    PITCH = 6
    VEHICLE = 7
    PLANT = 8
    TALL = 9
    SKY = 10


@dataclass(frozen=True, slots=True)
class Coat:
    """A label that is a kind of ground."""

    paint: Callable[[Canvas], Painted]


@dataclass(frozen=True, slots=True)
class Feature:
    """A label that finds its own place: along ways, in water, among other things."""

    layer: Layer
    draw: Callable[[Canvas], None]


@dataclass(frozen=True, slots=True)
class Landmark:
    """A label that is drawn on spots set aside for it."""

    layer: Layer
    draw: Callable[[Canvas, Spot], None]
    width: float
    height: float
    count: tuple[int, int]


Element = Coat | Feature | Landmark

ELEMENTS: dict[str, Element] = {}
"""What draws each label, by canonical name; filled by the modules of `elements`."""


def coat(label: str) -> Callable[[Callable[[Canvas], Painted]], Callable[[Canvas], Painted]]:
    """Register a ground."""

    def register(paint: Callable[[Canvas], Painted]) -> Callable[[Canvas], Painted]:
        ELEMENTS[label] = Coat(paint)
        return paint

    return register


def feature(label: str, layer: Layer) -> Callable[[Callable[[Canvas], None]], Callable[[Canvas], None]]:
    """Register a feature."""

    def register(draw: Callable[[Canvas], None]) -> Callable[[Canvas], None]:
        ELEMENTS[label] = Feature(layer, draw)
        return draw

    return register


def landmark(
    label: str, layer: Layer, width: float, height: float, count: tuple[int, int] = (1, 1)
) -> Callable[[Callable[[Canvas, Spot], None]], Callable[[Canvas, Spot], None]]:
    """Register a landmark of a usual size and number."""

    def register(draw: Callable[[Canvas, Spot], None]) -> Callable[[Canvas, Spot], None]:
        ELEMENTS[label] = Landmark(layer, draw, width, height, count)
        return draw

    return register
