"""Ways for cars and walkers."""

import math
from collections.abc import Sequence

from mlrsnet_hf.dataset.synthetic.canvas import Canvas
from mlrsnet_hf.dataset.synthetic.elements.registry import Layer, feature
from mlrsnet_hf.dataset.synthetic.geometry import Points, Spot, Strip, straight
from mlrsnet_hf.dataset.synthetic.palette import shaded, white
from mlrsnet_hf.dataset.synthetic.textures import Colour

_BARRIER = (205, 203, 196)


def _pave(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Lay the carriageways; all kerbs and pavements lie below all asphalt, so that crossings stay open."""
    stone = shaded(canvas.palette.pale(), 0.95)
    if canvas.has("pavement"):
        for strip in strips:
            _lay_slabs(canvas, Strip(strip.points, strip.width + 44), stone)
    for strip in strips:
        canvas.line(strip.points, shaded(stone, 1.1), strip.width + 8)
    for strip in strips:
        canvas.line(strip.points, canvas.asphalt, strip.width)


def _lay_slabs(canvas: Canvas, strip: Strip, stone: Colour) -> None:
    """Lay pavements of slabs beside a carriageway."""
    canvas.line(strip.points, stone, strip.width)
    joint = shaded(stone, 0.75)
    for x, y, angle in strip.walk(20):
        canvas.draw.line(Spot(x, y, 0, strip.width, angle).points((0, -1), (0, 1)), fill=joint, width=2)


def _dash(canvas: Canvas, strip: Strip, offset: float, colour: Colour, dash: float = 16, step: float = 34) -> None:
    """Paint a broken line along a strip."""
    for x, y, angle in strip.walk(step, offset):
        dx, dy = math.cos(angle) * dash, math.sin(angle) * dash
        canvas.draw.line((x, y, x + dx, y + dy), fill=colour, width=3)


def _mark(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Paint a road's lines: a full line in the middle of four lanes, a broken one between two."""
    paint = white(canvas.dice)
    for strip in strips:
        half = strip.width / 2 - 4
        for side in (-half, half):
            canvas.line(strip.beside(side), paint, 2)
        if len(strip.lanes) > 2:
            canvas.line(strip.beside(0), (paint[0], int(paint[1] * 0.85), 90), 4)
            for side in (-half / 2, half / 2):
                _dash(canvas, strip, side, paint)
        else:
            _dash(canvas, strip, 0, paint)


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
    _pave(canvas, strips)
    _mark(canvas, strips)


@feature("intersection", Layer.WAY)
def draw_intersection(canvas: Canvas) -> None:
    """Two roads that cross, with rounded corners, stop lines and turn arrows."""
    strips = canvas.strips["intersection"]
    _pave(canvas, strips)
    if canvas.has("road"):
        _mark(canvas, strips)
    first, second = strips
    angles = [math.atan2(s.points[1][1] - s.points[0][1], s.points[1][0] - s.points[0][0]) for s in strips]
    x = sum(p[0] for p in first.points) / 2
    y = sum(p[1] for p in first.points) / 2
    core = Spot(x, y, second.width + 44, first.width + 44, angles[0])
    canvas.fill(core.lozenge(1) if core.width > core.height else core.oval(1.15), canvas.asphalt)
    paint = white(canvas.dice)
    for strip, angle, other in ((first, angles[0], second), (second, angles[1], first)):
        for way in (0, math.pi):
            distance = other.width / 2 + 26
            arm = Spot(
                x + distance * math.cos(angle + way), y + distance * math.sin(angle + way), 6, strip.width, angle + way
            )
            canvas.fill(arm.box(-1, -0.92, 1, -0.04), paint)
            arrow = arm.inner(10, -0.5, 30, 14)
            canvas.fill(
                arrow.points((-1, 0), (-0.2, -1), (-0.2, -0.25), (1, -0.25), (1, 0.25), (-0.2, 0.25), (-0.2, 1)), paint
            )


@feature("roundabout", Layer.WAY)
def draw_roundabout(canvas: Canvas) -> None:
    """A ring of lanes about an island, with arms."""
    arms, (ring,) = canvas.strips["roundabout"], canvas.spots["roundabout"]
    _pave(canvas, arms)
    if canvas.has("road"):
        _mark(canvas, arms)
    x, y, radius = ring.x, ring.y, ring.width / 2
    canvas.disc(x, y, radius + 5, shaded(canvas.palette.pale(), 0.95))
    canvas.disc(x, y, radius, canvas.asphalt)
    paint = white(canvas.dice)
    for i in range(20):
        a, b = (2 * math.pi * (i + t) / 20 for t in (0, 0.45))
        canvas.line([(x + radius * 0.78 * math.cos(t), y + radius * 0.78 * math.sin(t)) for t in (a, b)], paint, 3)
    inner = radius * canvas.dice.between(0.5, 0.6)
    island = canvas.palette.plain()
    canvas.disc(x, y, inner, _BARRIER)
    canvas.disc(x, y, inner - 5, island)
    canvas.circle(x, y, inner * 0.62, shaded(island, 0.7), 5)
    canvas.disc(x, y, inner * 0.25, shaded(canvas.palette.pale(), 1.1))


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
        canvas.line(strip.points, _BARRIER, 7)
        for way in (-1, 1):
            for offset in (11, half - 6):
                canvas.line(strip.beside(way * offset), paint, 3)
            for offset in (33, 57):
                _dash(canvas, strip, way * offset, paint, 18, 44)


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
            _dash(canvas, strip, side * 50, paint)
        canvas.line(strip.points, _BARRIER, 50)
        canvas.line(strip.points, bed, 42)
        for i, (x, y, angle) in enumerate(strip.walk(30)):
            plant = Spot(x, y, 17, 22, angle)
            canvas.fill(
                plant.oval(corners=8) if i % 2 else plant.points((-1, 0), (0, -1), (1, 0), (0, 1)),
                shaded(hedge, 0.7 + 0.5 * (i % 2)),
            )


@feature("overpass", Layer.DECK)
def draw_overpass(canvas: Canvas) -> None:
    """A deck across another road, with its shadow, parapets and a looping ramp."""
    below = canvas.strips.get("underpass", [])
    _pave(canvas, below)
    if canvas.has("road"):
        _mark(canvas, below)
    (deck,) = canvas.strips["overpass"]
    (ax, ay), (bx, by) = deck.points
    x, y, angle = (ax + bx) / 2, (ay + by) / 2, math.atan2(by - ay, bx - ax)
    crossing = Spot(x, y, 240, 240, angle)
    kerb = shaded(canvas.palette.pale(), 0.95)
    for corner in canvas.dice.shuffled(crossing.box())[: canvas.dice.whole(1, 4)]:
        canvas.circle(*corner, 88, kerb, 40)
        canvas.circle(*corner, 84, canvas.asphalt, 32)
    canvas.line(straight(x, y, angle, 320), shaded(canvas.asphalt, 0.45), deck.width + 34)
    _draw_deck(canvas, deck, 24)


@feature("bridge", Layer.DECK)
def draw_bridge(canvas: Canvas) -> None:
    """A deck on piers across the water, or across whatever there is."""
    (deck,) = canvas.strips["bridge"]
    across = canvas.strips.get("channel")
    if canvas.has("road"):
        _pave(canvas, [deck])
        _mark(canvas, [deck])
    middle = deck.points[len(deck.points) // 2]
    angle = math.atan2(deck.points[-1][1] - deck.points[0][1], deck.points[-1][0] - deck.points[0][0])
    length = across[0].width + 70 if across else 330
    span = Strip(straight(*middle, angle, length), deck.width, deck.lanes)
    pier = shaded(canvas.palette.pale(), 0.8)
    for x, y, _ in span.walk(length / 4.2, start=length / 8):
        canvas.fill(Spot(x, y, 14, deck.width + 34, angle).oval(corners=10), pier)
    _draw_deck(canvas, span, 22)


def _draw_deck(canvas: Canvas, deck: Strip, height: float) -> None:
    """Draw a raised carriageway between parapets, with seams across it."""
    wide = Strip(deck.points, deck.width + 14)
    canvas.cast_flat(wide.outline(), height)
    canvas.fill(wide.outline(), shaded(canvas.palette.pale(), 1.15))
    canvas.line(deck.points, shaded(canvas.asphalt, 1.15), deck.width)
    half = deck.width / 2
    for side in (-half, half):
        canvas.line(deck.beside(side), shaded(canvas.asphalt, 0.5), 3)
    for x, y, angle in deck.walk(46):
        canvas.line(Spot(x, y, 2, deck.width, angle).points((0, -1), (0, 1)), shaded(canvas.asphalt, 0.7), 2)
    if canvas.has("road"):
        _mark(canvas, [deck])


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
