"""Works and stores: factories, tanks, containers, greenhouses."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, landmark


@landmark("factory", Layer.STRUCTURE, 240, 150)
def draw_factory(canvas: Canvas, spot: Spot) -> None:
    """A hall with a saw-tooth roof, chimneys, and pipes to silos."""
    roof = canvas.palette.roof()
    hall = spot.inner(-0.18, 0, spot.width * 0.8, spot.height)
    canvas.cast(hall.box(), 20)
    teeth = 8
    for i in range(teeth):
        u, step = 2 * i / teeth - 1, 2 / teeth
        canvas.fill(hall.box(u, -1, u + step * 0.68, 1), shaded(roof, 1.2))
        canvas.fill(hall.box(u + step * 0.68, -1, u + step, 1), shaded(roof, 0.4))
    pale = canvas.palette.pale()
    for v in (-0.6, 0.5):
        silo = spot.at(0.86, v)
        canvas.line([silo, hall.at(0.9, v * 0.7)], shaded(pale, 0.7), 6)
        canvas.cast_disc(*silo, 17, 20)
        canvas.disc(*silo, 18, pale)
        canvas.disc(*silo, 9, shaded(pale, 1.25))
    for u in (-0.55, 0.1):
        x, y = hall.at(u, -0.75)
        canvas.cast_disc(x, y, 8, 90)
        canvas.disc(x, y, 10, shaded(pale, 1.1))
        canvas.disc(x, y, 5, (25, 22, 22))


@landmark("tanks", Layer.STRUCTURE, 122, 122, (4, 6))
def draw_tank(canvas: Canvas, spot: Spot) -> None:
    """A round tank in a bund, with a rim, plates and a stair."""
    dice = canvas.dice
    x, y, radius = spot.x, spot.y, spot.width / 2 - 8
    color = shaded(canvas.palette.pale(), 1.1) if dice.chance(0.8) else canvas.palette.roof()
    canvas.ring(spot.box(), shaded(color, 0.7), 4)
    canvas.cast_disc(x, y, radius, radius * dice.between(0.4, 0.8))
    canvas.disc(x, y, radius, shaded(color, 0.5))
    canvas.disc(x, y, radius - 4, shaded(color, 1.2))
    canvas.circle(x, y, radius * 0.6, shaded(color, 0.8), 3)
    for i in range(8):
        t = math.pi * i / 4 + spot.angle
        canvas.line([(x, y), (x + (radius - 5) * math.cos(t), y + (radius - 5) * math.sin(t))], color, 2)
    canvas.disc(x, y, radius * 0.14, shaded(color, 0.75))
    start = dice.between(0, 360)
    canvas.draw.arc((x - radius, y - radius, x + radius, y + radius), start, start + 60, fill=(60, 60, 62), width=5)


@landmark("containers", Layer.STRUCTURE, 260, 170)
def draw_containers(canvas: Canvas, spot: Spot) -> None:
    """Stacks of boxes in tight rows under a gantry crane."""
    dice = canvas.dice
    colors = [canvas.palette.paint() for _ in range(5)]
    blocks_across, blocks_down = max(int(spot.width / 130), 1), max(int(spot.height / 85), 1)
    for block in spot.grid(blocks_across, blocks_down, fill=0.88):
        canvas.cast(block.box(), 12)
        rows = max(int(block.height / 13), 3)
        columns = max(int(block.width / 38), 2)
        for box in block.grid(columns, rows, fill=0.98):
            if dice.chance(0.93):
                color = shaded(dice.pick(colors), dice.between(0.85, 1.15))
                canvas.fill(box.box(-0.95, -0.86, 0.95, 0.86), color)
                canvas.line(box.points((-0.9, 0), (0.9, 0)), shaded(color, 0.8), 1)
    _draw_gantry(canvas, spot)


def _draw_gantry(canvas: Canvas, spot: Spot) -> None:
    crane = spot.inner(canvas.dice.between(-0.5, 0.5), 0, 26, spot.height * 1.12)
    frame = (222, 205, 120) if canvas.dice.chance(0.5) else canvas.palette.paint()
    for side in (-1, 1):
        beam = crane.points((side, -1), (side, 1))
        canvas.cast_line(beam, 26, 6)
        canvas.line(beam, frame, 5)
    for v in (-1, 1):
        canvas.line(crane.points((-1.3, v), (1.3, v)), frame, 7)
    canvas.fill(crane.box(-1, 0.1, 1, 0.26), shaded(frame, 0.6))


@landmark("greenhouse", Layer.STRUCTURE, 290, 210)
def draw_greenhouses(canvas: Canvas, spot: Spot) -> None:
    """Rows of long ribbed tunnels, side by side."""
    dice = canvas.dice
    skin = shaded(canvas.palette.pale(), dice.between(0.9, 1.25))
    count = max(int(spot.height / dice.between(26, 36)), 3)
    for i in range(count):
        tunnel = spot.inner(0, (2 * i + 1) / count - 1, spot.width, spot.height / count * 0.78)
        canvas.cast(tunnel.box(), 8)
        for low, high, light in ((-1, -0.5, 0.85), (-0.5, 0.1, 1.1), (0.1, 0.45, 1.3), (0.45, 1, 0.95)):
            canvas.fill(tunnel.box(-1, low, 1, high), shaded(skin, light))
        ribs = int(spot.width / 15)
        for rib in range(ribs + 1):
            u = 2 * rib / ribs - 1
            canvas.draw.line([*tunnel.at(u, -1), *tunnel.at(u, 1)], fill=shaded(skin, 0.68), width=2)
