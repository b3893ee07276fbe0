"""Where water goes."""

import math

from mlrsnet_hf.dataset.synthetic.canvas import FREE, WATER, Canvas
from mlrsnet_hf.dataset.synthetic.geometry import (
    MIDDLE,
    SIDE,
    Points,
    Strip,
    bent,
    beside_middle,
    blob,
    straight,
    winding,
)

_CORNERS: Points = [(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)]


def lay_water(canvas: Canvas) -> None:
    """Choose the form of the water from the labels that need it."""
    if canvas.has("island"):
        _lay_island(canvas)
    elif canvas.has("sea", "harbor", "beach") or (canvas.has("water") and canvas.has("dock")):
        _lay_coast(canvas)
    if canvas.has("river"):
        _lay_channel(canvas, winding(canvas.dice, canvas.angle, canvas.dice.between(-40, 40), 70, 1.3), (70, 120))
    elif canvas.has("bridge") and canvas.has("water") and not canvas.waters:
        _lay_channel(canvas, bent(canvas.dice, canvas.angle, canvas.dice.between(-40, 40), 40), (150, 230))
    if canvas.has("lake"):
        x, y = (MIDDLE + canvas.dice.between(-50, 50) for _ in range(2))
        _add_water(canvas, blob(canvas.dice, x, y, canvas.dice.between(130, 190), 0.22))
    if canvas.has("water") and not canvas.waters:
        _lay_ponds(canvas)


def _add_water(canvas: Canvas, outline: Points) -> None:
    canvas.waters.append(outline)
    canvas.occupy(outline, WATER)


def _lay_island(canvas: Canvas) -> None:
    dice = canvas.dice
    x, y = MIDDLE + dice.between(-35, 35), MIDDLE + dice.between(-35, 35)
    canvas.land = blob(dice, x, y, dice.between(125, 170), 0.22)
    _add_water(canvas, _CORNERS)
    canvas.occupy(canvas.land, FREE)


def _lay_coast(canvas: Canvas) -> None:
    """Put water on one side of a shore: winding by the sea, straight in a harbor."""
    dice = canvas.dice
    basin = canvas.has("harbor", "dock")
    angle = canvas.angle + (math.pi if dice.chance(0.5) else 0)
    offset = dice.between(-45, 5) if basin else dice.between(-50, 60)
    line = straight(*beside_middle(angle, offset), angle) if basin else winding(dice, angle, offset, 28, 1.6)
    canvas.coast = Strip(line, 0)
    canvas.inland = -1 if angle == canvas.angle else 1
    if canvas.has("water", "sea"):
        _add_water(canvas, line + Strip(line, 0).beside(SIDE * 1.6)[::-1])


def _lay_channel(canvas: Canvas, line: Points, widths: tuple[int, int]) -> None:
    strip = Strip(line, canvas.dice.between(*widths))
    canvas.strips["channel"] = [strip]
    _add_water(canvas, strip.outline())


def _lay_ponds(canvas: Canvas) -> None:
    """Water without a form of its own: ponds, or none where it fills the pools."""
    dice = canvas.dice
    if not canvas.layout.pond and canvas.has("swimming pool"):
        return
    ponds = dice.whole(3, 4) if canvas.has("wetland") else 1
    for _ in range(ponds):
        radius = dice.between(40, 60) if ponds > 1 else dice.between(65, 95)
        # Out of the middle, which is the landmarks'.
        spots = [canvas.search(2.6 * radius, 2.6 * radius, 0) for _ in range(2)]
        spot = max(spots, key=lambda s: math.hypot(s.x - MIDDLE, s.y - MIDDLE))
        _add_water(canvas, blob(dice, spot.x, spot.y, radius, 0.25))
