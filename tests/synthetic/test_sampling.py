import math

import pytest

from mlrsnet_hf.synthetic import draw_labels
from mlrsnet_hf.taxonomy import LABELS, SCENES, Scene, find_scene

DRAWS = 2000


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_labels_follow_the_published_frequencies(scene: Scene) -> None:
    draws = [draw_labels(scene, 0, index) for index in range(1, DRAWS + 1)]
    assert all(1 <= len(labels) <= 13 for labels in draws)
    assert all(list(labels) == sorted(set(labels)) for labels in draws)
    assert {label for labels in draws for label in labels} <= set(scene.label_counts)
    for label, count in scene.label_counts.items():
        expected = count / scene.images
        found = sum(label in labels for labels in draws) / DRAWS
        # Four standard errors, for some 400 pairs of scene and label, and one image for the certain and the rare.
        error = 4 * math.sqrt(expected * (1 - expected) / DRAWS) + 1 / DRAWS
        assert abs(found - expected) <= error, f"{scene.name}, {LABELS[label].name}: {found:.3f}, not {expected:.3f}"


def test_an_image_has_its_own_labels() -> None:
    scene = find_scene("park")
    draws = {draw_labels(scene, seed, index) for seed in range(3) for index in range(1, 20)}
    assert len(draws) > 20
    assert draw_labels(scene, 1, 5) == draw_labels(scene, 1, 5)
