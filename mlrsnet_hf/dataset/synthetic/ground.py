"""The ground: one coat that covers the image, the others on it in patches, and the water let into it."""

from PIL import Image, ImageDraw

from mlrsnet_hf.dataset.synthetic.canvas import Canvas
from mlrsnet_hf.dataset.synthetic.elements.registry import ELEMENTS, Coat
from mlrsnet_hf.dataset.synthetic.geometry import Points, blob
from mlrsnet_hf.dataset.synthetic.layouts import GROUND_ORDER
from mlrsnet_hf.dataset.synthetic.palette import shaded
from mlrsnet_hf.dataset.synthetic.textures import IMAGE_SIDE, cut, tint

_THEMES = ("chaparral", "snow", "forest", "snowberg", "mountain")
"""Coats of which a patch is big."""


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
    for name in sorted(canvas.dice.shuffled(rest), key=lambda n: n not in _THEMES):
        image, mask = coats[name].paint(canvas)
        region = _patches(canvas, name)
        if mask:
            region.paste(0, mask=mask.point(_INVERTED))
        ground = _laid(ground, image, region)
    return _with_water(canvas, ground)


_INVERTED = [255 - i for i in range(256)]


def _choose_base(canvas: Canvas, coats: dict[str, Coat]) -> str | None:
    preferred = [name for name in canvas.layout.ground if name in coats]
    if preferred:
        return canvas.dice.pick(preferred)
    return next((name for name in (*GROUND_ORDER, *coats) if name in coats), None)


def _neutral(canvas: Canvas) -> Image.Image:
    """Return smooth ground that says nothing."""
    colour = canvas.palette.plain()
    return tint(cut(canvas.dice, "plain"), shaded(colour, 0.85), shaded(colour, 1.12))


def _laid(below: Image.Image, above: Image.Image, mask: Image.Image) -> Image.Image:
    below.paste(above, mask=mask)
    return below


def _patches(canvas: Canvas, name: str) -> Image.Image:
    """Return the mask of where a coat lies that is not the base: one to three patches in free places."""
    dice = canvas.dice
    mask = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    draw = ImageDraw.Draw(mask)
    theme = name in _THEMES
    straight_edges = name == "pavement" or (canvas.layout.plots and not theme)
    for _ in range(1 if theme else dice.whole(1, 2)):
        size = dice.between(360, 480) if theme else dice.between(150, 230)
        spot = canvas.search(size, size * dice.between(0.65, 1), canvas.angle, tries=8, reach=0.3)
        outline = spot.box() if straight_edges else blob(dice, spot.x, spot.y, size / 2, 0.25)
        draw.polygon([(x / 2, y / 2) for x, y in outline], fill=255)
    return mask


def _with_water(canvas: Canvas, ground: Image.Image) -> Image.Image:
    """Let the bodies of water into the ground, with a shallow rim."""
    if not canvas.waters:
        return ground
    mask = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    draw = ImageDraw.Draw(mask)
    for outline in canvas.waters:
        draw.polygon(_halved(outline), fill=255)
    if canvas.land:
        draw.polygon(_halved(canvas.land), fill=0)
    texture = "water" if "water" in canvas else "calm"
    water = tint(cut(canvas.dice, texture, turn=False), shaded(canvas.water, 0.75), shaded(canvas.water, 1.35))
    ground.paste(water, mask=mask)
    return ground


def _halved(points: Points) -> Points:
    return [(x / 2, y / 2) for x, y in points]
