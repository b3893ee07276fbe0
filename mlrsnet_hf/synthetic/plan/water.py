"""Where water goes."""

import math

from mlrsnet_hf.synthetic.geometry import (
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
from mlrsnet_hf.synthetic.site import FREE, WATER, Site

_CORNERS: Points = [(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)]


def lay_water(site: Site) -> None:
    """Choose the form of the water from the labels that need it."""
    if site.has("island"):
        _lay_island(site)
    elif site.has("sea", "harbor", "beach") or (site.has("water") and site.has("dock")):
        _lay_coast(site)
    if site.has("river"):
        _lay_channel(site, winding(site.dice, site.angle, site.dice.between(-40, 40), 70, 1.3), (70, 120))
    elif site.has("bridge") and site.has("water") and not site.waters:
        _lay_channel(site, bent(site.dice, site.angle, site.dice.between(-40, 40), 40), (150, 230))
    if site.has("lake"):
        x, y = (MIDDLE + site.dice.between(-50, 50) for _ in range(2))
        _add_water(site, blob(site.dice, x, y, site.dice.between(130, 190), 0.22))
    if site.has("water") and not site.waters:
        _lay_ponds(site)


def _add_water(site: Site, outline: Points) -> None:
    site.waters.append(outline)
    site.occupy(outline, WATER)


def _lay_island(site: Site) -> None:
    dice = site.dice
    x, y = MIDDLE + dice.between(-35, 35), MIDDLE + dice.between(-35, 35)
    site.land = blob(dice, x, y, dice.between(125, 170), 0.22)
    _add_water(site, _CORNERS)
    site.occupy(site.land, FREE)


def _lay_coast(site: Site) -> None:
    """Put water on one side of a shore: winding by the sea, straight in a harbor."""
    dice = site.dice
    basin = site.has("harbor", "dock")
    angle = site.angle + (math.pi if dice.chance(0.5) else 0)
    offset = dice.between(-45, 5) if basin else dice.between(-50, 60)
    line = straight(*beside_middle(angle, offset), angle) if basin else winding(dice, angle, offset, 28, 1.6)
    site.coast = Strip(line, 0)
    site.inland = -1 if angle == site.angle else 1
    if site.has("water", "sea"):
        _add_water(site, line + Strip(line, 0).beside(SIDE * 1.6)[::-1])


def _lay_channel(site: Site, line: Points, widths: tuple[int, int]) -> None:
    strip = Strip(line, site.dice.between(*widths))
    site.strips["channel"] = [strip]
    _add_water(site, strip.outline())


def _lay_ponds(site: Site) -> None:
    """Water without a form of its own: ponds, or none where it fills the pools."""
    dice = site.dice
    if not site.layout.pond and site.has("swimming pool"):
        return
    ponds = dice.whole(3, 4) if site.has("wetland") else 1
    for _ in range(ponds):
        radius = dice.between(40, 60) if ponds > 1 else dice.between(65, 95)
        # Out of the middle, which is the landmarks'.
        spots = [site.search(2.6 * radius, 2.6 * radius, 0) for _ in range(2)]
        spot = max(spots, key=lambda s: math.hypot(s.x - MIDDLE, s.y - MIDDLE))
        _add_water(site, blob(dice, spot.x, spot.y, radius, 0.25))
