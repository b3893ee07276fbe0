"""Of which scene each image is, where it may be filed in a wrong one.

An image in the wrong folder has the labels of that folder's scene, and the other images of the scene confirm them. What
the image looks like says otherwise. Both are weighed by how often the two differ: the share of images in a wrong scene
is that which makes the scenes most probable as they are (expectation maximization; Dempster, Laird and Rubin 1977).
"""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

_FIRST, _LEAST, _MOST = 0.05, 1e-3, 0.5
"""Share of images in a wrong scene: to begin with, at the least and at the most."""
_STEPS = 50
_MOST_SURE = 1e-6
_ODD_LOOKS = 0.01
"""How improbable a scene may be for an image of it: some look like no image of theirs."""


def likely_scenes(scores: Scores, scenes: npt.NDArray[np.int64]) -> Scores:
    """Return how probably each image is of each scene, by what it looks like and the scene that it is given.

    Args:
        scores: (N, S), the probability of each scene by a model of each that has not seen the image.
        scenes: (N,) ids as they are given; -1 for an image without.

    Returns:
        (N, S), rows that sum to 1; of images without a scene, to 0.
    """
    seen = seen_scenes(scores, scenes)
    rows = np.flatnonzero(scenes >= 0)
    given, others = scenes[rows], max(scores.shape[1] - 1, 1)
    likely, share = np.zeros(scores.shape), _FIRST
    for _ in range(_STEPS if len(rows) else 0):
        found = seen[rows] * (share / others)
        found[np.arange(len(rows)), given] = seen[rows, given] * (1 - share)
        likely[rows] = found / found.sum(axis=1, keepdims=True)
        share = float(np.clip(1 - likely[rows, given].mean(), _LEAST, _MOST))
    return likely


def seen_scenes(scores: Scores, scenes: npt.NDArray[np.int64]) -> Scores:
    """Return the same by what an image looks like alone."""
    clipped = np.clip(scores, _MOST_SURE, 1 - _MOST_SURE)
    odds = clipped / (1 - clipped)
    return odds / odds.sum(axis=1, keepdims=True) * (scenes >= 0)[:, None]


def wrong_scene_odds(scores: Scores, scenes: npt.NDArray[np.int64]) -> Scores:
    """Return how much better each image looks like the other scenes than like the one that it is given.

    Args:
        scores: (N, S), as above.
        scenes: (N,) ids as they are given; -1 for an image without.

    Returns:
        (N,), logarithms of the ratio of the two likelihoods; minus infinity for an image without a scene.
    """
    odds = np.full(len(scenes), -np.inf)
    rows = np.flatnonzero(scenes >= 0)
    if not len(rows):
        return odds
    seen = np.clip(seen_scenes(scores, scenes)[rows, scenes[rows]], _ODD_LOOKS, 1 - _ODD_LOOKS)
    share = np.clip(np.bincount(scenes[rows])[scenes[rows]] / len(rows), _MOST_SURE, 1 - _MOST_SURE)
    odds[rows] = np.log((1 - seen) / (1 - share)) - np.log(seen / share)
    return odds


def given_scenes(scenes: npt.NDArray[np.int64], scene_count: int) -> Scores:
    """Return the same where nothing is doubted: (N, S) of 1 for the scene that is given and 0 for the others."""
    return np.eye(scene_count + 1)[scenes][:, :scene_count]  # -1 is the last
