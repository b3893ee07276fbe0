"""The surface that elements draw on, and what they need to know of each other."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from mlrsnet_hf.dataset.synthetic.dice import Dice
from mlrsnet_hf.dataset.synthetic.geometry import MIDDLE, SIDE, Point, Points, Spot, Strip, hull
from mlrsnet_hf.dataset.synthetic.layouts import Layout
from mlrsnet_hf.dataset.synthetic.palette import Palette
from mlrsnet_hf.dataset.synthetic.textures import Colour

ZONE = 8
"""Canvas pixels to a side of a cell of the zone map."""

SHADOW: Colour = (8, 10, 18)

_LAST = SIDE // ZONE - 1

FREE, WATER, WAY, BUILT, FLAT = 0, 1, 2, 3, 4
"""What stands on a cell of the zone map: nothing, water, a road or track, a raised thing, a flat thing."""


class Canvas:
    """One image in the making.

    Shapes are drawn at twice the size of the finished image and halved at the end, which smooths their edges.

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
        self.asphalt = self.palette.grey()
        self.water = self.palette.water()
        self.white = dice.whole(205, 250)
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
        self._cells: Any = (
            zones.load()
        )  # Pillow's pixels of a grey image are whole numbers, which its types cannot say.
        self._draw_on(Image.new("RGB", (1, 1)))

    def __contains__(self, label: str) -> bool:
        return label in self.labels

    def has(self, *labels: str) -> bool:
        """Return whether any of the labels is set."""
        return not self.labels.isdisjoint(labels)

    def start(self, ground: Image.Image) -> None:
        """Begin drawing on a finished ground of 256 x 256."""
        self._draw_on(ground.resize((SIDE, SIDE), Image.Resampling.NEAREST))

    def _draw_on(self, image: Image.Image) -> None:
        self.image = image
        self.draw = ImageDraw.Draw(image)
        self._blend = ImageDraw.Draw(image, "RGBA")

    # Drawing ---------------------------------------------------------------------------------------------------------

    def fill(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon(points, fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 2) -> None:
        """Draw a line."""
        if width > 5 and len(points) > 2:
            # A polygon is cheaper than Pillow's round joints, and as smooth.
            self.fill(Strip(list(points), width).outline(), colour)
        else:
            self.draw.line(points, fill=colour, width=max(round(width), 1))

    def ring(self, points: Sequence[Point], colour: Colour, width: float = 2) -> None:
        """Draw the outline of a polygon."""
        closed = [*points, points[0], points[1]]
        self.draw.line(closed, fill=colour, width=max(round(width), 1), joint="curve" if width > 5 else None)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def circle(self, x: float, y: float, radius: float, colour: Colour, width: float = 2) -> None:
        """Draw a circle."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=round(width))

    def glaze(self, points: Sequence[Point], colour: Colour, alpha: int) -> None:
        """Lay a half-transparent colour over a polygon."""
        self._blend.polygon(points, fill=(*colour, alpha))

    def glaze_line(self, points: Sequence[Point], colour: Colour, alpha: int, width: float) -> None:
        """Lay a half-transparent line."""
        self._blend.line(points, fill=(*colour, alpha), width=max(round(width), 1))

    def cast(self, footprint: Sequence[Point], height: float) -> None:
        """Cast the shadow of a convex thing that stands on the ground."""
        far = self.away_from_sun(footprint, height)
        # The thing itself will hide where a low shadow and its hull differ.
        self.glaze(hull([*footprint, *far]) if height > 14 else far, SHADOW, self.shade)

    def cast_flat(self, footprint: Sequence[Point], height: float) -> None:
        """Cast the shadow of a thing of any outline that hangs above the ground."""
        self.glaze(self.away_from_sun(footprint, height), SHADOW, self.shade)

    def cast_line(self, points: Sequence[Point], height: float, width: float) -> None:
        """Cast the shadow of a bar that hangs above the ground."""
        self.glaze_line(self.away_from_sun(points, height), SHADOW, self.shade, width)

    def away_from_sun(self, points: Sequence[Point], distance: float) -> Points:
        """Return the points moved to where their shadows fall."""
        dx, dy = self.sun[0] * distance, self.sun[1] * distance
        return [(x + dx, y + dy) for x, y in points]

    def cast_disc(self, x: float, y: float, radius: float, height: float) -> None:
        """Cast the shadow of a round thing."""
        self.cast(Spot(x, y, 2 * radius, 2 * radius).oval(corners=14), height)

    # Zones -----------------------------------------------------------------------------------------------------------

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


_CROWDED = 2
"""How many probes of a place may miss before `room` looks for a smaller one."""

_PROBES = ((0, 0), (-0.9, -0.9), (0.9, -0.9), (-0.9, 0.9), (0.9, 0.9), (0, -0.9), (0, 0.9), (-0.9, 0), (0.9, 0))
