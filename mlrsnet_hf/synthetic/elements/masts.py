"""Tall slender things with long shadows: wind turbines and transmission towers."""

import itertools
import math

from mlrsnet_hf.synthetic.canvas import SHADOW, Canvas
from mlrsnet_hf.synthetic.geometry import SIDE, Points, Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, landmark


@landmark("wind turbine", Layer.TALL, 120, 120, (1, 2))
def draw_wind_turbine(canvas: Canvas, spot: Spot) -> None:
    """A tower that leans out of the picture's middle, three blades, and the shadow of both."""
    dice = canvas.dice
    size = spot.width * dice.between(0.75, 1.1)
    base = (spot.x, spot.y)
    canvas.disc(*base, 13, shaded(canvas.palette.pale(), 1.05))
    turn = dice.between(0, 2)
    v = dice.whole(215, 250)
    sx, sy = canvas.sun
    tip = (spot.x + sx * size * 0.95, spot.y + sy * size * 0.95)
    canvas.glaze_line([base, tip], SHADOW, canvas.shade, 6)
    for blade in _blades(tip, size * 0.62, turn):
        canvas.glaze(blade, SHADOW, canvas.shade)
    # The tower leans away from its shadow, so that the two never hide each other.
    lean = math.atan2(-sy, -sx) + dice.between(-0.7, 0.7)
    hub = (spot.x + math.cos(lean) * size * 0.62, spot.y + math.sin(lean) * size * 0.62)
    canvas.line([base, hub], (v - 12, v - 12, v - 8), 8)
    for blade in _blades(hub, size * 0.75, turn + 0.3):
        canvas.fill(blade, (v, v, v))
    canvas.disc(*hub, 7, (v - 25, v - 25, v - 22))


def _blades(hub: tuple[float, float], length: float, turn: float) -> list[Points]:
    blades = []
    for i in range(3):
        blade = Spot(*hub, length * 2, length * 0.17, turn + i * 2 * math.pi / 3)
        blades.append(blade.points((0, -0.3), (0.25, -0.75), (1, -0.1), (1, 0.1), (0, 0.4)))
    return blades


@landmark("transmission tower", Layer.TALL, 130, 130)
def draw_transmission_tower(canvas: Canvas, spot: Spot) -> None:
    """A lattice tower with three cross-arms, its shadow, and wires from edge to edge."""
    dice = canvas.dice
    steel = dice.whole(170, 235)
    color = (steel, steel, steel)
    lean = dice.between(0, 2 * math.pi)
    height = spot.width * dice.between(1.1, 1.5)
    tower = Spot(spot.x, spot.y, height, height * 0.34, lean)
    sun = math.atan2(canvas.sun[1], canvas.sun[0])
    foot = tower.at(-1, 0)
    shadow = Spot(
        foot[0] + height / 2 * math.cos(sun), foot[1] + height / 2 * math.sin(sun), height, height * 0.34, sun
    )
    for bar in _lattice(shadow):
        canvas.glaze_line(bar, SHADOW, canvas.shade, 3)
    across = lean + math.pi
    for u, half in _ARMS:
        for side in (-1, 1):
            x, y = tower.at(u, side * half)
            _draw_wire(canvas, x, y, across, color)
    for bar in _lattice(tower):
        canvas.line(bar, color, 4)


_ARMS = ((0.35, 0.85), (0.6, 0.7), (0.85, 0.5))


def _lattice(tower: Spot) -> list[Points]:
    """Return the bars of a tower that stands at u = -1 and tapers towards u = 1."""
    bars = [tower.points((-1, side * 0.6), (0.3, side * 0.16), (1, side * 0.06)) for side in (-1, 1)]
    steps = [(-1, 0.6), (-0.55, 0.44), (-0.15, 0.31), (0.2, 0.2), (0.55, 0.13), (0.9, 0.08)]
    for (u, a), (v, b) in itertools.pairwise(steps):
        bars += [tower.points((u, -a), (v, b)), tower.points((u, a), (v, -b)), tower.points((v, -b), (v, b))]
    for u, half in _ARMS:
        bars.append(tower.points((u - 0.07, 0.12), (u, half), (u + 0.05, 0.1)))
        bars.append(tower.points((u - 0.07, -0.12), (u, -half), (u + 0.05, -0.1)))
    return bars


def _draw_wire(canvas: Canvas, x: float, y: float, angle: float, color: tuple[int, int, int]) -> None:
    """Draw a wire that sags towards the picture's edges."""
    for way in (-1, 1):
        dx, dy = way * math.cos(angle + math.pi / 2), way * math.sin(angle + math.pi / 2)
        line = [(x + dx * d, y + dy * d + 0.0004 * d * (SIDE - d)) for d in (0, 100, 200, 300, 420, 560)]
        canvas.line(line, color, 2)
