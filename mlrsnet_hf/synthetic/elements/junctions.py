"""Where roads meet or cross: intersections, roundabouts, overpasses, bridges."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.elements.carriageway import BARRIER, mark, pave
from mlrsnet_hf.synthetic.geometry import Spot, Strip, straight
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.registry import Layer, feature


@feature("intersection", Layer.WAY)
def draw_intersection(canvas: Canvas) -> None:
    """Two roads that cross, with rounded corners, stop lines and turn arrows."""
    strips = canvas.strips["intersection"]
    pave(canvas, strips)
    if canvas.has("road"):
        mark(canvas, strips)
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
    pave(canvas, arms)
    if canvas.has("road"):
        mark(canvas, arms)
    x, y, radius = ring.x, ring.y, ring.width / 2
    canvas.disc(x, y, radius + 5, shaded(canvas.palette.pale(), 0.95))
    canvas.disc(x, y, radius, canvas.asphalt)
    paint = white(canvas.dice)
    for i in range(20):
        a, b = (2 * math.pi * (i + t) / 20 for t in (0, 0.45))
        canvas.line([(x + radius * 0.78 * math.cos(t), y + radius * 0.78 * math.sin(t)) for t in (a, b)], paint, 3)
    inner = radius * canvas.dice.between(0.5, 0.6)
    island = canvas.palette.plain()
    canvas.disc(x, y, inner, BARRIER)
    canvas.disc(x, y, inner - 5, island)
    canvas.circle(x, y, inner * 0.62, shaded(island, 0.7), 5)
    canvas.disc(x, y, inner * 0.25, shaded(canvas.palette.pale(), 1.1))


@feature("overpass", Layer.DECK)
def draw_overpass(canvas: Canvas) -> None:
    """A deck across another road, with its shadow, parapets and looping ramps."""
    below = canvas.strips.get("underpass", [])
    pave(canvas, below)
    if canvas.has("road"):
        mark(canvas, below)
    (deck,) = canvas.strips["overpass"]
    (ax, ay), (bx, by) = deck.points
    x, y, angle = (ax + bx) / 2, (ay + by) / 2, math.atan2(by - ay, bx - ax)
    kerb = shaded(canvas.palette.pale(), 1.1)
    for loop in canvas.spots["loops"]:
        canvas.circle(loop.x, loop.y, loop.width / 2, kerb, 40)
        canvas.circle(loop.x, loop.y, loop.width / 2 - 4, canvas.asphalt, 32)
    canvas.line(straight(x, y, angle, 340), shaded(canvas.asphalt, 0.3), deck.width + 40)
    _draw_deck(canvas, deck, 24)


@feature("bridge", Layer.DECK)
def draw_bridge(canvas: Canvas) -> None:
    """A deck on piers across the water, or across whatever there is."""
    (deck,) = canvas.strips["bridge"]
    across = canvas.strips.get("channel")
    if canvas.has("road"):
        pave(canvas, [deck])
        mark(canvas, [deck])
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
    wide = Strip(deck.points, deck.width + 20)
    canvas.cast_flat(wide.outline(), height)
    canvas.fill(wide.outline(), shaded(canvas.palette.pale(), 1.25))
    canvas.line(deck.points, shaded(canvas.asphalt, 1.15), deck.width)
    half = deck.width / 2
    for side in (-half, half):
        canvas.line(deck.beside(side), shaded(canvas.asphalt, 0.5), 3)
    for x, y, angle in deck.walk(46):
        canvas.line(Spot(x, y, 2, deck.width, angle).points((0, -1), (0, 1)), shaded(canvas.asphalt, 0.7), 2)
    if canvas.has("road"):
        mark(canvas, [deck])
