"""Clouds."""

from PIL import Image, ImageChops

from mlrsnet_hf.synthetic.canvas import SHADOW, Canvas
from mlrsnet_hf.synthetic.geometry import SIDE
from mlrsnet_hf.synthetic.registry import Layer, feature
from mlrsnet_hf.synthetic.textures import cut


@feature("cloud", Layer.SKY)
def draw_cloud(canvas: Canvas) -> None:
    """Soft banks of cloud over half of the ground, and their shadow on it."""
    dice = canvas.dice
    puffs = cut(dice, "puffs")
    low = dice.whole(85, 130)
    mask = puffs.point([min(max(int((i - low) * 3.2), 0), 245) for i in range(256)]).resize(
        (SIDE, SIDE), Image.Resampling.NEAREST
    )
    dx, dy = int(canvas.sun[0] * 40), int(canvas.sun[1] * 40)
    shadow = ImageChops.offset(mask, dx, dy).point([i * canvas.shade // 300 for i in range(256)])
    canvas.image.paste(SHADOW, (0, 0, SIDE, SIDE), shadow)
    v = dice.whole(205, 250)
    canvas.image.paste((v, v, min(v + 4, 255)), (0, 0, SIDE, SIDE), mask)
