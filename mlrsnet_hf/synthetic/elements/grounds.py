"""Grounds: textures that differ in pattern, while their colors overlap."""

from PIL import Image, ImageChops, ImageDraw

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.geometry import MIDDLE, Spot
from mlrsnet_hf.synthetic.palette import mixed, shaded
from mlrsnet_hf.synthetic.registry import Painted, coat
from mlrsnet_hf.synthetic.textures import IMAGE_SIDE, Color, cut, cut_rows, tint


def _tinted(canvas: Canvas, texture: str, color: Color, contrast: float, turn: bool = True) -> Image.Image:
    return tint(cut(canvas.dice, texture, turn), shaded(color, 1 - contrast), shaded(color, 1 + contrast))


@coat("grass")
def paint_grass(canvas: Canvas) -> Painted:
    """Fine tufts."""
    return _tinted(canvas, "grass", canvas.palette.grass(), canvas.dice.between(0.35, 0.55)), None


@coat("bare soil")
def paint_soil(canvas: Canvas) -> Painted:
    """Blotches and pebbles."""
    return _tinted(canvas, "soil", canvas.palette.earth(), canvas.dice.between(0.4, 0.6)), None


@coat("sand")
def paint_sand(canvas: Canvas) -> Painted:
    """Ripples."""
    return _tinted(canvas, "sand", canvas.palette.sand(), canvas.dice.between(0.18, 0.3)), None


@coat("desert")
def paint_desert(canvas: Canvas) -> Painted:
    """Dunes with a bright and a dark flank."""
    return _tinted(canvas, "dunes", canvas.palette.sand(), canvas.dice.between(0.4, 0.6)), None


@coat("pavement")
def paint_pavement(canvas: Canvas) -> Painted:
    """Slabs with joints, a few of them mended."""
    dice = canvas.dice
    color = canvas.palette.pale()
    image = _tinted(canvas, "plain", color, 0.12)
    draw = ImageDraw.Draw(image)
    joint = shaded(color, dice.between(0.72, 0.85))
    side = dice.between(18, 32)
    plaza = Spot(MIDDLE / 2, MIDDLE / 2, 380, 380, canvas.angle)
    cells = int(380 / side)
    for _ in range(6):
        u, v = (int(dice.between(0, cells)) * 2 / cells - 1 for _ in range(2))
        draw.polygon(plaza.box(u, v, u + 2 / cells, v + 2 / cells), fill=shaded(color, dice.between(0.85, 1.12)))
    for i in range(cells + 1):
        t = 2 * i / cells - 1
        draw.line(plaza.points((t, -1), (t, 1)), fill=joint)
        draw.line(plaza.points((-1, t), (1, t)), fill=joint)
    return image, None


@coat("field")
def paint_field(canvas: Canvas) -> Painted:
    """Parcels of furrows in two directions."""
    dice = canvas.dice
    first, second = (
        tint(cut_rows(dice, canvas.angle + turn), shaded(color, 0.65), shaded(color, 1.3))
        for turn, color in ((0, canvas.palette.grass()), (dice.between(0.6, 1.6), canvas.palette.earth()))
    )
    mask = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    draw = ImageDraw.Draw(mask)
    land = Spot(MIDDLE / 2, MIDDLE / 2, 400, 400, canvas.angle)
    columns, rows = dice.whole(3, 5), dice.whole(2, 4)
    parcels = list(land.grid(columns, rows, fill=1))
    for parcel in parcels[dice.whole(0, 1) :: 2] if dice.chance(0.7) else dice.shuffled(parcels)[: len(parcels) // 2]:
        draw.polygon(parcel.box(), fill=255)
    first.paste(second, mask=mask)
    border = ImageDraw.Draw(first)
    edge = canvas.palette.earth()
    for parcel in parcels:
        border.line([*parcel.box(), parcel.at(-1, -1)], fill=edge, width=2)
    return first, None


@coat("forest")
def paint_forest(canvas: Canvas) -> Painted:
    """Crown beside crown."""
    leaf = canvas.palette.leaf()
    canopy = cut(canvas.dice, "canopy", turn=False)
    return tint(canopy, shaded(leaf, 0.2), shaded(leaf, 1.7)), None


@coat("chaparral")
def paint_chaparral(canvas: Canvas) -> Painted:
    """Low shrubs in dots; the ground shows between them."""
    leaf = canvas.palette.leaf()
    shrubs = cut(canvas.dice, "scrub")
    shadows = ImageChops.offset(shrubs, round(2.4 * canvas.sun[0]), round(2.4 * canvas.sun[1]))
    image = Image.new("RGB", shrubs.size, shaded(leaf, 0.3))
    image.paste(_tinted(canvas, "plain", leaf, 0.3), mask=shrubs)
    return image, ImageChops.lighter(shrubs, shadows)


@coat("mountain")
def paint_mountain(canvas: Canvas) -> Painted:
    """Ridges and valleys in relief."""
    return _relief(canvas, "hills", shaded(canvas.palette.plain(), 0.9), 0.75), None


@coat("snowberg")
def paint_snowberg(canvas: Canvas) -> Painted:
    """Peaks with straight ridges."""
    rock = mixed(canvas.palette.plain(), (225, 230, 240), canvas.dice.between(0.35, 0.8))
    return _relief(canvas, "peaks", rock, 0.6), None


def _relief(canvas: Canvas, texture: str, color: Color, contrast: float) -> Image.Image:
    """Return a relief of which the dark flank lies where shadows point."""
    relief = cut(canvas.dice, texture, turn=False)
    # The textures' shadows point right and down, which is sector 0; each quarter turn to the left takes off a sector.
    turn = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}
    if canvas.sun_sector:
        relief = relief.transpose(turn[canvas.sun_sector])
    return tint(relief, shaded(color, 1 - contrast), shaded(color, 1 + contrast * 0.6))


@coat("snow")
def paint_snow(canvas: Canvas) -> Painted:
    """Drifts with a torn edge."""
    v = canvas.dice.whole(195, 245)
    return _tinted(canvas, "calm", (v - 8, v - 3, v + 5), 0.1), cut(canvas.dice, "drift")


@coat("wetland")
def paint_wetland(canvas: Canvas) -> Painted:
    """A maze of reed beds and shallow channels."""
    leaf, mud = canvas.palette.grass(), shaded(canvas.palette.water(), 0.8)
    image = tint(cut(canvas.dice, "reeds", turn=False), shaded(leaf, 0.55), shaded(leaf, 1.35))
    image.paste(_tinted(canvas, "calm", mud, 0.2), mask=cut(canvas.dice, "marsh"))
    return image, None


@coat("terrace")
def paint_terrace(canvas: Canvas) -> Painted:
    """Steps that follow the slope, each with a dark wall."""
    dice = canvas.dice
    steps = cut(dice, "steps", turn=False)
    if dice.chance(0.5):
        steps = steps.transpose(Image.Transpose.TRANSPOSE)
    color = canvas.palette.plain()
    return tint(steps, shaded(color, 0.3), shaded(mixed(color, canvas.palette.grass(), 0.5), 1.5)), None
