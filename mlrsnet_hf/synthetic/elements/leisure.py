"""Parks, golf courses and pools."""

import math

from PIL import Image, ImageDraw

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import SIDE, Spot, Strip, blob, winding
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import Layer, feature, landmark
from mlrsnet_hf.synthetic.textures import cut, tint


@landmark("park", Layer.SURFACE, 320, 300)
def draw_park(canvas: Canvas, spot: Spot) -> None:
    """A formal garden: ring walks, radial walks and clipped beds about a fountain."""
    dice = canvas.dice
    walk, bed = canvas.palette.pale(), canvas.palette.plain()
    spokes = dice.pick((4, 6, 8))
    turn = dice.between(0, 1)
    for part in (1.0, 0.62):
        canvas.ring(spot.oval(part, corners=32), walk, 14)
    for i in range(spokes):
        t = turn + 2 * math.pi * i / spokes
        canvas.line([spot.at(0, 0), spot.at(math.cos(t), math.sin(t))], walk, 13)
        for part, size in ((0.8, 0.2), (0.42, 0.15)):
            middle = t + math.pi / spokes
            x, y = spot.at(part * math.cos(middle), part * math.sin(middle))
            hedge = Spot(x, y, spot.width * size, spot.height * size * 0.8, spot.angle + middle + math.pi / 2)
            canvas.fill(hedge.oval(corners=14), shaded(bed, 0.6))
            canvas.fill(hedge.oval(0.68, corners=14), canvas.palette.paint())
    canvas.disc(spot.x, spot.y, 30, walk)
    canvas.cast_disc(spot.x, spot.y, 14, 6)
    canvas.disc(spot.x, spot.y, 17, shaded(walk, 0.65))
    canvas.disc(spot.x, spot.y, 8, shaded(walk, 1.25))


@feature("golf course", Layer.SHORE)
def draw_golf_course(canvas: Canvas) -> None:
    """Mown fairways, each with bunkers beside it and a green with a flag at its end."""
    dice = canvas.dice
    fairway = shaded(canvas.palette.grass(), 1.15)
    sand = shaded(canvas.palette.sand(), 1.2)
    for offset in dice.shuffled((-130, 10, 140))[: dice.whole(2, 3)]:
        line = winding(dice, canvas.angle, offset, 28, 1.0)
        hole = Strip(line[5:20], dice.between(62, 88))
        for end in (0, -1):
            canvas.disc(*hole.points[end], hole.width / 2, shaded(fairway, 0.94))
        left, right = hole.beside(-hole.width / 2), hole.beside(hole.width / 2)
        for i in range(len(left) - 1):
            mown = [left[i], left[i + 1], right[i + 1], right[i]]
            canvas.fill(mown, shaded(fairway, 1.1 if i % 2 else 0.94))
        _draw_green(canvas, *hole.points[dice.pick((0, -1))], fairway, sand)
        for _ in range(dice.whole(1, 2)):
            x, y = hole.beside(dice.sign() * hole.width * 0.55)[dice.whole(3, 11)]
            canvas.fill(blob(dice, x, y, dice.between(15, 23), 0.4, corners=18), sand)


def _draw_green(canvas: Canvas, x: float, y: float, fairway: tuple[int, int, int], sand: tuple[int, int, int]) -> None:
    """Draw a putting green with a flag and two bunkers."""
    dice = canvas.dice
    x, y = min(max(x, 60), SIDE - 60), min(max(y, 60), SIDE - 60)
    for side in (-1, 1):
        canvas.fill(blob(dice, x + side * 50, y + dice.between(-30, 30), dice.between(15, 22), 0.4, corners=18), sand)
    canvas.fill(blob(dice, x, y, 44, 0.12, corners=20), shaded(fairway, 0.85))
    canvas.fill(blob(dice, x, y, 35, 0.12, corners=20), shaded(fairway, 1.3))
    canvas.line([(x, y), (x + 3, y - 26)], (245, 245, 245), 2)
    canvas.fill([(x + 3, y - 26), (x + 18, y - 21), (x + 3, y - 15)], canvas.palette.paint())


@landmark("swimming pool", Layer.SURFACE, 128, 82, (1, 2))
def draw_pool(canvas: Canvas, spot: Spot) -> None:
    """A pool with a coping, in one of the usual shapes, steps or lane lines, and loungers beside it."""
    dice = canvas.dice
    canvas.fill(spot.box(-1.05, -1.1, 1.05, 1.1), shaded(canvas.palette.pale(), 1.1))
    basin = spot.inner(0, -0.12, spot.width * 0.84, spot.height * 0.62)
    shape = dice.whole(0, 2)
    outline = (basin.box(), basin.lozenge(0.95), _kidney(basin))[shape]
    _fill_with_water(canvas, outline)
    canvas.ring(outline, (238, 238, 232), 5)
    if shape == 0:
        for v in (-0.5, 0, 0.5):
            canvas.line(basin.points((-0.92, v), (0.92, v)), (225, 232, 235), 2)
    else:
        steps = basin.points((-0.7, -0.4), (-0.6, 0), (-0.7, 0.4))
        canvas.line(steps, (230, 235, 235), 3)
    color = canvas.palette.paint()
    for i in range(5):
        canvas.fill(spot.inner(-0.7 + 0.35 * i, 0.84, 7, 14).box(), shaded(color, 1.2))


def _kidney(basin: Spot) -> list[tuple[float, float]]:
    turns = [2 * math.pi * i / 24 for i in range(24)]
    return basin.points(*((math.cos(t), math.sin(t) * (0.62 + 0.38 * abs(math.cos(t)))) for t in turns))


def _fill_with_water(canvas: Canvas, outline: list[tuple[float, float]]) -> None:
    """Fill a basin: rippled if the image has water, else flat."""
    water = shaded(canvas.palette.water(), canvas.dice.between(1.3, 1.8))
    if "water" not in canvas:
        canvas.fill(outline, water)
        return
    xs, ys = [int(x) for x, _ in outline], [int(y) for _, y in outline]
    left, top = max(min(xs), 0), max(min(ys), 0)
    width, height = min(max(xs) + 1, SIDE) - left, min(max(ys) + 1, SIDE) - top
    if width < 2 or height < 2:
        return
    ripples = cut(canvas.dice, "water").crop((0, 0, width // 2 + 1, height // 2 + 1)).resize((width, height))
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=255)
    canvas.image.paste(tint(ripples, shaded(water, 0.7), shaded(water, 1.4)), (left, top), mask)
