"""Scenes that are doubted: against what was drawn, and by hand."""

import numpy as np
import pytest

from mlrsnet_hf.curation.wrong_labels.label_patterns import scene_rates
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes, likely_scenes, wrong_scene_odds
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores


def test_images_in_a_wrong_scene_are_told_from_images_that_are_hard_to_see() -> None:
    generator = np.random.default_rng(0)
    true = generator.integers(0, 8, 800)
    looks = 3 * generator.standard_normal((8, 32))[true] + generator.standard_normal((800, 32))
    looks[:40] = generator.standard_normal((40, 32))  # show nothing of their scene
    given = true.copy()
    moved = 100 + np.arange(60)
    given[moved] = (true[moved] + 3) % 8
    scores = out_of_fold_scores(looks.astype(np.float32), given_scenes(given, 8) == 1)
    found = likely_scenes(scores, given)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found.argmax(axis=1)[moved] == true[moved]).mean() > 0.9
    rest = np.setdiff1d(np.arange(800), moved)
    assert (found.argmax(axis=1)[rest] == true[rest]).mean() > 0.97  # what cannot be seen is as it is given
    assert 1 - found[np.arange(800), given].mean() == pytest.approx(60 / 800, abs=0.02)


def test_one_step_by_hand() -> None:
    """Of three images one looks like another scene; with e wrong, 0.9 e / (0.9 e + 0.1 (1 - e)) speaks for that."""
    scores = np.array([[0.1, 0.9], [0.9, 0.1], [0.9, 0.1]])  # odds of 1:9 and 9:1, 81 times each other
    found = likely_scenes(scores, np.array([0, 0, 0]))
    share = float(np.clip(1 - found[:, 0].mean(), 1e-3, 0.5))
    seen = np.array([1 / 82, 81 / 82, 81 / 82])
    assert found[:, 0] == pytest.approx(seen * (1 - share) / (seen * (1 - share) + (1 - seen) * share), abs=1e-4)
    nothing = likely_scenes(scores, np.array([-1, -1, -1]))
    assert not nothing.any()


def test_rates_of_likely_scenes_against_a_loop() -> None:
    generator = np.random.default_rng(1)
    labels = generator.random((30, 3)) < 0.4
    likely = generator.random((30, 4))
    likely /= likely.sum(axis=1, keepdims=True)
    likely[7] = 0
    found = scene_rates(labels, likely)
    overall = labels.mean(axis=0)
    for image in range(30):
        expected = overall if image == 7 else np.zeros(3)
        for scene in range(4):
            others = [other for other in range(30) if other != image]
            carried = sum(likely[other, scene] * labels[other] for other in others) + overall
            expected = expected + likely[image, scene] * carried / (likely[others, scene].sum() + 1)
        assert found[image] == pytest.approx(expected)


def test_odds_of_a_wrong_scene_by_hand() -> None:
    """Scores of 0.8 and 0.2 are odds of 4 and 1/4: seen is 16/17 of the first, given to three of four images."""
    scores = np.array([[0.8, 0.2], [0.2, 0.8], [0.8, 0.2], [0.2, 0.8], [0.5, 0.5]])
    found = wrong_scene_odds(scores, np.array([0, 0, 0, 1, -1]))
    prior = np.log(3)  # a scene that most images have is looked like more often anyway
    assert found == pytest.approx(
        [prior - np.log(16), prior + np.log(16), prior - np.log(16), -prior - np.log(16), -np.inf]
    )
    sure = wrong_scene_odds(np.array([[1e-9, 1 - 1e-9], [0.5, 0.5]]), np.array([0, 1]))
    assert sure[0] == pytest.approx(np.log(99))  # some images look like none of their scene
