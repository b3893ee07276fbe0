"""From labels to a picture: plan, ground, elements from the ground up, then light and lens."""

from collections.abc import Collection

import numpy as np
from PIL import Image, ImageChops

from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.elements import ELEMENTS, Feature, Landmark, Layer
from mlrsnet_hf.synthetic.ground import paint_ground
from mlrsnet_hf.synthetic.layouts import layout_of
from mlrsnet_hf.synthetic.plan import lay_out
from mlrsnet_hf.synthetic.textures import cut
from mlrsnet_hf.taxonomy import LABELS, Scene


def render(scene: Scene, labels: Collection[int], seed: int, index: int) -> Image.Image:
    """Draw a synthetic image that shows exactly the given labels.

    Args:
        scene: The scene, which arranges the labels.
        labels: Label ids; any set of the 60, also one that the scene never has, also none.
        seed: The seed of the data set.
        index: The image's number within its scene.

    Returns:
        An image of 256 x 256, mode "RGB". It depends on the arguments alone.
    """
    dice = Dice(f"{seed}:{scene.published}:{index}")
    canvas = Canvas(frozenset(LABELS[i].name for i in labels), layout_of(scene), dice)
    lay_out(canvas)
    canvas.start(paint_ground(canvas))
    drawn = [(e.layer, name, e) for name, e in ELEMENTS.items() if name in canvas and isinstance(e, Feature | Landmark)]
    for _, name, element in sorted(drawn, key=lambda entry: entry[0]):
        if isinstance(element, Feature):
            element.draw(canvas)
        else:
            for spot in canvas.spots[name]:
                if element.layer is Layer.STRUCTURE:
                    canvas.bays = [bay for bay in canvas.bays if not spot.holds(bay.x, bay.y)]
                element.draw(canvas, spot)
    return _photographed(canvas.image, dice)


def _photographed(drawing: Image.Image, dice: Dice) -> Image.Image:
    """Halve the drawing and give it uneven light, grain, a soft lens, and the colors and contrast of a sensor."""
    image = drawing.reduce(2)
    if dice.chance(0.35):
        image = _smeared(image, dice)
    texture = Image.blend(cut(dice, "grain"), cut(dice, "light"), dice.between(0.3, 0.6))
    spread = dice.between(0.15, 0.5)
    texture = texture.point(((np.arange(256) - 128) * spread + 128).astype(int).tolist())
    image = ImageChops.add(image, Image.merge("RGB", (texture, texture, texture)), offset=-128)
    return image.point(_tones(dice))


def _smeared(image: Image.Image, dice: Dice) -> Image.Image:
    """Blur the image a little along an axis or a diagonal."""
    shift = dice.pick(((1, 0), (0, 1), (1, 1)))
    smeared = Image.blend(image, ImageChops.offset(image, *shift), dice.between(0.25, 0.5))
    # The offset wraps round; the first row and column come back as they were.
    width, height = image.size
    smeared.paste(image.crop((0, 0, 1, height)), (0, 0))
    smeared.paste(image.crop((0, 0, width, 1)), (0, 0))
    return smeared


def _tones(dice: Dice) -> list[int]:
    """Return the sensor's response, a table for each channel."""
    contrast, middle, brightness = dice.between(0.8, 1.2), dice.between(95, 145), dice.between(-22, 22)
    haze = dice.between(0, 30)
    tables: list[int] = []
    for _ in range(3):
        gain = contrast * dice.between(0.88, 1.12)
        level = middle + brightness + haze
        tables += ((np.arange(256) - middle) * gain + level).clip(0, 255).astype(int).tolist()
    return tables
