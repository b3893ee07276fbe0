"""The cross-validation that judges recipes: its folds."""

import numpy as np

from tests.benchmarks.cross_validate import folds


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
