import statistics

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.synthetic import draw_labels, render
from mlrsnet_hf.synthetic.canvas import Canvas
from mlrsnet_hf.synthetic.dice import Dice
from mlrsnet_hf.synthetic.elements import ELEMENTS, Coat, Element, Feature, Landmark
from mlrsnet_hf.synthetic.geometry import SIDE, Spot
from mlrsnet_hf.synthetic.layouts import layout_of
from mlrsnet_hf.synthetic.plan import lay_out
from mlrsnet_hf.synthetic.registry import Painted
from mlrsnet_hf.synthetic.site import WATER
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS, SCENES, Label, Scene

WATER_LABELS = ("water", "sea", "lake", "river", "island")


def hidden(element: Element) -> Element:
    """Return an element that rolls the same dice and takes the same room, but leaves no trace; ground turns magenta."""
    if isinstance(element, Coat):

        def paint(canvas: Canvas) -> Painted:
            image, mask = element.paint(canvas)
            return Image.new("RGB", image.size, (255, 0, 255)), mask

        return Coat(paint)

    def draw(canvas: Canvas, *spot: Spot) -> None:
        before = canvas.image.copy()
        element.draw(canvas, *spot)
        canvas.image.paste(before)

    if isinstance(element, Landmark):
        return Landmark(element.layer, draw, element.width, element.height, element.count)
    return Feature(element.layer, draw)


def home_of(label: Label) -> Scene:
    return max(SCENES, key=lambda scene: scene.label_counts.get(label.id, 0))


def images_with(label: Label, count: int) -> list[tuple[Scene, tuple[int, ...], int]]:
    scene = home_of(label)
    drawn = ((scene, draw_labels(scene, 0, index), index) for index in range(1, 1000))
    return [entry for entry in drawn if label.id in entry[1]][:count]


def test_every_label_has_an_element() -> None:
    assert set(ELEMENTS) == set(LABEL_NAMES)


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_a_label_shows_in_the_finished_image(label: Label, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_with(label, 3)
    shown = [np.asarray(render(scene, labels, 0, index), int) for scene, labels, index in images]
    monkeypatch.setitem(ELEMENTS, label.name, hidden(ELEMENTS[label.name]))
    left_out = [np.asarray(render(scene, labels, 0, index), int) for scene, labels, index in images]
    changed = [(abs(a - b).max(axis=2) > 16).mean() for a, b in zip(shown, left_out, strict=True)]
    # Water is also in the ground, which stays here; see the next test.
    assert min(changed) > (0 if label.name == "water" else 0.002)
    assert statistics.median(changed) > (0.001 if label.name == "water" else 0.008)


@pytest.mark.parametrize("name", WATER_LABELS)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_water_takes_up_room(name: str, scene: Scene) -> None:
    canvas = Canvas(frozenset({name}), layout_of(scene), Dice(f"{name}:{scene.name}"))
    lay_out(canvas)
    cells = [canvas.zone(x, y) for x in range(4, SIDE, 8) for y in range(4, SIDE, 8)]
    assert cells.count(WATER) / len(cells) > 0.03


def test_only_what_is_set_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()

    def noted(name: str, element: Element) -> Element:
        watched = hidden(element)
        if isinstance(watched, Coat):
            return Coat(lambda canvas: drawn.add(name) or watched.paint(canvas))
        return Feature(watched.layer, lambda canvas: drawn.add(name))

    for name, element in ELEMENTS.items():
        monkeypatch.setitem(ELEMENTS, name, noted(name, element))
    for scene in SCENES:
        drawn.clear()
        labels = draw_labels(scene, 0, 1)
        render(scene, labels, 0, 1)
        assert drawn == {LABELS[label].name for label in labels}
