"""What is known of an image before it is drawn: its labels, its light, and what stands where."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.geometry import MIDDLE, SIDE, Point, Points, Spot, Strip
from mlrsnet_hf.synthetic.layouts import Layout
from mlrsnet_hf.synthetic.palette import Palette

ZONE = 8
"""Canvas pixels to a side of a cell of the zone map."""

FREE, WATER, WAY, BUILT, FLAT = 0, 1, 2, 3, 4
"""What stands on a cell of the zone map: nothing, water, a road or track, a raised thing, a flat thing."""

_LAST = SIDE // ZONE - 1

_CROWDED = 1
"""How many probes of a place may miss before `room` looks for a smaller one."""

_PROBES = ((0, 0), (-0.9, -0.9), (0.9, -0.9), (-0.9, 0.9), (0.9, 0.9), (0, -0.9), (0, 0.9), (-0.9, 0), (0.9, 0))


class Site:
    """The place that an image shows.

    Args:
        labels: Names of the labels to draw.
        layout: How the scene arranges them.
        dice: The image's random stream.
    """

    def __init__(self, labels: frozenset[str], layout: Layout, dice: Dice) -> None:
        self.labels = labels
        self.layout = layout
        self.dice = dice
        self.palette = Palette(dice, dice.between(0.3, 1.2))
        self.angle = dice.between(0, math.pi)
        """Direction that streets, plots and buildings follow."""
        sun = dice.between(0, 2 * math.pi)
        self.sun_sector = int(sun / (math.pi / 2))
        self.sun: Point = (math.cos(sun), math.sin(sun))
        """Where shadows point."""
        self.shade = dice.whole(70, 150)
        """How dark shadows are, of 255."""
        self.asphalt = self.palette.gray()
        self.water = self.palette.water()
        self.waters: list[Points] = []
        """Bodies of water; the first is the main one."""
        self.land: Points | None = None
        """Outline of the island, if all else is water."""
        self.coast: Strip | None = None
        """Shore of the sea or basin; the water lies to its right."""
        self.inland = 1
        """Side of the image's middle, along `angle`, on which the land lies that the coast bounds."""
        self.strips: dict[str, list[Strip]] = {}
        """Ways by label."""
        self.spots: dict[str, list[Spot]] = {}
        """Places of landmarks by label."""
        self.bays: list[Spot] = []
        """Bays in which cars may stand."""
        zones = Image.new("L", (SIDE // ZONE, SIDE // ZONE))
        self._zone_draw = ImageDraw.Draw(zones)
        # Pillow's pixels of a gray image are whole numbers, which its types cannot say.
        self._cells: Any = zones.load()

    def __contains__(self, label: str) -> bool:
        return label in self.labels

    def has(self, *labels: str) -> bool:
        """Return whether any of the labels is set."""
        return not self.labels.isdisjoint(labels)

    def occupy(self, points: Sequence[Point], zone: int) -> None:
        """Mark a polygon on the zone map."""
        self._zone_draw.polygon([(x / ZONE, y / ZONE) for x, y in points], fill=zone)

    def occupy_line(self, points: Sequence[Point], width: float, zone: int) -> None:
        """Mark a line on the zone map."""
        self._zone_draw.line([(x / ZONE, y / ZONE) for x, y in points], fill=zone, width=max(round(width / ZONE), 1))

    def zone(self, x: float, y: float) -> int:
        """Return the zone of a place; places outside count as the nearest inside."""
        column = 0 if x < 0 else _LAST if x >= SIDE else int(x) // ZONE
        row = 0 if y < 0 else _LAST if y >= SIDE else int(y) // ZONE
        return self._cells[column, row]

    def crowding(self, spot: Spot, zone: int = FREE) -> int:
        """Count the probes of a spot, of 9, that lie outside the given zone."""
        # The hottest loop of the plan: the same as `zone` at each probe, in units of cells.
        x, y = spot.x / ZONE, spot.y / ZONE
        (ax, ay), (bx, by) = spot.axes()
        cells, misses = self._cells, 0
        for u, v in _PROBES:
            column, row = int(x + (u * ax + v * bx) / ZONE), int(y + (u * ay + v * by) / ZONE)
            column = 0 if column < 0 else min(column, _LAST)
            row = 0 if row < 0 else min(row, _LAST)
            misses += cells[column, row] != zone
        return misses

    def search(
        self, width: float, height: float, angle: float, zone: int = FREE, tries: int = 14, reach: float = 0.42
    ) -> Spot:
        """Find a place for a rectangle: the one of a few random ones that lies most on cells of the given zone."""
        margin = min(reach * max(width, height), MIDDLE - 8)
        best, best_misses = Spot(MIDDLE, MIDDLE, width, height, angle), 99
        for _ in range(tries):
            x, y = self.dice.between(margin, SIDE - margin), self.dice.between(margin, SIDE - margin)
            spot = Spot(x, y, width, height, angle)
            misses = self.crowding(spot, zone)
            if misses < best_misses:
                best, best_misses = spot, misses
                if not misses:
                    break
        return best

    def room(self, width: float, height: float, angle: float, reach: float = 0.42) -> Spot:
        """Find a free place for a rectangle; where it is crowded, for a smaller one of the same shape."""
        found = []
        for factor in (1.0, 0.75, 0.55, 0.4):
            spot = self.search(width * factor, height * factor, angle, reach=reach)
            if self.crowding(spot) <= _CROWDED:
                return spot
            found.append(spot)
        return min(found, key=self.crowding)
