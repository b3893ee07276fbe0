"""Railways and their stations."""

import math

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.plan.ways import TRACK
from mlrsnet_hf.synthetic.registry import Layer, feature

_RAIL = (190, 186, 180)


@feature("railway", Layer.WAY)
def draw_railway(canvas: Canvas) -> None:
    """Tracks of two rails on sleepers in ballast."""
    ballast = shaded(canvas.palette.earth(), 0.85)
    sleeper = shaded(ballast, 0.5)
    for strip in canvas.strips["railway"]:
        canvas.line(strip.points, shaded(ballast, 1.15), strip.width + 14)
        canvas.line(strip.points, ballast, strip.width)
        tracks = round(strip.width / TRACK)
        for track in range(tracks):
            middle = (track - (tracks - 1) / 2) * TRACK
            for x, y, angle in strip.walk(10, middle):
                dx, dy = -math.sin(angle) * 13, math.cos(angle) * 13
                canvas.draw.line((x - dx, y - dy, x + dx, y + dy), fill=sleeper, width=5)
            for rail in (-7.5, 7.5):
                canvas.line(strip.beside(middle + rail), _RAIL, 3)


@feature("railway station", Layer.STRUCTURE)
def draw_station(canvas: Canvas) -> None:
    """Long platform roofs along the tracks, joined by a ribbed hall."""
    (station,) = canvas.spots["railway station"]
    roof = canvas.palette.roof()
    for row in (-0.36 * station.height, 0.0, 0.36 * station.height):
        _draw_platform(canvas, station.inner(0, 2 * row / station.height, station.width, 34), roof)
    hall = station.inner(canvas.dice.between(-0.4, 0.4), 1.05, 190, 80)
    canvas.cast(hall.box(), 18)
    canvas.fill(hall.box(), shaded(roof, 1.1))
    for i in range(1, 12):
        canvas.line(hall.points((i / 6 - 1, -1), (i / 6 - 1, 1)), shaded(roof, 0.75), 3)
    canvas.line(hall.points((-1, 0), (1, 0)), shaded(roof, 1.35), 6)


def _draw_platform(canvas: Canvas, spot: Spot, roof: tuple[int, int, int]) -> None:
    """Draw a platform with its roof in sections."""
    canvas.fill(spot.box(-1, -1, 1, 1), shaded(canvas.palette.pale(), 1.05))
    cover = spot.inner(0, 0, spot.width * 0.84, spot.height * 0.68)
    canvas.cast(cover.box(), 12)
    canvas.fill(cover.box(-1, -1, 1, 0), shaded(roof, 1.15))
    canvas.fill(cover.box(-1, 0, 1, 1), shaded(roof, 0.8))
    for i in range(1, 9):
        canvas.line(cover.points((i / 4.5 - 1, -1), (i / 4.5 - 1, 1)), shaded(roof, 0.6), 2)
