"""Natural waters: pond, sea, lake, river, island and beach."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import MIDDLE, SIDE, Points, Spot, Strip, blob, straight
from mlrsnet_hf.synthetic.palette import mixed, shaded
from mlrsnet_hf.synthetic.registry import Layer, feature
from mlrsnet_hf.synthetic.site import WATER

_FOAM = (240, 243, 240)


def _scaled(outline: Points, factor: float) -> Points:
    x = sum(p[0] for p in outline) / len(outline)
    y = sum(p[1] for p in outline) / len(outline)
    return [(x + (px - x) * factor, y + (py - y) * factor) for px, py in outline]


@feature("water", Layer.SHORE)
def draw_water(canvas: Canvas) -> None:
    """Edge the ponds with a bank and scatter glints; the ripples themselves are part of the ground."""
    dice = canvas.dice
    light = mixed(canvas.water, _FOAM, dice.between(0.35, 0.6))
    for outline in canvas.waters:
        if len(outline) > 4:
            canvas.ring(outline, mixed(canvas.water, (200, 190, 170), 0.5), 5)
    for _ in range(45):
        x, y = dice.between(0, SIDE), dice.between(0, SIDE)
        if canvas.zone(x, y) == WATER:
            length = dice.between(10, 26)
            canvas.line([(x, y), (x + length * 0.5, y - 2), (x + length, y)], light, 2)


@feature("sea", Layer.SHORE)
def draw_sea(canvas: Canvas) -> None:
    """Run crests of waves in towards the shore, the nearest breaking in foam."""
    dice = canvas.dice
    if canvas.land:
        rings = [_scaled(canvas.land, f) for f in (1.12, 1.3, 1.52, 1.8, 2.15)]
        crests = [[*ring, ring[0]] for ring in rings]
    elif canvas.coast:
        offsets = (16, 44, 84, 130, 180, 236, 300)
        crests = [canvas.coast.beside(o + dice.between(-6, 6)) for o in offsets]
    else:
        return
    for i, crest in enumerate(crests):
        _draw_crest(canvas, crest, strength=max(0.25, 0.95 - 0.17 * i))


def _draw_crest(canvas: Canvas, crest: Points, strength: float) -> None:
    """Draw a broken crest."""
    dice = canvas.dice
    color = mixed(shaded(canvas.water, 1.25), _FOAM, strength)
    i = 0
    while i < len(crest) - 1:
        run = dice.whole(1, 4)
        if dice.chance(0.72):
            canvas.line(crest[i : i + run + 1], color, dice.between(3, 4 + 5 * strength))
        i += run


@feature("lake", Layer.SHORE)
def draw_lake(canvas: Canvas) -> None:
    """Ring the lake: a dry shore, a bright edge and shallows that deepen inwards."""
    outline = canvas.waters[-1] if canvas.waters else blob(canvas.dice, MIDDLE, MIDDLE, 160)
    shore = canvas.palette.earth()
    canvas.ring(_scaled(outline, 1.05), shaded(shore, 1.1), 22)
    for factor, lightness, width in ((0.97, 1.5, 12), (0.89, 1.3, 14), (0.8, 1.15, 16)):
        canvas.ring(_scaled(outline, factor), mixed(shaded(canvas.water, lightness), shore, 0.25), width)


@feature("river", Layer.SHORE)
def draw_river(canvas: Canvas) -> None:
    """Give the river banks, bars and lines of flow."""
    dice = canvas.dice
    for strip in canvas.strips.get("channel", ()):
        half = strip.width / 2
        bank = canvas.palette.earth()
        for side in (-1, 1):
            canvas.line(strip.beside(side * half), shaded(bank, 1.15), 13)
            canvas.line(strip.beside(side * (half + 7)), shaded(bank, 0.6), 4)
        for _ in range(7):
            line = strip.beside(dice.between(-0.8, 0.8) * half)
            first = dice.whole(0, len(line) - 6)
            canvas.line(line[first : first + dice.whole(3, 6)], shaded(canvas.water, dice.pick((0.7, 1.4))), 3)


@feature("island", Layer.SHORE)
def draw_island(canvas: Canvas) -> None:
    """Ring the island with a shelf, a reef line and a rocky shore."""
    if not canvas.land:
        return
    shelf = mixed(shaded(canvas.water, 1.4), canvas.palette.sand(), 0.3)
    canvas.ring(_scaled(canvas.land, 1.06), shelf, 20)
    canvas.ring(canvas.land, shaded(canvas.palette.sand(), 1.1), 9)
    for x, y in _scaled(canvas.land, 1.07)[:: canvas.dice.whole(2, 3)]:
        canvas.disc(x, y, canvas.dice.between(3, 9), shaded(canvas.palette.earth(), 0.6))


@feature("beach", Layer.SHORE)
def draw_beach(canvas: Canvas) -> None:
    """Lay a strand along the shore: dry and wet bands, a line of wrack, and rows of parasols."""
    dice = canvas.dice
    shore = canvas.coast or Strip(straight(MIDDLE, MIDDLE, canvas.angle), 0)
    if canvas.land:
        shore = Strip(canvas.land, 0)
    sand = canvas.palette.sand()
    width = dice.between(60, 90)
    canvas.line(shore.beside(-width / 2), shaded(sand, 1.12), width)
    canvas.line(shore.beside(-8), shaded(sand, 0.8), 18)
    canvas.line(shore.beside(2), _FOAM, 8)
    canvas.line(shore.beside(-width * 0.45), shaded(sand, 0.7), 3)
    rows = dice.whole(1, 2)
    for row in range(rows):
        offset = -width * (0.62 + 0.27 * row)
        for x, y, _ in shore.walk(dice.between(26, 40), offset, dice.between(0, 20)):
            if dice.chance(0.75):
                _draw_parasol(canvas, x, y)


def _draw_parasol(canvas: Canvas, x: float, y: float) -> None:
    color = canvas.palette.paint()
    canvas.cast_disc(x, y, 7, 8)
    canvas.disc(x, y, 8, color)
    wedge = Spot(x, y, 16, 16, canvas.dice.between(0, math.pi))
    canvas.fill(wedge.points((0, 0), (1, -0.4), (1, 0.4)), _FOAM)
    canvas.fill(wedge.points((0, 0), (-1, -0.4), (-1, 0.4)), _FOAM)
