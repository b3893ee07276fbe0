"""Ways for cars and walkers."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.elements.carriageway import BARRIER, dash, mark, pave
from mlrsnet_hf.synthetic.geometry import Points, Spot, Strip
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.registry import Layer, feature


@feature("trail", Layer.WAY)
def draw_trail(canvas: Canvas) -> None:
    """A worn path with two ruts."""
    for strip in canvas.strips.get("trail", ()):
        earth = canvas.palette.earth()
        canvas.line(strip.points, shaded(earth, 1.3), strip.width)
        for side in (-0.22, 0.22):
            canvas.line(strip.beside(side * strip.width), shaded(earth, 0.75), 2)


@feature("road", Layer.WAY)
def draw_road(canvas: Canvas) -> None:
    """Two or four lanes with lines."""
    strips = canvas.strips.get("road", ())
    pave(canvas, strips)
    mark(canvas, strips)


@feature("freeway", Layer.WAY)
def draw_freeway(canvas: Canvas) -> None:
    """Two carriageways of three lanes with shoulders, a barrier between them and a slip road."""
    paint = white(canvas.dice)
    for strip in canvas.strips["freeway"]:
        half = strip.width / 2
        side = canvas.dice.sign()
        edge = len(strip.points) // 3
        ramp = [
            strip.beside(side * (half - 20 + 14 * max(i - edge, 0) ** 1.5))[i]
            for i in range(edge - 2, len(strip.points))
        ]
        canvas.line(ramp, shaded(canvas.palette.pale(), 0.9), 44)
        canvas.line(ramp, canvas.asphalt, 36)
        canvas.line(strip.points, shaded(canvas.asphalt, 0.75), strip.width + 10)
        canvas.line(strip.points, canvas.asphalt, strip.width)
        canvas.line(strip.points, shaded(canvas.asphalt, 0.6), 18)
        canvas.line(strip.points, BARRIER, 7)
        for way in (-1, 1):
            for offset in (11, half - 6):
                canvas.line(strip.beside(way * offset), paint, 3)
            for offset in (33, 57):
                dash(canvas, strip, way * offset, paint, 18, 44)


@feature("parkway", Layer.WAY)
def draw_parkway(canvas: Canvas) -> None:
    """Two carriageways with a planted strip between and hedged walks beside them."""
    dice = canvas.dice
    bed, hedge = canvas.palette.plain(), canvas.palette.leaf()
    paint = white(dice)
    for strip in canvas.strips["parkway"]:
        half = strip.width / 2
        canvas.line(strip.points, canvas.palette.pale(), strip.width + 44)
        for side in (-1, 1):
            canvas.line(strip.beside(side * (half + 14)), hedge, 7)
        canvas.line(strip.points, canvas.asphalt, strip.width)
        for side in (-1, 1):
            dash(canvas, strip, side * 50, paint)
        canvas.line(strip.points, BARRIER, 50)
        canvas.line(strip.points, bed, 42)
        for i, (x, y, angle) in enumerate(strip.walk(30)):
            plant = Spot(x, y, 17, 22, angle)
            canvas.fill(
                plant.oval(corners=8) if i % 2 else plant.points((-1, 0), (0, -1), (1, 0), (0, 1)),
                shaded(hedge, 0.7 + 0.5 * (i % 2)),
            )


@feature("crosswalk", Layer.SURFACE)
def draw_crosswalk(canvas: Canvas) -> None:
    """Zebra crossings over the arms of a junction, over a road, or over a piece of asphalt."""
    dice = canvas.dice
    for spot in _crossings(canvas):
        count = max(int(spot.height / 15), 3)
        canvas.fill(spot.box(-1.15, -1.02, 1.15, 1.02), canvas.asphalt)
        paint = white(dice)
        for i in range(count):
            v = 2 * (i + 0.2) / count - 1
            canvas.fill(spot.box(-1, v, 1, v + 1.2 / count), paint)


def _crossings(canvas: Canvas) -> list[Spot]:
    """Return where to cross: each spot is as long as the zebra is deep and as high as the road is wide."""
    dice = canvas.dice
    if canvas.has("intersection"):
        first, second = canvas.strips["intersection"]
        return [
            spot
            for strip, other in ((first, second), (second, first))
            for spot in _on_arms(strip, other.width / 2 + 50)
        ]
    if canvas.has("roundabout"):
        arms = canvas.strips["roundabout"]
        return [Spot(*_ahead(arm.points, 34), 34, arm.width, _direction(arm.points)) for arm in arms]
    roads = [s for name in ("road", "parkway", "underpass") for s in canvas.strips.get(name, ())]
    if roads:
        road = dice.pick(roads)
        steps = [p for p in road.walk(24) if 90 < p[0] < 420 and 90 < p[1] < 420] or list(road.walk(24))
        x, y, angle = dice.pick(steps)
        return [Spot(x, y, 36, road.width, angle)]
    return [canvas.search(44, 110, canvas.angle)]


def _on_arms(strip: Strip, distance: float) -> list[Spot]:
    (ax, ay), (bx, by) = strip.points
    x, y, angle = (ax + bx) / 2, (ay + by) / 2, _direction(strip.points)
    dx, dy = math.cos(angle) * distance, math.sin(angle) * distance
    return [Spot(x + s * dx, y + s * dy, 32, strip.width, angle) for s in (-1, 1)]


def _direction(points: Points) -> float:
    (ax, ay), (bx, by) = points[:2]
    return math.atan2(by - ay, bx - ax)


def _ahead(points: Points, distance: float) -> tuple[float, float]:
    angle = _direction(points)
    return points[0][0] + distance * math.cos(angle), points[0][1] + distance * math.sin(angle)
