"""Colors of one image.

The families overlap on purpose - straw grass and sand, green water and lawn, red courts and roofs, gray roofs and
asphalt - so that a color does not tell what a thing is.
"""

import colorsys
from dataclasses import dataclass

from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.textures import Color

# Hue in degrees, saturation and value: low and high of each.
_Range = tuple[float, float, float, float, float, float]
_EARTH: tuple[_Range, ...] = (
    (10, 50, 0.12, 0.5, 0.3, 0.8),
    (15, 40, 0.2, 0.45, 0.25, 0.55),
    (30, 70, 0.05, 0.3, 0.4, 0.8),
)
_GRASS: tuple[_Range, ...] = ((45, 120, 0.15, 0.5, 0.28, 0.65), (35, 60, 0.2, 0.45, 0.4, 0.75))
_LEAF: tuple[_Range, ...] = ((60, 150, 0.15, 0.5, 0.22, 0.5), (30, 70, 0.2, 0.5, 0.25, 0.55))
_WATER: tuple[_Range, ...] = (
    (185, 225, 0.2, 0.6, 0.25, 0.7),
    (80, 180, 0.15, 0.45, 0.2, 0.6),
    (25, 55, 0.15, 0.45, 0.3, 0.65),
    (40, 220, 0.1, 0.3, 0.12, 0.28),
)
_SAND: tuple[_Range, ...] = ((25, 50, 0.1, 0.4, 0.5, 0.9), (15, 45, 0.2, 0.5, 0.4, 0.7), (40, 220, 0.0, 0.1, 0.5, 0.85))
_GREY: tuple[_Range, ...] = ((0, 360, 0.0, 0.12, 0.22, 0.7),)
_PALE: tuple[_Range, ...] = ((20, 60, 0.02, 0.18, 0.5, 0.9), (180, 240, 0.02, 0.12, 0.45, 0.85))
_ROOF: tuple[_Range, ...] = (
    (0, 360, 0.0, 0.1, 0.25, 0.95),
    (5, 30, 0.25, 0.6, 0.35, 0.75),
    (195, 225, 0.15, 0.5, 0.35, 0.75),
    (25, 50, 0.1, 0.35, 0.45, 0.85),
    (90, 170, 0.1, 0.35, 0.3, 0.6),
)
_PAINT: tuple[_Range, ...] = ((0, 360, 0.05, 0.5, 0.3, 0.9), (0, 360, 0.0, 0.1, 0.2, 0.98))
_PLAIN = _EARTH + _GRASS + _SAND + _GREY + _WATER[:3]
_COURT: tuple[_Range, ...] = (
    (90, 170, 0.15, 0.5, 0.3, 0.6),
    (5, 30, 0.25, 0.55, 0.4, 0.7),
    (195, 230, 0.2, 0.55, 0.35, 0.7),
    *_GREY,
)


@dataclass(slots=True)
class Palette:
    """Draws colors in the light of one image."""

    dice: Dice
    vividness: float
    """Factor on saturation; low in haze."""

    def _from(self, family: tuple[_Range, ...]) -> Color:
        h0, h1, s0, s1, v0, v1 = self.dice.pick(family)
        between = self.dice.between
        saturation = min(between(s0, s1) * self.vividness, 1.0)
        r, g, b = colorsys.hsv_to_rgb(between(h0, h1) / 360, saturation, between(v0, v1))
        return int(255 * r), int(255 * g), int(255 * b)

    def earth(self) -> Color:
        """Return a color of bare soil."""
        return self._from(_EARTH)

    def grass(self) -> Color:
        """Return a color of grass, green to straw."""
        return self._from(_GRASS)

    def leaf(self) -> Color:
        """Return a color of foliage."""
        return self._from(_LEAF)

    def water(self) -> Color:
        """Return a color of water: blue, green, brown or dark."""
        return self._from(_WATER)

    def sand(self) -> Color:
        """Return a color of sand."""
        return self._from(_SAND)

    def gray(self) -> Color:
        """Return a color of asphalt, dark to worn."""
        return self._from(_GREY)

    def pale(self) -> Color:
        """Return a color of concrete."""
        return self._from(_PALE)

    def roof(self) -> Color:
        """Return a color of roofing."""
        return self._from(_ROOF)

    def paint(self) -> Color:
        """Return any color that a thing may be painted in."""
        return self._from(_PAINT)

    def court(self) -> Color:
        """Return a color of a sports surface."""
        return self._from(_COURT)

    def plain(self) -> Color:
        """Return a color of ground that carries no label: any ground's color."""
        return self._from(_PLAIN)


def shaded(color: Color, factor: float) -> Color:
    """Return the color, darker below 1 and lighter above."""
    r, g, b = color
    return min(int(r * factor), 255), min(int(g * factor), 255), min(int(b * factor), 255)


def mixed(first: Color, second: Color, part: float) -> Color:
    """Return a color between two."""
    r, g, b = (int(a + (z - a) * part) for a, z in zip(first, second, strict=True))
    return r, g, b


def white(dice: Dice) -> Color:
    """Return a color of road paint, new to worn."""
    v = dice.whole(205, 250)
    return v, v, v - dice.whole(0, 30)
