"""Where the big things go, decided before anything is drawn: water first, then ways, then landmarks."""

import math

from mlrsnet_hf.dataset.synthetic.canvas import BUILT, FLAT, FREE, WATER, WAY, Canvas
from mlrsnet_hf.dataset.synthetic.elements.registry import ELEMENTS, Landmark, Layer
from mlrsnet_hf.dataset.synthetic.geometry import (
    MIDDLE,
    SIDE,
    Points,
    Spot,
    Strip,
    bent,
    beside_middle,
    blob,
    straight,
    winding,
)

_CORNERS: Points = [(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)]
_LANE = 23.0
_ROAD_LANES = (-_LANE / 2, _LANE / 2)
_WIDE_LANES = (-1.5 * _LANE, -_LANE / 2, _LANE / 2, 1.5 * _LANE)
_DUAL_LANES = tuple(side * d for side in (-1, 1) for d in (22, 22 + _LANE, 22 + 2 * _LANE))

_NESTS = {"football field": ("track", "stadium"), "track": ("stadium",)}
"""Landmarks that lie inside another where both are set."""


_CROWDED = 3
"""How many probes of a spot may hit another thing before it is sought again for a smaller landmark."""


def lay_out(canvas: Canvas) -> None:
    """Set aside the places of water, ways and landmarks."""
    _lay_water(canvas)
    _lay_ways(canvas)
    _lay_landmarks(canvas)


def _lay_water(canvas: Canvas) -> None:
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
    offset = dice.between(-90, -30) if basin else dice.between(-50, 60)
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


def _lay_ways(canvas: Canvas) -> None:
    """Lay the ways, those that a scene is named after through the middle and the others beside them."""
    dice = canvas.dice
    slots = dice.shuffled([(0, 175), (0, -175), (1, 185), (1, -185)])
    if canvas.coast:
        slots = [(0, canvas.inland * 195), (0, canvas.inland * 120)]
    centre = [
        name
        for name in ("roundabout", "intersection", "overpass", "bridge", "freeway", "parkway", "railway")
        if name in canvas
    ]
    for i, name in enumerate(centre):
        turn, offset = (0, dice.between(-35, 35)) if i == 0 or not slots else slots.pop(0)
        _LAY_WAY[name](canvas, turn, offset)
    if canvas.has("runway"):
        _lay_runway(canvas)
    if canvas.has("road") and not canvas.has("roundabout", "intersection", "bridge", "overpass"):
        _lay_roads(canvas, slots, middle_taken=bool(centre))
    if canvas.has("trail"):
        turn, offset = (0, dice.between(-120, 120)) if not centre else (1, dice.between(-150, 150))
        line = winding(dice, canvas.angle + turn * 1.3, offset, dice.between(25, 60), dice.between(1, 2.2))
        _add_strip(canvas, "trail", Strip(line, dice.between(12, 18)), zone=FREE)
    for strips in canvas.strips.values():
        for strip in strips:
            if strip.lanes:
                canvas.occupy_line(strip.points, strip.width + 6, WAY)


def _add_strip(canvas: Canvas, name: str, strip: Strip, zone: int = WAY) -> None:
    canvas.strips.setdefault(name, []).append(strip)
    if zone:
        canvas.occupy_line(strip.points, strip.width + 8, zone)


def _across(canvas: Canvas, turn: float, offset: float, bend: float = 0) -> Points:
    return bent(canvas.dice, canvas.angle + turn * math.pi / 2, offset, bend)


def _lay_freeway(canvas: Canvas, turn: float, offset: float) -> None:
    _add_strip(canvas, "freeway", Strip(_across(canvas, turn, offset, 60), 178, _DUAL_LANES))


def _lay_parkway(canvas: Canvas, turn: float, offset: float) -> None:
    lanes = tuple(side * d for side in (-1, 1) for d in (38, 61))
    _add_strip(canvas, "parkway", Strip(_across(canvas, turn, offset, 40), 150, lanes))


def _lay_railway(canvas: Canvas, turn: float, offset: float) -> None:
    station = "railway station" in canvas
    tracks = 4 if station else canvas.dice.whole(1, 4)
    _add_strip(canvas, "railway", Strip(_across(canvas, turn, offset, 0 if station else 60), tracks * 36.0))


def _lay_intersection(canvas: Canvas, turn: float, offset: float) -> None:
    dice = canvas.dice
    for angle in (0.0, 1 + dice.between(-0.2, 0.2)):
        lanes = _WIDE_LANES if dice.chance(0.75) else _ROAD_LANES
        x, y = beside_middle(canvas.angle, offset)
        line = straight(x, y, canvas.angle + (turn + angle) * math.pi / 2)
        _add_strip(canvas, "intersection", Strip(line, len(lanes) * _LANE + 8, lanes))


def _lay_roundabout(canvas: Canvas, turn: float, offset: float) -> None:
    dice = canvas.dice
    x, y = beside_middle(canvas.angle, offset)
    arms = dice.whole(3, 5)
    for arm in range(arms):
        angle = canvas.angle + turn + (arm + dice.between(-0.15, 0.15)) * 2 * math.pi / arms
        line = [(x + d * math.cos(angle), y + d * math.sin(angle)) for d in (110, 260, SIDE)]
        _add_strip(canvas, "roundabout", Strip(line, 2 * _LANE + 6, _ROAD_LANES))
    ring = Spot(x, y, 230, 230, angle=dice.between(0, 1))
    canvas.spots["roundabout"] = [ring]
    canvas.occupy(ring.oval(1.1), WAY)


def _lay_bridge(canvas: Canvas, turn: float, offset: float) -> None:
    """Lead a bridge across the channel, or straight across whatever there is."""
    crossing = 1 if canvas.waters else turn
    _add_strip(canvas, "bridge", Strip(_across(canvas, crossing, offset), canvas.dice.pick((62, 84)), _ROAD_LANES))


def _lay_overpass(canvas: Canvas, turn: float, offset: float) -> None:
    dice = canvas.dice
    x, y = beside_middle(canvas.angle, offset)
    across = canvas.angle + (turn + 1 + dice.between(-0.25, 0.25)) * math.pi / 2
    if not canvas.has("freeway"):
        below = straight(x, y, canvas.angle + turn * math.pi / 2)
        _add_strip(canvas, "underpass", Strip(below, dice.pick((60, 106)), _ROAD_LANES))
    _add_strip(canvas, "overpass", Strip(straight(x, y, across), dice.pick((66, 110)), _ROAD_LANES))


def _lay_runway(canvas: Canvas) -> None:
    dice = canvas.dice
    offset = dice.sign() * dice.between(80, 130) if canvas.has("airport", "airplane") else dice.between(-60, 60)
    x, y = beside_middle(canvas.angle, offset)
    length = dice.between(400, 450)
    _add_strip(canvas, "runway", Strip(straight(x, y, canvas.angle, length), dice.between(54, 74)))


def _lay_roads(canvas: Canvas, slots: list[tuple[int, int]], middle_taken: bool) -> None:
    dice = canvas.dice
    lanes = _WIDE_LANES if dice.chance(0.2) else _ROAD_LANES
    width = len(lanes) * _LANE + 4
    if canvas.layout.streets == "grid" and not middle_taken:
        shift = dice.between(-60, 60)
        slots = [(0, int(shift - 120)), (0, int(shift + 120)), (1, dice.whole(-60, 60))][dice.whole(0, 1) :]
    else:
        slots = slots[: 1 + dice.chance(0.3)] or [(1, 0)]
    for turn, offset in slots:
        bend = 0 if canvas.layout.streets == "grid" else 30
        _add_strip(canvas, "road", Strip(_across(canvas, turn, offset, bend), width, lanes))


_LAY_WAY = {
    "roundabout": _lay_roundabout,
    "intersection": _lay_intersection,
    "overpass": _lay_overpass,
    "bridge": _lay_bridge,
    "freeway": _lay_freeway,
    "parkway": _lay_parkway,
    "railway": _lay_railway,
}


def _lay_landmarks(canvas: Canvas) -> None:
    """Give each landmark its spots, the biggest first."""
    wanted = [(name, e) for name, e in ELEMENTS.items() if isinstance(e, Landmark) and name in canvas]
    for name, element in sorted(wanted, key=lambda item: -item[1].width * item[1].height):
        host = next((h for h in _NESTS.get(name, ()) if canvas.spots.get(h)), None)
        if host:
            canvas.spots[name] = [_nested(canvas.spots[host][0], element)]
            continue
        low, high = canvas.layout.counts.get(name, element.count)
        zone = FLAT if element.layer <= Layer.SURFACE else BUILT
        canvas.spots[name] = [_place(canvas, name, element, zone) for _ in range(canvas.dice.whole(low, high))]


def _nested(host: Spot, element: Landmark) -> Spot:
    """Return a spot in the middle of a host."""
    scale = min(0.62 * host.width / element.width, 0.56 * host.height / element.height)
    return host.inner(0, 0, element.width * scale, element.height * scale)


def _place(canvas: Canvas, name: str, element: Landmark, zone: int) -> Spot:
    dice = canvas.dice
    scale = canvas.layout.zoom.get(name, 1.0) * dice.between(0.85, 1.15)
    width, height = min(element.width * scale, 400), min(element.height * scale, 400)
    angle = canvas.angle + (math.pi / 2 if dice.chance(0.5) else 0)
    if width > 300:
        # A big thing stands about the middle.
        x, y = (MIDDLE + dice.between(-40, 40) for _ in range(2))
        spot = Spot(x, y, width, height, angle)
    else:
        # What is tall needs room for its shadow, so it keeps away from the edges.
        reach = 0.75 if element.layer is Layer.TALL else 0.42
        spot = canvas.search(width, height, angle, reach=reach)
        if canvas.crowding(spot) > _CROWDED:
            spot = canvas.search(width * 0.7, height * 0.7, angle)
    canvas.occupy(spot.box(-1.04, -1.04, 1.04, 1.04), zone)
    return spot
