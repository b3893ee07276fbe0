"""Where ways go: roads, railways, runways, trails."""

import math

from mlrsnet_hf.synthetic.geometry import (
    MIDDLE,
    SIDE,
    Points,
    Spot,
    Strip,
    bent,
    beside_middle,
    straight,
    winding,
)
from mlrsnet_hf.synthetic.site import BUILT, FREE, WAY, Site

TRACK = 36.0
"""Width of a railway track."""

_LANE = 23.0
_ROAD_LANES = (-_LANE / 2, _LANE / 2)
_WIDE_LANES = (-1.5 * _LANE, -_LANE / 2, _LANE / 2, 1.5 * _LANE)
_DUAL_LANES = tuple(side * d for side in (-1, 1) for d in (22, 22 + _LANE, 22 + 2 * _LANE))


def lay_ways(site: Site) -> None:
    """Lay the ways, those that a scene is named after through the middle and the others beside them."""
    dice = site.dice
    slots = dice.shuffled([(0, 175), (0, -175), (1, 185), (1, -185)])
    if site.coast:
        slots = [(0, site.inland * 205)]
    center = [
        name
        for name in ("roundabout", "intersection", "overpass", "bridge", "freeway", "parkway", "railway")
        if name in site
    ]
    for i, name in enumerate(center):
        turn, offset = (0, dice.between(-35, 35)) if i == 0 or not slots else slots.pop(0)
        _LAY_WAY[name](site, turn, offset)
    if site.has("railway station"):
        _lay_station(site)
    if site.has("runway"):
        _lay_runway(site)
    if site.has("road") and not site.has("roundabout", "intersection", "bridge", "overpass"):
        _lay_roads(site, slots, middle_taken=bool(center))
    if site.has("trail"):
        turn, offset = (0, dice.between(-120, 120)) if not center else (1, dice.between(-150, 150))
        line = winding(dice, site.angle + turn * 1.3, offset, dice.between(25, 60), dice.between(1, 2.2))
        _add_strip(site, "trail", Strip(line, dice.between(12, 18)), zone=FREE)
    for strips in site.strips.values():
        for strip in strips:
            if strip.lanes:
                site.occupy_line(strip.points, strip.width + 6, WAY)


def _add_strip(site: Site, name: str, strip: Strip, zone: int = WAY) -> None:
    site.strips.setdefault(name, []).append(strip)
    if zone:
        site.occupy_line(strip.points, strip.width + 8, zone)


def _across(site: Site, turn: float, offset: float, bend: float = 0) -> Points:
    return bent(site.dice, site.angle + turn * math.pi / 2, offset, bend)


def _lay_freeway(site: Site, turn: float, offset: float) -> None:
    _add_strip(site, "freeway", Strip(_across(site, turn, offset, 60), 178, _DUAL_LANES))


def _lay_parkway(site: Site, turn: float, offset: float) -> None:
    lanes = tuple(side * d for side in (-1, 1) for d in (38, 61))
    _add_strip(site, "parkway", Strip(_across(site, turn, offset, 40), 150, lanes))


def _lay_railway(site: Site, turn: float, offset: float) -> None:
    station = "railway station" in site
    tracks = 4 if station else site.dice.whole(1, 4)
    _add_strip(site, "railway", Strip(_across(site, turn, offset, 0 if station else 60), tracks * TRACK))


def _lay_station(site: Site) -> None:
    """Set aside the station about the tracks, with a hall on the side to which v points."""
    dice = site.dice
    tracks = site.strips.get("railway")
    points = tracks[0].points if tracks else straight(MIDDLE, MIDDLE, site.angle)
    (ax, ay), (bx, by) = points[0], points[-1]
    angle = math.atan2(by - ay, bx - ax) + dice.pick((0, math.pi))
    station = Spot((ax + bx) / 2, (ay + by) / 2, dice.between(300, 400), 4 * TRACK + 110, angle)
    site.spots["railway station"] = [station]
    site.occupy(station.box(-1, -1, 1, 1.4), BUILT)


def _lay_intersection(site: Site, turn: float, offset: float) -> None:
    dice = site.dice
    for angle in (0.0, 1 + dice.between(-0.2, 0.2)):
        lanes = _WIDE_LANES if dice.chance(0.75) else _ROAD_LANES
        x, y = beside_middle(site.angle, offset)
        line = straight(x, y, site.angle + (turn + angle) * math.pi / 2)
        _add_strip(site, "intersection", Strip(line, len(lanes) * _LANE + 8, lanes))


def _lay_roundabout(site: Site, turn: float, offset: float) -> None:
    dice = site.dice
    x, y = beside_middle(site.angle, offset)
    arms = dice.whole(3, 5)
    for arm in range(arms):
        angle = site.angle + turn + (arm + dice.between(-0.15, 0.15)) * 2 * math.pi / arms
        line = [(x + d * math.cos(angle), y + d * math.sin(angle)) for d in (110, 260, SIDE)]
        _add_strip(site, "roundabout", Strip(line, 2 * _LANE + 6, _ROAD_LANES))
    ring = Spot(x, y, 230, 230, angle=dice.between(0, 1))
    site.spots["roundabout"] = [ring]
    site.occupy(ring.oval(1.1), WAY)


def _lay_bridge(site: Site, turn: float, offset: float) -> None:
    """Lead a bridge across the channel, or straight across whatever there is."""
    crossing = 1 if site.waters else turn
    _add_strip(site, "bridge", Strip(_across(site, crossing, offset), site.dice.pick((62, 84)), _ROAD_LANES))


def _lay_overpass(site: Site, turn: float, offset: float) -> None:
    dice = site.dice
    x, y = beside_middle(site.angle, offset)
    across = site.angle + (turn + 1 + dice.between(-0.25, 0.25)) * math.pi / 2
    if not site.has("freeway"):
        below = straight(x, y, site.angle + turn * math.pi / 2)
        lanes = dice.pick((_ROAD_LANES, _WIDE_LANES))
        _add_strip(site, "underpass", Strip(below, len(lanes) * _LANE + 14, lanes))
    lanes = dice.pick((_ROAD_LANES, _WIDE_LANES))
    _add_strip(site, "overpass", Strip(straight(x, y, across), len(lanes) * _LANE + 18, lanes))
    corners = dice.shuffled(Spot(x, y, 240, 240, across).box())[: dice.whole(1, 4)]
    site.spots["loops"] = [Spot(*corner, 176, 176) for corner in corners]
    for loop in site.spots["loops"]:
        site.occupy(loop.oval(), WAY)


def _lay_runway(site: Site) -> None:
    dice = site.dice
    # Beside the middle where the terminal or the airplanes need the room.
    offset = dice.sign() * dice.between(105, 145) if site.has("airport", "airplane") else dice.between(-60, 60)
    x, y = beside_middle(site.angle, offset)
    length = dice.between(420, 470)
    _add_strip(site, "runway", Strip(straight(x, y, site.angle, length), dice.between(62, 80)))


def _lay_roads(site: Site, slots: list[tuple[int, int]], middle_taken: bool) -> None:
    dice = site.dice
    lanes = _WIDE_LANES if dice.chance(0.2) else _ROAD_LANES
    width = len(lanes) * _LANE + 4
    if site.layout.streets == "grid" and not middle_taken:
        shift = dice.between(-60, 60)
        slots = [(0, int(shift - 120)), (0, int(shift + 120)), (1, dice.whole(-60, 60))][dice.whole(0, 1) :]
    else:
        slots = slots[: 1 + dice.chance(0.3)] or [(1, 0)]
    for turn, offset in slots:
        bend = 0 if site.layout.streets == "grid" else 30
        _add_strip(site, "road", Strip(_across(site, turn, offset, bend), width, lanes))


_LAY_WAY = {
    "roundabout": _lay_roundabout,
    "intersection": _lay_intersection,
    "overpass": _lay_overpass,
    "bridge": _lay_bridge,
    "freeway": _lay_freeway,
    "parkway": _lay_parkway,
    "railway": _lay_railway,
}
