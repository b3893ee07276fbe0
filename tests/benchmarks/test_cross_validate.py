"""The cross-validation that judges recipes: its folds and its scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.benchmarks.cross_validate import folds, weighted_map


@given(st.integers(0, 2**32 - 1))
def test_a_weight_counts_as_that_many_copies_of_an_image(seed: int) -> None:
    draw = np.random.default_rng(seed)
    targets = (draw.random((30, 3)) < 0.3).astype(float)
    scores = draw.integers(0, 8, (30, 3)) / 8  # some are equal
    weights = draw.integers(0, 4, (2, 30))
    for weight, value in zip(weights, weighted_map(targets, scores, weights.astype(float)), strict=True):
        rows = np.repeat(np.arange(30), weight)
        present = targets[rows].any(axis=0)
        expected = [average_precision_score(targets[rows, k], scores[rows, k]) for k in np.flatnonzero(present)]
        np.testing.assert_allclose(value, np.mean(expected) if expected else 0)


def test_folds_keep_groups_whole_and_share_scenes_evenly() -> None:
    draw = np.random.default_rng(0)
    scenes = np.repeat(np.arange(4), 50)
    groups = np.arange(200)
    pairs = draw.choice(100, 30, replace=False) * 2
    groups[pairs + 1] = groups[pairs]
    fold_of = folds(scenes, groups, 5)
    assert all(len(set(fold_of[groups == group])) == 1 for group in groups)
    for scene in range(4):
        sizes = np.bincount(fold_of[scenes == scene], minlength=5)
        assert sizes.max() - sizes.min() <= 2
