"""Forms of the land that are lines rather than ground: gullies."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.geometry import MIDDLE, Point, Points
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, feature


@feature("gully", Layer.SHORE)
def draw_gully(canvas: Canvas) -> None:
    """Cut a branching gully into the ground, one flank in shadow and one in light."""
    dice = canvas.dice
    soil = canvas.palette.earth()
    angle = dice.between(0, 2 * math.pi)
    x, y = MIDDLE + dice.between(-70, 70), MIDDLE + dice.between(-70, 70)
    branches = _grown(dice, (x - 370 * math.cos(angle), y - 370 * math.sin(angle)), angle, steps=50, width=52, depth=0)
    dx, dy = canvas.sun
    for shift, part, light in ((4, 1.25, 1.3), (0, 1.0, 0.8), (-3, 0.6, 0.4)):
        for line, width in branches:
            bed = _tapered([(x + shift * dx, y + shift * dy) for x, y in line], width * part)
            canvas.fill(bed, shaded(soil, light))


def _grown(dice: Dice, start: Point, angle: float, steps: int, width: float, depth: int) -> list[tuple[Points, float]]:
    """Grow a gully upstream; side gullies leave it left and right, the narrower the farther up."""
    (x, y), heading = start, angle
    line = [start]
    branches: list[tuple[Points, float]] = []
    for step in range(steps):
        heading += dice.between(-0.45, 0.45) + 0.25 * (angle - heading)
        x, y = x + 14 * math.cos(heading), y + 14 * math.sin(heading)
        line.append((x, y))
        if depth < 2 and dice.chance(0.33):
            left = 1 - step / steps
            turn = heading + dice.sign() * dice.between(0.5, 1.2)
            side_steps = 3 + int(dice.between(5, 17) * left / (depth + 1))
            branches += _grown(dice, (x, y), turn, side_steps, width * (0.25 + 0.45 * left), depth + 1)
    return [*branches, (line, width)]


def _tapered(line: Points, width: float) -> Points:
    """Return the outline of a line that runs out to a point."""
    last = len(line) - 1
    left: Points = []
    right: Points = []
    for i, (x, y) in enumerate(line[:-1]):
        (ax, ay), (bx, by) = line[max(i - 1, 0)], line[i + 1]
        length = math.hypot(bx - ax, by - ay) or 1.0
        half = width / 2 * (1 - i / last)
        nx, ny = -(by - ay) / length * half, (bx - ax) / length * half
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return [*left, line[-1], *reversed(right)]
