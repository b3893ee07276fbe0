"""Forms of the land that are lines rather than ground: gullies."""

import math

from mlrsnet_hf.dataset.synthetic.canvas import Canvas
from mlrsnet_hf.dataset.synthetic.elements.registry import Layer, feature
from mlrsnet_hf.dataset.synthetic.geometry import SIDE, Points
from mlrsnet_hf.dataset.synthetic.palette import shaded


@feature("gully", Layer.SHORE)
def draw_gully(canvas: Canvas) -> None:
    """Cut a branching gully into the ground, one flank in shadow and one in light."""
    dice = canvas.dice
    soil = canvas.palette.earth()
    x, y = dice.between(0.3, 0.7) * SIDE, dice.between(0.3, 0.7) * SIDE
    angle = dice.between(0, 2 * math.pi)
    start = (x - 300 * math.cos(angle), y - 300 * math.sin(angle))
    branches = _branches(canvas, start, angle, length=30, width=38, depth=0)
    dx, dy = canvas.sun
    for line, width in branches:
        canvas.line([(x + 5 * dx, y + 5 * dy) for x, y in line], shaded(soil, 1.35), width + 6)
    for line, width in branches:
        canvas.line(line, shaded(soil, 0.75), width)
    for line, width in branches:
        canvas.line([(x - 4 * dx, y - 4 * dy) for x, y in line], shaded(soil, 0.35), width * 0.5)


def _branches(
    canvas: Canvas, start: tuple[float, float], angle: float, length: int, width: float, depth: int
) -> list[tuple[Points, float]]:
    """Grow a gully upstream; side gullies leave it on alternate sides."""
    dice = canvas.dice
    x, y = start
    found: list[tuple[Points, float]] = []
    line = [start]
    side = dice.sign()
    for step in range(length):
        angle += dice.between(-0.22, 0.22)
        x, y = x + 20 * math.cos(angle), y + 20 * math.sin(angle)
        line.append((x, y))
        if depth < 2 and step % 4 == 3:
            side = -side
            turn = angle + side * dice.between(0.6, 1.1)
            found += _branches(canvas, (x, y), turn, dice.whole(4, 9 - 2 * depth), width * 0.6, depth + 1)
        if step % 7 == 6:
            found.append((line, width))
            line, width = [(x, y)], width * 0.85
    return [*found, (line, width)]
