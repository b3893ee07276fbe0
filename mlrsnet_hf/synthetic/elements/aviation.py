"""Airports, runways and airplanes."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Point, Spot
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.registry import Layer, feature, landmark

_FUSELAGE = ((-1, 0), (-0.92, -0.06), (0.72, -0.085), (0.93, -0.05), (1, 0), (0.93, 0.05), (0.72, 0.085), (-0.92, 0.06))
_WING = ((0.28, 0.05), (0.1, 0.35), (-0.25, 1), (-0.38, 1), (-0.22, 0.35), (-0.16, 0.05))
_TAIL = ((-0.72, 0.03), (-0.92, 0.36), (-1.02, 0.36), (-0.95, 0.03))
_FIN = ((-0.7, 0), (-0.95, -0.025), (-1.06, 0), (-0.95, 0.025))


@feature("runway", Layer.WAY)
def draw_runway(canvas: Canvas) -> None:
    """A strip with threshold bars, touchdown marks and a center line."""
    paint = white(canvas.dice)
    for strip in canvas.strips["runway"]:
        (ax, ay), (bx, by) = strip.points
        length = math.hypot(bx - ax, by - ay)
        spot = Spot((ax + bx) / 2, (ay + by) / 2, length, strip.width, math.atan2(by - ay, bx - ax))
        canvas.fill(spot.inner(0, 0, length + 40, strip.width + 18).box(), shaded(canvas.palette.pale(), 1.05))
        canvas.fill(spot.box(), shaded(canvas.asphalt, 0.7))
        for side in (-1, 1):
            canvas.line(spot.points((-1, side * 0.9), (1, side * 0.9)), paint, 2)
            for i in range(8):
                v = (i - 3.5) / 4.6
                canvas.fill(spot.box(side * 0.96, v - 0.07, side * 0.83, v + 0.07), paint)
            for v in (-0.45, 0.45):
                canvas.fill(spot.box(side * 0.66, v - 0.12, side * 0.57, v + 0.12), paint)
        for i in range(-7, 8):
            u = i * 0.075
            canvas.fill(spot.box(u - 0.022, -0.05, u + 0.022, 0.05), paint)


@landmark("airport", Layer.STRUCTURE, 280, 150)
def draw_airport(canvas: Canvas, spot: Spot) -> None:
    """A terminal with piers, jet bridges and a taxi line."""
    roof = canvas.palette.roof()
    canvas.fill(spot.inner(0, 0.1, spot.width + 50, spot.height + 60).box(), shaded(canvas.palette.pale(), 0.9))
    canvas.line(spot.points((-1.15, 1.2), (1.15, 1.2)), (215, 190, 70), 3)
    hall = spot.inner(0, -0.68, spot.width, spot.height * 0.34)
    piers = [spot.inner(u, 0.1, spot.width * 0.1, spot.height * 1.1) for u in (-0.72, 0, 0.72)]
    for part in (hall, *piers):
        canvas.cast(part.box(), 14)
    for pier in piers:
        for v in (-0.2, 0.25, 0.7):
            for side in (-1, 1):
                bridge = pier.points((0, v), (side * 2.3, v + 0.1))
                canvas.line(bridge, shaded(roof, 0.7), 6)
        head = pier.inner(0, 1, pier.width * 2.4, pier.width * 1.6)
        canvas.fill(head.oval(corners=8), shaded(roof, 0.95))
        canvas.fill(pier.box(), roof)
        canvas.line(pier.points((0, -1), (0, 1)), shaded(roof, 1.3), 4)
    canvas.fill(hall.box(), shaded(roof, 1.08))
    canvas.fill(hall.box(-0.96, -0.3, 0.96, 0.3), shaded(roof, 0.85))
    for i in range(9):
        canvas.fill(hall.box(-0.9 + i * 0.21, -0.2, -0.8 + i * 0.21, 0.2), shaded(roof, 1.25))


@landmark("airplane", Layer.VEHICLE, 118, 112, (3, 5))
def draw_airplane(canvas: Canvas, spot: Spot) -> None:
    """Fuselage, swept wings, tail and engines."""
    dice = canvas.dice
    plane = Spot(
        spot.x, spot.y, spot.width, spot.width * 0.95, spot.angle + dice.pick((0, math.pi)) + dice.between(-0.5, 0.5)
    )
    v = dice.whole(170, 250)
    body = (v, v, v) if dice.chance(0.75) else canvas.palette.paint()
    parts: list[tuple[Point, ...]] = [_FUSELAGE, _WING, _mirrored(_WING), _TAIL, _mirrored(_TAIL)]
    for part in parts:
        canvas.cast_flat(plane.points(*part), 0.09 * plane.width)
    engine = shaded(body, 0.6)
    for v_engine in (-0.36, 0.36):
        canvas.fill(plane.inner(0.16, v_engine, plane.width * 0.15, plane.width * 0.06).oval(corners=8), engine)
    for part in parts[1:]:
        canvas.fill(plane.points(*part), shaded(body, 0.88))
    canvas.fill(plane.points(*_FUSELAGE), body)
    canvas.fill(plane.points(*_FIN), canvas.palette.paint())
    canvas.fill(plane.box(0.84, -0.04, 0.9, 0.04), (40, 45, 55))


def _mirrored(part: tuple[Point, ...]) -> tuple[Point, ...]:
    return tuple((u, -v) for u, v in part)
