"""Roofs."""

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, landmark
from mlrsnet_hf.synthetic.textures import Color


@landmark("buildings", Layer.STRUCTURE, 100, 72, (3, 5))
def draw_building(canvas: Canvas, spot: Spot) -> None:
    """A house, a block or a shed, as the scene has them."""
    roof = canvas.palette.roof()
    if canvas.layout.houses == "house":
        draw_house(canvas, spot.inner(0, 0, spot.width * 0.85, spot.height * 0.85), roof)
    elif canvas.layout.houses == "shed":
        _draw_shed(canvas, spot, roof)
    else:
        _draw_block(canvas, spot, roof)


def draw_house(canvas: Canvas, spot: Spot, roof: Color, height: float = 12) -> None:
    """Draw a hipped roof: four sides, each in its own light, a ridge and a chimney."""
    canvas.cast(spot.box(), height)
    ridge = max(1 - spot.height / spot.width, 0.0)
    left, right = spot.at(-ridge, 0), spot.at(ridge, 0)
    a, b, c, d = spot.box()
    lit = _light(canvas, spot)
    canvas.fill([a, b, right, left], shaded(roof, 1 - 0.22 * lit[1]))
    canvas.fill([d, c, right, left], shaded(roof, 1 + 0.22 * lit[1]))
    canvas.fill([b, c, right], shaded(roof, 1 + 0.22 * lit[0]))
    canvas.fill([a, d, left], shaded(roof, 1 - 0.22 * lit[0]))
    canvas.line([left, right], shaded(roof, 1.4), 2)
    canvas.fill(spot.inner(0.3, 0.35, 6, 6).box(), shaded(roof, 0.5))


def _light(canvas: Canvas, spot: Spot) -> tuple[float, float]:
    """Return how much the right and lower sides of a roof face the sun, from -1 to 1."""
    ox, oy = spot.x, spot.y
    (rx, ry), (lx, ly) = spot.at(1, 0), spot.at(0, 1)
    sx, sy = canvas.sun
    right = ((rx - ox) * sx + (ry - oy) * sy) / (spot.width / 2)
    lower = ((lx - ox) * sx + (ly - oy) * sy) / (spot.height / 2)
    return -right, -lower


def _draw_block(canvas: Canvas, spot: Spot, roof: Color) -> None:
    """Draw a flat roof with a parapet, plant on it, and a long shadow."""
    dice = canvas.dice
    canvas.cast(spot.box(), dice.between(18, 46))
    canvas.fill(spot.box(), shaded(roof, 1.3))
    canvas.fill(spot.inner(0, 0, spot.width - 9, spot.height - 9).box(), roof)
    if dice.chance(0.5):
        court = spot.inner(dice.between(-0.3, 0.3), dice.between(-0.2, 0.2), spot.width * 0.35, spot.height * 0.35)
        canvas.fill(court.box(), shaded(roof, 0.6))
        canvas.fill(court.box(-0.75, -0.75, 0.75, 0.75), shaded(roof, 0.8))
    for _ in range(dice.whole(2, 4)):
        unit = spot.inner(dice.between(-0.7, 0.7), dice.between(-0.6, 0.6), dice.between(8, 18), dice.between(8, 14))
        canvas.cast(unit.box(), 5)
        canvas.fill(unit.box(), shaded(roof, dice.pick((0.75, 1.2, 1.4))))


def _draw_shed(canvas: Canvas, spot: Spot, roof: Color) -> None:
    """Draw a long low roof with ribs and skylights."""
    shed = spot.inner(0, 0, spot.width * 1.3, spot.height)
    canvas.cast(shed.box(), 14)
    canvas.fill(shed.box(-1, -1, 1, 0), shaded(roof, 1.1))
    canvas.fill(shed.box(-1, 0, 1, 1), shaded(roof, 0.85))
    ribs = int(shed.width / 10)
    for i in range(1, ribs):
        u = 2 * i / ribs - 1
        canvas.draw.line([*shed.at(u, -1), *shed.at(u, 1)], fill=shaded(roof, 0.92), width=2)
    for i in range(5):
        u = -0.75 + 0.36 * i
        canvas.fill(shed.box(u, -0.6, u + 0.1, -0.3), shaded(roof, 1.5))
