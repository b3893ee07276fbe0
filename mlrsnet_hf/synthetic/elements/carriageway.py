"""What all carriageways share: asphalt, pavements and painted lines."""

import math
from collections.abc import Sequence

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import Spot, Strip
from mlrsnet_hf.synthetic.palette import shaded, white
from mlrsnet_hf.synthetic.textures import Color

BARRIER: Color = (205, 203, 196)


def pave(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Lay the carriageways; all kerbs and pavements lie below all asphalt, so that crossings stay open."""
    stone = shaded(canvas.palette.pale(), 0.95)
    if canvas.has("pavement"):
        for strip in strips:
            _lay_slabs(canvas, Strip(strip.points, strip.width + 44), stone)
    for strip in strips:
        canvas.line(strip.points, shaded(stone, 1.1), strip.width + 8)
    for strip in strips:
        canvas.line(strip.points, canvas.asphalt, strip.width)


def _lay_slabs(canvas: Canvas, strip: Strip, stone: Color) -> None:
    """Lay pavements of slabs beside a carriageway."""
    canvas.line(strip.points, stone, strip.width)
    joint = shaded(stone, 0.75)
    for x, y, angle in strip.walk(20):
        canvas.draw.line(Spot(x, y, 0, strip.width, angle).points((0, -1), (0, 1)), fill=joint, width=2)


def dash(canvas: Canvas, strip: Strip, offset: float, color: Color, length: float = 16, step: float = 34) -> None:
    """Paint a broken line along a strip."""
    for x, y, angle in strip.walk(step, offset):
        dx, dy = math.cos(angle) * length, math.sin(angle) * length
        canvas.draw.line((x, y, x + dx, y + dy), fill=color, width=3)


def mark(canvas: Canvas, strips: Sequence[Strip]) -> None:
    """Paint a road's lines: a full line in the middle of four lanes, a broken one between two."""
    paint = white(canvas.dice)
    for strip in strips:
        half = strip.width / 2 - 4
        for side in (-half, half):
            canvas.line(strip.beside(side), paint, 2)
        if len(strip.lanes) > 2:
            canvas.line(strip.beside(0), (paint[0], int(paint[1] * 0.85), 90), 4)
            for side in (-half / 2, half / 2):
                dash(canvas, strip, side, paint)
        else:
            dash(canvas, strip, 0, paint)
