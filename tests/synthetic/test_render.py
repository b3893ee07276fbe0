import random

import pytest

from mlrsnet_hf.synthetic import render
from mlrsnet_hf.taxonomy import LABELS, SCENES, Label, Scene, find_label, find_scene


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_a_label_can_be_drawn_alone_in_any_scene(label: Label) -> None:
    for scene in SCENES[label.id % 9 :: 9]:
        image = render(scene, [label.id], seed=0, index=label.id)
        assert (image.size, image.mode) == ((256, 256), "RGB")


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_any_set_of_labels_can_be_drawn(scene: Scene) -> None:
    rng = random.Random(scene.id)
    sets = [(), range(60), *(rng.sample(range(60), count) for count in (1, 5, 13))]
    for index, labels in enumerate(sets):
        assert render(scene, labels, seed=1, index=index).size == (256, 256)


def test_the_order_of_labels_does_not_matter() -> None:
    scene = find_scene("stadium")
    labels = sorted(scene.label_counts)
    assert render(scene, labels, 0, 1).tobytes() == render(scene, labels[::-1], 0, 1).tobytes()


def test_labels_that_share_water_share_one_body() -> None:
    scene = find_scene("lake")
    lake = render(scene, [find_label("lake").id, find_label("water").id], 0, 1)
    assert lake.tobytes() != render(scene, [find_label("lake").id], 0, 1).tobytes()
