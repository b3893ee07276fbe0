"""Where landmarks go."""

import math

from mlrsnet_hf.synthetic.geometry import MIDDLE, Spot
from mlrsnet_hf.synthetic.registry import ELEMENTS, Landmark, Layer
from mlrsnet_hf.synthetic.site import BUILT, FLAT, Site

_NESTS = {"football field": ("track", "stadium"), "track": ("stadium",)}
"""Landmarks that lie inside another where both are set."""


def lay_landmarks(site: Site) -> None:
    """Give each landmark its spots, the biggest first."""
    wanted = [(name, e) for name, e in ELEMENTS.items() if isinstance(e, Landmark) and name in site]
    wanted.sort(key=lambda item: -item[1].width * item[1].height * site.layout.zoom.get(item[0], 1.0) ** 2)
    for name, element in wanted:
        host = next((h for h in _NESTS.get(name, ()) if site.spots.get(h)), None)
        if host:
            site.spots[name] = [_nested(site.spots[host][0], element)]
            continue
        low, high = site.layout.counts.get(name, element.count)
        zone = FLAT if element.layer <= Layer.SURFACE else BUILT
        site.spots[name] = [_place(site, name, element, zone) for _ in range(site.dice.whole(low, high))]


def _nested(host: Spot, element: Landmark) -> Spot:
    """Return a spot in the middle of a host."""
    scale = min(0.62 * host.width / element.width, 0.56 * host.height / element.height)
    return host.inner(0, 0, element.width * scale, element.height * scale)


def _place(site: Site, name: str, element: Landmark, zone: int) -> Spot:
    dice = site.dice
    scale = site.layout.zoom.get(name, 1.0) * dice.between(0.85, 1.15)
    width, height = min(element.width * scale, 400), min(element.height * scale, 400)
    angle = site.angle + (math.pi / 2 if dice.chance(0.5) else 0)
    if width > 330:
        # A big thing stands about the middle.
        x, y = (MIDDLE + dice.between(-40, 40) for _ in range(2))
        spot = Spot(x, y, width, height, angle)
    else:
        # What is tall needs room for its shadow, so it keeps away from the edges.
        reach = 0.75 if element.layer is Layer.TALL else 0.42
        spot = site.room(width, height, angle, reach)
    site.occupy(spot.box(-1.04, -1.04, 1.04, 1.04), zone)
    return spot
