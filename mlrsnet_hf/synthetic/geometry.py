"""Places and lines on the ground: turned rectangles, strips, blobs.

All lengths are canvas pixels (`SIDE` to an image side, two to a pixel of the finished image), angles are radians, y
points down.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlrsnet_hf.synthetic.dice import Dice

SIDE = 512
MIDDLE = SIDE / 2

Point = tuple[float, float]
Points = list[Point]


@dataclass(slots=True)
class Spot:
    """A turned rectangle."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0
    _cos: float = field(init=False, repr=False)
    _sin: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cos, self._sin = math.cos(self.angle), math.sin(self.angle)

    def at(self, u: float, v: float) -> Point:
        """Return the place of (u, v), each from -1 to 1 across the rectangle."""
        du, dv = u * self.width / 2, v * self.height / 2
        return self.x + du * self._cos - dv * self._sin, self.y + du * self._sin + dv * self._cos

    def axes(self) -> tuple[Point, Point]:
        """Return the ways from the middle to (1, 0) and to (0, 1)."""
        half_width, half_height = self.width / 2, self.height / 2
        return (half_width * self._cos, half_width * self._sin), (-half_height * self._sin, half_height * self._cos)

    def points(self, *uv: Point) -> Points:
        """Return several places."""
        return [self.at(u, v) for u, v in uv]

    def box(self, left: float = -1, top: float = -1, right: float = 1, bottom: float = 1) -> Points:
        """Return the corners of a part of the rectangle; the whole by default."""
        return [self.at(left, top), self.at(right, top), self.at(right, bottom), self.at(left, bottom)]

    def oval(self, part: float = 1, corners: int = 24) -> Points:
        """Return an inscribed ellipse."""
        steps = (2 * math.pi * i / corners for i in range(corners))
        return [self.at(part * math.cos(t), part * math.sin(t)) for t in steps]

    def lozenge(self, part: float = 1, corners: int = 9) -> Points:
        """Return an inscribed running-track shape: a rectangle with half-round ends; `part` insets it evenly."""
        radius = self.height / 2 * part
        reach = max((self.width - self.height) / self.width, 0.0)
        turns = [math.pi * (i / (corners - 1) - 0.5) for i in range(corners)]
        wide = 2 * radius / self.width
        right = [(reach + wide * math.cos(t), part * math.sin(t)) for t in turns]
        return [self.at(u, v) for u, v in right] + [self.at(-u, -v) for u, v in right]

    def holds(self, x: float, y: float) -> bool:
        """Return whether a place lies inside the rectangle."""
        dx, dy = x - self.x, y - self.y
        along, across = dx * self._cos + dy * self._sin, dy * self._cos - dx * self._sin
        return abs(along) < self.width / 2 and abs(across) < self.height / 2

    def inner(self, u: float, v: float, width: float, height: float, turn: float = 0.0) -> "Spot":
        """Return a spot inside this one, at (u, v), of a size in canvas pixels."""
        x, y = self.at(u, v)
        return Spot(x, y, width, height, self.angle + turn)

    def grid(self, columns: int, rows: int, fill: float = 0.9) -> Iterator["Spot"]:
        """Divide the rectangle into cells, of which each spot fills a part."""
        for row in range(rows):
            for column in range(columns):
                u, v = (2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1
                yield self.inner(u, v, self.width / columns * fill, self.height / rows * fill)


@dataclass(slots=True)
class Strip:
    """A way: a center line with a width."""

    points: Points
    width: float
    lanes: tuple[float, ...] = ()
    """Offsets of the driving lanes from the center line; positive drives forwards."""

    def beside(self, offset: float) -> Points:
        """Return the parallel line at an offset to the right of the center line."""
        last = len(self.points) - 1
        line = []
        for i, (x, y) in enumerate(self.points):
            (ax, ay), (bx, by) = self.points[max(i - 1, 0)], self.points[min(i + 1, last)]
            length = math.hypot(bx - ax, by - ay) or 1.0
            line.append((x - (by - ay) / length * offset, y + (bx - ax) / length * offset))
        return line

    def outline(self) -> Points:
        """Return the strip as a polygon."""
        return self.beside(self.width / 2) + self.beside(-self.width / 2)[::-1]

    def walk(self, step: float, offset: float = 0.0, start: float = 0.0) -> Iterator[tuple[float, float, float]]:
        """Yield place and direction every `step` along the strip."""
        line = self.beside(offset) if offset else self.points
        ahead = start
        for (ax, ay), (bx, by) in itertools.pairwise(line):
            length = math.hypot(bx - ax, by - ay)
            angle = math.atan2(by - ay, bx - ax)
            while ahead < length:
                part = ahead / length
                yield ax + (bx - ax) * part, ay + (by - ay) * part, angle
                ahead += step
            ahead -= length


def straight(x: float, y: float, angle: float, length: float = 2 * SIDE) -> Points:
    """Return a straight line about a place."""
    dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
    return [(x - dx, y - dy), (x + dx, y + dy)]


def beside_middle(angle: float, offset: float) -> Point:
    """Return the place at an offset to the right of the image's middle, looking along an angle."""
    return MIDDLE - math.sin(angle) * offset, MIDDLE + math.cos(angle) * offset


def bent(dice: Dice, angle: float, offset: float, bend: float) -> Points:
    """Return a line across the image that bends once, evenly."""
    x, y = beside_middle(angle, offset)
    cos, sin = math.cos(angle), math.sin(angle)
    bend *= dice.between(-1, 1)
    along = [(i / 8 - 1) * SIDE * 0.8 for i in range(17)]
    rises = [bend * ((t / (SIDE * 0.8)) ** 2 * 2 - 0.4) for t in along]
    return [(x + t * cos - r * sin, y + t * sin + r * cos) for t, r in zip(along, rises, strict=True)]


def winding(dice: Dice, angle: float, offset: float, swing: float, waves: float) -> Points:
    """Return a line across the image that winds from side to side."""
    x, y = beside_middle(angle, offset)
    cos, sin = math.cos(angle), math.sin(angle)
    phase, second = dice.between(0, 6.3), dice.between(0, 6.3)
    line = []
    for i in range(25):
        t = (i / 12 - 1) * SIDE * 0.8
        turn = waves * math.pi * i / 12
        rise = swing * (math.sin(turn + phase) + 0.35 * math.sin(2.3 * turn + second))
        line.append((x + t * cos - rise * sin, y + t * sin + rise * cos))
    return line


def blob(dice: Dice, x: float, y: float, radius: float, rough: float = 0.2, corners: int = 30) -> Points:
    """Return a rounded irregular outline."""
    waves = [(k, rough * dice.between(0.5, 1.2) / k**0.6, dice.between(0, 6.3)) for k in (2, 3, 5)]
    outline = []
    for i in range(corners):
        t = 2 * math.pi * i / corners
        reach = radius * (1 + sum(a * math.sin(k * t + p) for k, a, p in waves))
        outline.append((x + reach * math.cos(t), y + reach * math.sin(t)))
    return outline


def hull(points: Sequence[Point]) -> Points:
    """Return the convex hull."""
    ordered = sorted(set(points))
    halves: list[Points] = []
    for way in (ordered, ordered[::-1]):
        half: Points = []
        for p in way:
            while len(half) > 1 and _turns_right(half[-2], half[-1], p):
                half.pop()
            half.append(p)
        halves.append(half[:-1])
    return halves[0] + halves[1]


def _turns_right(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])
