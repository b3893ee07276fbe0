"""Harbors, docks and ships."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, feature
from mlrsnet_hf.synthetic.site import WATER

_BOAT = ((-1, -0.75), (0.35, -1), (0.75, -0.6), (1, 0), (0.75, 0.6), (0.35, 1), (-1, 0.75))


def _shore(canvas: Canvas) -> Spot | None:
    """Return the middle of the shore: u runs along it and v, in half pixels, out on the water."""
    if not canvas.coast:
        return None
    line = canvas.coast.points
    (ax, ay), (bx, by) = line[0], line[-1]
    x, y = (ax + bx) / 2, (ay + by) / 2
    return Spot(x, y, 2, 2, math.atan2(by - ay, bx - ax))


@feature("harbor", Layer.WAY)
def draw_harbor(canvas: Canvas) -> None:
    """A quay along the shore and two moles that reach round the basin to a narrow mouth with lights."""
    dice = canvas.dice
    shore = _shore(canvas)
    if shore is None:
        return
    stone = canvas.palette.pale()
    canvas.line(shore.points((-600, -8), (600, -8)), stone, 26)
    canvas.line(shore.points((-600, 4), (600, 4)), shaded(stone, 0.55), 5)
    reach, half, mouth = dice.between(180, 220), dice.between(190, 235), dice.between(28, 45)
    for side in (-1, 1):
        mole = [(side * half, 0), (side * half, reach * 0.7), (side * (half - 45), reach), (side * mouth, reach + 15)]
        line = shore.points(*mole)
        canvas.cast_line(line, 7, 22)
        canvas.line(line, shaded(stone, 0.7), 24)
        canvas.line(line, stone, 15)
        canvas.occupy_line(line, 24, 0)
        canvas.disc(*line[-1], 14, stone)
        canvas.disc(*line[-1], 7, canvas.palette.paint())


@feature("dock", Layer.DECK)
def draw_dock(canvas: Canvas) -> None:
    """Piers out from the shore, each with fingers between which boats lie."""
    dice = canvas.dice
    shore = _shore(canvas)
    if shore is None:
        spot = canvas.search(10, 10, canvas.angle)
        shore = Spot(spot.x, spot.y, 2, 2, canvas.angle)
    planks = shaded(canvas.palette.pale(), 1.05)
    for pier in (-110, 0, 110)[: dice.whole(2, 3)]:
        u = pier + dice.between(-15, 15)
        length = dice.between(120, 165)
        fingers = [shore.points((u - 40, v), (u + 40, v)) for v in range(40, int(length), 34)]
        for line in (shore.points((u, 0), (u, length)), *fingers):
            canvas.cast_line(line, 4, 8)
            canvas.line(line, planks, 9)
        for v in range(57, int(length), 34):
            for side in (-1, 1):
                berth = shore.inner(u + side * 26, v, 36, 13, turn=0 if side > 0 else math.pi)
                canvas.spots.setdefault("berths", []).append(berth)


@feature("ships", Layer.VEHICLE)
def draw_ships(canvas: Canvas) -> None:
    """Boats at their berths, and bigger ships under way with a wake."""
    dice = canvas.dice
    for berth in canvas.spots.get("berths", ()):
        if dice.chance(0.75):
            _draw_ship(canvas, berth)
    for _ in range(dice.whole(2, 3)):
        length = dice.between(60, 105)
        angle = canvas.angle + dice.between(-0.6, 0.6) + dice.pick((0, math.pi))
        ship = canvas.search(length, length * 0.3, angle, zone=WATER)
        if canvas.zone(ship.x, ship.y) == WATER:
            _draw_wake(canvas, ship)
        _draw_ship(canvas, ship)


def _draw_wake(canvas: Canvas, ship: Spot) -> None:
    foam = shaded(canvas.water, 1.6)
    for side in (-1, 1):
        canvas.glaze(ship.points((0.6, side * 0.9), (-2.4, side * 2.6), (-2.2, side * 1.9)), foam, 150)
    canvas.glaze(ship.points((-0.9, -0.5), (-2.3, -0.25), (-2.3, 0.25), (-0.9, 0.5)), foam, 170)


def _draw_ship(canvas: Canvas, spot: Spot) -> None:
    """Draw a hull with a deck, a cabin and hatches."""
    hull, deck = canvas.palette.paint(), shaded(canvas.palette.pale(), 1.15)
    outline = spot.points(*_BOAT)
    canvas.cast_flat(outline, 5)
    canvas.fill(outline, hull)
    canvas.fill(spot.points(*((u * 0.86, v * 0.66) for u, v in _BOAT)), deck)
    canvas.fill(spot.box(-0.75, -0.5, -0.35, 0.5), shaded(hull, 1.3))
    if spot.width > 50:
        for u in (-0.2, 0.08, 0.36):
            canvas.fill(spot.box(u, -0.4, u + 0.18, 0.4), shaded(hull, 0.8))
