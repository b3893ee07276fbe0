"""Cars, and the lots they stand in."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import SIDE, Spot, Strip
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.registry import Layer, feature, landmark
from mlrsnet_hf.synthetic.site import BUILT, WAY

_LENGTH, _WIDTH = 28.0, 14.0
_DECKS = ("overpass", "bridge")
_GLASS = (38, 44, 54)


@landmark("parking lot", Layer.SURFACE, 260, 215)
def draw_parking_lot(canvas: Canvas, spot: Spot) -> None:
    """Asphalt with rows of painted bays, two and two, about aisles."""
    paint = white(canvas.dice)
    canvas.fill(spot.inner(0, 0, spot.width + 10, spot.height + 10).box(), shaded(canvas.palette.pale(), 0.95))
    canvas.fill(spot.box(), canvas.asphalt)
    modules = max(int(spot.height / 100), 1)
    count = int(spot.width / 21)
    for module in range(modules):
        middle = (2 * module + 1) / modules - 1
        deep = 33 / spot.height * 2
        canvas.line(spot.points((-0.97, middle), (0.97, middle)), paint, 3)
        for i in range(count + 1):
            u = (2 * i / count - 1) * 0.97
            canvas.draw.line([*spot.at(u, middle - deep), *spot.at(u, middle + deep)], fill=paint, width=2)
            if i < count:
                for side in (-1, 1):
                    bay = spot.inner(
                        u + 0.97 / count, middle + side * deep * 0.52, _LENGTH, _WIDTH, turn=side * math.pi / 2
                    )
                    canvas.bays.append(bay)


@feature("cars", Layer.VEHICLE)
def draw_cars(canvas: Canvas) -> None:
    """Cars in bays and in lanes; without either, wherever there is room."""
    dice = canvas.dice
    filled = dice.between(0.45, 0.9)
    for bay in canvas.bays[:130]:
        if dice.chance(filled):
            _draw_car(canvas, bay)
    driving = _in_lanes(canvas)
    for spot in driving:
        _draw_car(canvas, spot)
    if len(driving) + len(canvas.bays) < 6:
        for spot in _standing_about(canvas):
            _draw_car(canvas, spot)


def _standing_about(canvas: Canvas) -> list[Spot]:
    """Return cars on open ground, or wherever, if there is none."""
    dice = canvas.dice
    cars = []
    for _ in range(dice.whole(7, 11)):
        turn = canvas.angle + dice.pick((0, math.pi / 2)) + dice.between(-0.2, 0.2)
        cars.append(canvas.search(_LENGTH, _WIDTH, turn, tries=5, reach=1))
    return [car for car in cars if canvas.zone(car.x, car.y) != BUILT] or cars


def _in_lanes(canvas: Canvas) -> list[Spot]:
    """Return cars in traffic, none of them below a deck or a building."""
    dice = canvas.dice
    gap = dice.between(60, 150)
    decks = [strip for name in _DECKS for strip in canvas.strips.get(name, ())]
    cars = []
    for strips in canvas.strips.values():
        for strip in strips:
            over = [deck for deck in decks if deck is not strip]
            for lane in strip.lanes:
                for x, y, angle in strip.walk(gap, lane, dice.between(0, gap)):
                    jitter = dice.between(-0.3, 0.3) * gap
                    x, y = x + jitter * math.cos(angle), y + jitter * math.sin(angle)
                    if _is_open(canvas, x, y) and not any(_near(x, y, deck) for deck in over):
                        cars.append(Spot(x, y, _LENGTH, _WIDTH, angle + (math.pi if lane < 0 else 0)))
    return cars[:60]


def _is_open(canvas: Canvas, x: float, y: float) -> bool:
    """Return whether a place is in the image and on a way that nothing covers."""
    return 0 <= x < SIDE and 0 <= y < SIDE and canvas.zone(x, y) == WAY


def _near(x: float, y: float, deck: Strip) -> bool:
    """Return whether a place lies on or just beside a deck."""
    (ax, ay), (bx, by) = deck.points[0], deck.points[-1]
    across = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return abs(across) / math.hypot(bx - ax, by - ay) < deck.width / 2 + 20


def _draw_car(canvas: Canvas, spot: Spot) -> None:
    """Draw a car: body, windscreens, roof and shadow."""
    color = canvas.palette.paint()
    fill = canvas.draw.polygon
    canvas.cast_flat(spot.box(), 5)
    fill(spot.box(-1, -0.9, 1, 0.9), fill=color)
    fill(spot.box(-0.72, -0.75, 0.45, 0.75), fill=_GLASS)
    fill(spot.box(-0.5, -0.72, 0.15, 0.72), fill=shaded(color, 1.12))
