"""From labels to a picture: plan, ground, elements from the ground up, then light and lens."""

from collections.abc import Collection

from PIL import Image, ImageChops, ImageFilter

from mlrsnet_hf.dataset.synthetic.canvas import Canvas
from mlrsnet_hf.dataset.synthetic.dice import Dice
from mlrsnet_hf.dataset.synthetic.elements import ELEMENTS, Feature, Landmark
from mlrsnet_hf.dataset.synthetic.ground import paint_ground
from mlrsnet_hf.dataset.synthetic.layouts import layout_of
from mlrsnet_hf.dataset.synthetic.plan import lay_out
from mlrsnet_hf.dataset.synthetic.textures import cut
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
                element.draw(canvas, spot)
    return _photographed(canvas.image, dice)


def _photographed(drawing: Image.Image, dice: Dice) -> Image.Image:
    """Halve the drawing and give it uneven light, grain, a soft lens, and the colours and contrast of a sensor."""
    image = drawing.reduce(2)
    if dice.chance(0.35):
        image = image.filter(ImageFilter.BoxBlur(dice.between(0.2, 0.6)))
    texture = Image.blend(cut(dice, "grain"), cut(dice, "light"), dice.between(0.3, 0.6))
    spread = dice.between(0.2, 0.7)
    texture = texture.point([round(128 + (i - 128) * spread) for i in range(256)])
    image = ImageChops.add(image, Image.merge("RGB", (texture, texture, texture)), offset=-128)
    return image.point(_tones(dice))


def _tones(dice: Dice) -> list[int]:
    """Return the sensor's response, a table for each channel."""
    contrast, middle, brightness = dice.between(0.7, 1.2), dice.between(95, 145), dice.between(-22, 22)
    haze = dice.between(0, 30)
    tables = []
    for _ in range(3):
        gain = contrast * dice.between(0.88, 1.12)
        level = middle + brightness + haze
        tables += [min(max(round((i - middle) * gain + level), 0), 255) for i in range(256)]
    return tables
