"""The ground: one coat that covers the image, the others on it in patches, and the water let into it."""

from PIL import Image, ImageDraw

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import SIDE, Points, blob
from mlrsnet_hf.synthetic.layouts import GROUND_ORDER
from mlrsnet_hf.synthetic.palette import shaded
from mlrsnet_hf.synthetic.registry import ELEMENTS, Coat
from mlrsnet_hf.synthetic.textures import IMAGE_SIDE, cut, tint

_SPREADING = ("chaparral", "snow", "forest", "snowberg", "mountain")
"""Coats that spread over most of the image even where they are not its base."""

_COARSE = 32
"""Side of the masks that are drawn coarse and then torn."""


def paint_ground(canvas: Canvas) -> Image.Image:
    """Return the ground with its water, 256 x 256."""
    coats = {name: e for name, e in ELEMENTS.items() if isinstance(e, Coat) and name in canvas}
    base = _choose_base(canvas, coats)
    if base:
        ground, mask = coats[base].paint(canvas)
        if mask:
            ground = _laid(_neutral(canvas), ground, mask)
    else:
        ground = _neutral(canvas)
    rest = [name for name in coats if name != base]
    for name in sorted(canvas.dice.shuffled(rest), key=lambda n: n not in _SPREADING):
        image, mask = coats[name].paint(canvas)
        ground = _laid(ground, image, mask or _patches(canvas, name))
    return _with_water(canvas, ground)


def _choose_base(canvas: Canvas, coats: dict[str, Coat]) -> str | None:
    preferred = [name for name in canvas.layout.ground if name in coats]
    if preferred:
        return canvas.dice.pick(preferred)
    return next((name for name in (*GROUND_ORDER, *coats) if name in coats), None)


def _neutral(canvas: Canvas) -> Image.Image:
    """Return smooth ground that says nothing."""
    color = canvas.palette.plain()
    return tint(cut(canvas.dice, "plain"), shaded(color, 0.85), shaded(color, 1.12))


def _laid(below: Image.Image, above: Image.Image, mask: Image.Image) -> Image.Image:
    below.paste(above, mask=mask)
    return below


def _patches(canvas: Canvas, name: str) -> Image.Image:
    """Return the mask of where a coat lies that is not the base."""
    if name == "mountain":
        return cut(canvas.dice, "puffs").point(_steep_table(150, 5))
    if name == "pavement" or (canvas.layout.plots and name not in _SPREADING):
        return _plots(canvas)
    return _blots(canvas, spreading=name in _SPREADING)


def _plots(canvas: Canvas) -> Image.Image:
    """Return one or two plots with straight edges, in free places."""
    dice = canvas.dice
    mask = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    draw = ImageDraw.Draw(mask)
    for _ in range(dice.whole(1, 2)):
        size = dice.between(150, 230)
        spot = canvas.room(size, size * dice.between(0.65, 1), canvas.angle, reach=0.3)
        draw.polygon(_shrunk(spot.box(), 2), fill=255)
    return mask


def _blots(canvas: Canvas, spreading: bool) -> Image.Image:
    """Return irregular patches with a torn edge: one that spreads over most of the image, or one or two small ones."""
    dice = canvas.dice
    mask = Image.new("L", (_COARSE, _COARSE))
    draw = ImageDraw.Draw(mask)
    for _ in range(1 if spreading else dice.whole(1, 2)):
        size = dice.between(420, 560) if spreading else dice.between(160, 240)
        spot = canvas.room(size, size, canvas.angle, reach=0.3)
        outline = blob(dice, spot.x, spot.y, size / 2, 0.22)
        draw.polygon(_shrunk(outline, SIDE / _COARSE), fill=255)
    # Enlarging a coarse mask gives it a soft edge, which noise and a threshold then tear.
    soft = mask.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR)
    return Image.blend(soft, cut(dice, "plain"), 0.35).point(_steep_table(128, 6))


def _steep_table(middle: int, slope: float) -> list[int]:
    """Return a table that is black below the middle and white above it, with a short ramp between."""
    return [min(max(int(128 + (i - middle) * slope), 0), 255) for i in range(256)]


def _with_water(canvas: Canvas, ground: Image.Image) -> Image.Image:
    """Let the bodies of water into the ground: rippled where `water` is set, else calm."""
    if not canvas.waters:
        return ground
    mask = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    draw = ImageDraw.Draw(mask)
    for outline in canvas.waters:
        draw.polygon(_shrunk(outline, 2), fill=255)
    if canvas.land:
        draw.polygon(_shrunk(canvas.land, 2), fill=0)
    texture = "water" if "water" in canvas else "calm"
    water = tint(cut(canvas.dice, texture, turn=False), shaded(canvas.water, 0.75), shaded(canvas.water, 1.35))
    ground.paste(water, mask=mask)
    return ground


def _shrunk(points: Points, factor: float) -> Points:
    return [(x / factor, y / factor) for x, y in points]
