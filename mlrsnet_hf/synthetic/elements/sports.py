"""Courts, fields, tracks and stadiums."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.registry import Layer, landmark


@landmark("stadium", Layer.STRUCTURE, 370, 300)
def draw_stadium(canvas: Canvas, spot: Spot) -> None:
    """Oval stands in tiers about a pitch."""
    roof, seats = canvas.palette.roof(), canvas.palette.paint()
    outline = spot.oval(1, corners=36)
    canvas.cast(outline, 26)
    canvas.fill(outline, shaded(roof, 1.15))
    for i in range(36):
        t = 2 * math.pi * i / 36
        canvas.line(
            spot.points((0.8 * math.cos(t), 0.8 * math.sin(t)), (math.cos(t), math.sin(t))), shaded(roof, 0.75), 2
        )
    for part, light in ((0.85, 0.9), (0.8, 1.1), (0.75, 0.8), (0.7, 1.0)):
        canvas.fill(spot.oval(part, corners=36), shaded(seats, light))
    for i in range(20):
        t = 2 * math.pi * (i + 0.5) / 20
        canvas.line(
            spot.points((0.62 * math.cos(t), 0.62 * math.sin(t)), (0.84 * math.cos(t), 0.84 * math.sin(t))),
            shaded(seats, 1.5),
            3,
        )
    pitch = canvas.palette.plain()
    canvas.fill(spot.oval(0.64, corners=36), shaded(pitch, 0.7))
    canvas.fill(spot.oval(0.61, corners=36), pitch)


@landmark("track", Layer.PITCH, 350, 200)
def draw_track(canvas: Canvas, spot: Spot) -> None:
    """A running track: lanes about an infield."""
    lanes = canvas.palette.court()
    paint = white(canvas.dice)
    canvas.fill(spot.lozenge(1), lanes)
    for part in (0.95, 0.88, 0.81, 0.74):
        canvas.ring(spot.lozenge(part), paint, 2)
    infield = canvas.palette.plain()
    canvas.fill(spot.lozenge(0.68), paint)
    canvas.fill(spot.lozenge(0.65), infield)


@landmark("football field", Layer.PITCH, 230, 140)
def draw_football_field(canvas: Canvas, spot: Spot) -> None:
    """A mown pitch with its lines: halfway, center circle and penalty areas."""
    turf = canvas.palette.grass() if canvas.has("grass") else canvas.palette.court()
    paint = white(canvas.dice)
    for i in range(10):
        canvas.fill(spot.box(i / 5 - 1, -1, i / 5 - 0.8, 1), shaded(turf, 1.12 if i % 2 else 0.9))
    field = spot.inner(0, 0, spot.width * 0.93, spot.height * 0.9)
    canvas.ring(field.box(), paint, 4)
    canvas.line(field.points((0, -1), (0, 1)), paint, 4)
    canvas.circle(field.x, field.y, spot.height * 0.14, paint, 4)
    for side in (-1, 1):
        for deep, high in ((0.3, 0.6), (0.12, 0.3)):
            canvas.line(
                field.points((side, -high), (side * (1 - deep), -high), (side * (1 - deep), high), (side, high)),
                paint,
                3,
            )


@landmark("baseball diamond", Layer.SURFACE, 270, 270)
def draw_baseball_diamond(canvas: Canvas, spot: Spot) -> None:
    """A fan with a clay infield, a turf diamond, bases and foul lines."""
    clay, turf, paint = canvas.palette.court(), canvas.palette.plain(), white(canvas.dice)
    home = (-0.8, -0.8)
    canvas.fill(_fan(spot, home, 1.8), shaded(clay, 0.85))
    canvas.fill(_fan(spot, home, 1.68), turf)
    canvas.fill(_fan(spot, home, 0.98), clay)
    d = 0.62
    inner = [(home[0] + a * d + 0.09, home[1] + b * d + 0.09) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
    canvas.fill(spot.points(*inner), shaded(turf, 1.08))
    canvas.disc(*spot.at(home[0] + d / 2 + 0.08, home[1] + d / 2 + 0.08), spot.width * 0.035, clay)
    canvas.disc(*spot.at(*home), spot.width * 0.075, clay)
    for end in ((1.0, home[1]), (home[0], 1.0)):
        canvas.line(spot.points(home, end), paint, 4)
    for a, b in ((0, 0), (1, 0), (1, 1), (0, 1)):
        base = spot.inner(home[0] + a * d + 0.03, home[1] + b * d + 0.03, 10, 10)
        canvas.fill(base.box(), (245, 245, 240))


def _fan(spot: Spot, home: tuple[float, float], reach: float) -> list[tuple[float, float]]:
    """Return a quarter of a circle about the home plate."""
    turns = [math.pi / 2 * i / 10 for i in range(11)]
    arc = [(home[0] + reach * math.cos(t), home[1] + reach * math.sin(t)) for t in turns]
    return spot.points((home[0] - 0.06, home[1] - 0.06), *arc)


@landmark("basketball court", Layer.SURFACE, 168, 98, (1, 2))
def draw_basketball_court(canvas: Canvas, spot: Spot) -> None:
    """A court with keys, arcs and a center circle."""
    floor, paint = canvas.palette.court(), white(canvas.dice)
    key = canvas.palette.court()
    canvas.fill(spot.box(-1.12, -1.15, 1.12, 1.15), shaded(floor, 0.75))
    canvas.fill(spot.box(), floor)
    canvas.ring(spot.box(), paint, 4)
    canvas.line(spot.points((0, -1), (0, 1)), paint, 4)
    canvas.circle(spot.x, spot.y, spot.height * 0.16, paint, 4)
    for side in (-1, 1):
        lane = spot.box(side, -0.26, side * 0.62, 0.26)
        canvas.fill(lane, key)
        canvas.ring(lane, paint, 4)
        turns = [math.pi * (i / 10 - 0.5) for i in range(11)]
        canvas.line(spot.points(*((side * (0.92 - 0.5 * math.cos(t)), 0.85 * math.sin(t)) for t in turns)), paint, 4)
        canvas.disc(*spot.at(side * 0.9, 0), 4, (235, 120, 50))


@landmark("tennis court", Layer.SURFACE, 270, 190)
def draw_tennis_courts(canvas: Canvas, spot: Spot) -> None:
    """A row of courts, each with side lines, service boxes and a net."""
    dice = canvas.dice
    floor, surround, paint = canvas.palette.court(), canvas.palette.court(), white(dice)
    canvas.fill(spot.box(), surround)
    canvas.ring(spot.box(), shaded(surround, 0.55), 3)
    rows = dice.whole(1, 2)
    for cell in spot.grid(dice.whole(2, 3), rows, fill=1):
        turn = 0.0 if cell.width > cell.height else math.pi / 2
        long, short = max(cell.width, cell.height) * 0.76, min(cell.width, cell.height) * 0.72
        court = cell.inner(0, 0, min(long, short * 2.1), min(short, long / 1.7), turn)
        canvas.fill(court.box(), floor)
        canvas.ring(court.box(), paint, 4)
        for side in (-0.75, 0.75):
            canvas.line(court.points((-1, side), (1, side)), paint, 4)
            canvas.line(court.points((side * 0.72, -0.75), (side * 0.72, 0.75)), paint, 4)
        canvas.line(court.points((-0.54, 0), (0.54, 0)), paint, 4)
        net = court.points((0, -1.1), (0, 1.1))
        canvas.cast_line(net, 4, 4)
        canvas.line(net, (225, 225, 225), 3)
