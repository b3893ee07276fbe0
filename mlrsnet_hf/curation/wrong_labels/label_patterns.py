"""What labels say of each other, without the images: what a scene may carry, and what occurs together.

Both find files that were damaged, such as those that MLRSNet publishes since 2021, rather than mistakes of somebody who
looked at an image: those are seldom odd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from mlrsnet_hf.curation.vocabulary.vocabulary import LEAST_IMAGES, Vocabulary, folded
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Scenes = npt.NDArray[np.int64]

_SURE = 0.975
"""Of what the sample of a vocabulary says of a scene."""
_OUTSIDE = 0.5
"""Least probability of being wrong of a label outside its scene's vocabulary."""
_ENOUGH = 10 * (LEAST_IMAGES - 1)
"""Images of a sample, from which on a label that is dropped as rare is rare: on a tenth of them at the most."""
_PRIOR = 1.0
"""Images with the label's usual rate that each scene has besides its own."""
_PENALTY = 1e-3


@dataclass(frozen=True, slots=True)
class Rules:
    """A vocabulary by the ids of a dataset."""

    carried: Scores
    """(S, L), images of the sample that carry a label; 0 outside the vocabulary."""
    sampled: Scores
    """(S,), images of the sample; 0 of a scene that the vocabulary does not know."""

    @property
    def outside(self) -> Labels:
        """(S, L), whether the vocabulary says that the scene's images do not carry a label.

        It leaves out what is on some images, however few there are: a small sample says nothing of what it lacks.
        """
        return (self.carried == 0) & (self.sampled[:, None] >= _ENOUGH)


def vocabulary_rules(vocabulary: Vocabulary, scene_names: Sequence[str], label_names: Sequence[str]) -> Rules:
    """Return a vocabulary by the ids of a dataset; names may differ in case and in what stands between words.

    Raises:
        ConfigurationError: A label of the vocabulary is none of the dataset's, or no scene of it is; two names of it
            mean the same, or a label is on more images than there are.
    """
    scenes = {folded(name): row for row, name in enumerate(scene_names)}
    labels = {folded(name): column for column, name in enumerate(label_names)}
    carried = np.zeros((len(scene_names), len(label_names)))
    sampled = np.zeros(len(scene_names))
    for scene, found in vocabulary.scenes.items():
        row = scenes.get(folded(scene))
        if row is None:
            continue
        if sampled[row]:
            raise ConfigurationError(
                f"the vocabulary has scene {quoted(scene_names[row])} twice, once as {quoted(scene)}", "Merge the two."
            )
        sampled[row] = found.images
        for label, images in found.labels.items():
            column = labels.get(folded(label))
            if column is None:
                raise ConfigurationError(
                    f"label {quoted(label)} of the vocabulary is none of the data's", "Merge it with one that is."
                )
            if carried[row, column]:
                raise ConfigurationError(
                    f"scene {quoted(scene)} of the vocabulary has label {quoted(label_names[column])} twice, once as "
                    f"{quoted(label)}",
                    "Merge the two.",
                )
            if images > found.images:
                raise ConfigurationError(
                    f"label {quoted(label)} of the vocabulary is on {images} of {found.images} images of scene "
                    f"{quoted(scene)}",
                    "Mend the vocabulary.",
                )
            carried[row, column] = images
    if not sampled.any():
        raise ConfigurationError("no scene of the vocabulary is one of the data's", "Give the data's own vocabulary.")
    return Rules(carried, sampled)


def wrong_by_vocabulary(labels: Labels, scenes: Scenes, rules: Rules, judged: Labels | None = None) -> Scores:
    """Return how probably each label is wrong, by what the vocabulary's sample says of the scene.

    Let g be the share of a scene's images that are given a label, and [low, high] the rates that its sample allows. If
    g is above high, some of those given are wrong: at least (g - high) / g of them; below low, at least
    (low - g) / (1 - g) of those not given. A label that stands outside the vocabulary is as probably wrong as right, at
    the least; in a small sample it may have been on as many images as are dropped for being few.

    Args:
        labels: (N, L).
        scenes: (N,) ids; -1 for an image without one, of which nothing is said.
        rules: The vocabulary.
        judged: (N, L), false where nothing is known of a label; None where all are known.

    Returns:
        (N, L), of labels that are given and of those that are not.
    """
    known = rules.sampled > 0
    count, images = np.where(known[:, None], rules.carried, 0), np.where(known, rules.sampled, 1)[:, None]
    most = np.where((count > 0) | rules.outside, count, np.minimum(LEAST_IMAGES - 1, images))
    low = beta.ppf(1 - _SURE, count + 0.5, images - count + 0.5)
    high = beta.ppf(_SURE, most + 0.5, images - most + 0.5)
    told = np.ones_like(labels) if judged is None else judged
    given = _scene_counts(labels & told, scenes, len(known)) / np.maximum(_scene_counts(told, scenes, len(known)), 1)
    excess = np.clip((given - high) / np.maximum(given, 1e-12), 0, 1)
    lack = np.clip((low - given) / np.maximum(1 - given, 1e-12), 0, 1)
    excess = np.where(rules.outside, np.maximum(excess, _OUTSIDE), excess) * known[:, None]
    lack = np.where(rules.carried > 0, lack, 0) * known[:, None]
    found: Scores = np.where(labels, excess[scenes], lack[scenes])
    found[scenes < 0] = 0
    return found


def scene_rates(labels: Labels, likely: Scores, judged: Labels | None = None) -> Scores:
    """Return how often the other images of the same scene carry each label, (N, L).

    A scene leans on all images by the weight of one; an image without a scene has their rates.

    Args:
        labels: (N, L).
        likely: (N, S), how probably each image is of each scene; zeros for one without. An image counts in each scene
            by that much, and its rates are those that are expected.
        judged: (N, L), false where nothing is known of a label, whose images do not count; None where all are known.
    """
    overall = label_rates(labels, judged)
    rates: Scores = np.empty(labels.shape)
    for counts, columns in judged_together(labels.shape, judged):
        # Of scene s and image i: (carried_s - w_is labels_i + overall) / (size_s - w_is + 1), weighed by w_is.
        own, counted = labels[:, columns], likely * counts[:, None]
        weights = likely / (counted.sum(axis=0) - counted + _PRIOR)
        carried = counted.T @ own + _PRIOR * overall[columns]
        rates[:, columns] = weights @ carried - own * (weights * counted).sum(axis=1)[:, None]
    has_scene = likely.sum(axis=1, keepdims=True) > 0
    return np.where(has_scene, rates, overall)


def label_rates(labels: Labels, judged: Labels | None = None) -> Scores:
    """Return the share of images that carry each label, (L,), of those of which that is known."""
    if judged is None:
        return labels.mean(axis=0)
    rates: Scores = (labels & judged).sum(axis=0) / np.maximum(judged.sum(axis=0), 1)
    return rates


def judged_together(shape: tuple[int, ...], judged: Labels | None) -> Iterator[tuple[Labels, npt.NDArray[np.int64]]]:
    """Yield the labels that are known of the same images: a mask of these, (N,), and the labels' ids; each label once.

    Args:
        shape: (N, L).
        judged: (N, L), false where nothing is known of a label; None where all are known.
    """
    if judged is None or judged.all():
        yield np.ones(shape[0], bool), np.arange(shape[1])
        return
    patterns, places = np.unique(judged, axis=1, return_inverse=True)
    for number, images in enumerate(patterns.T):
        yield images, np.flatnonzero(places.ravel() == number)


def _scene_counts(labels: Labels, scenes: Scenes, scene_count: int) -> Scores:
    counts = np.zeros((scene_count, labels.shape[1]))
    inside = scenes >= 0
    np.add.at(counts, scenes[inside], labels[inside])
    return counts


def co_occurrence(labels: Labels, scenes: Scenes | None = None, scene_count: int = 0) -> Scores:
    """Return how probable each label is given the other labels of its image, by linear regression on them.

    The regression of every column on all others is read off the inverse of their covariance: the coefficient of k in
    that of j is -P[j, k] / P[j, j]. Values are cut to 0 to 1.

    Args:
        labels: (N, L).
        scenes: (N,) ids, whose columns count among the others; None for labels alone.
        scene_count: Number of scenes.

    Returns:
        (N, L).
    """
    columns = [labels.astype(np.float64)]
    if scenes is not None:
        columns.append(np.eye(scene_count + 1)[scenes])  # -1 is the last
    values = np.concatenate(columns, axis=1)
    means = values.mean(axis=0)
    centered = values - means
    precision = np.linalg.inv(centered.T @ centered / len(values) + _PENALTY * np.eye(values.shape[1]))
    diagonal = np.diag(precision)
    # x_j - prediction_j = sum over k of P[j, k] (x_k - mean_k) / P[j, j]
    residual = (centered @ precision) / diagonal
    predicted: Scores = np.clip((values - residual)[:, : labels.shape[1]], 0, 1)
    return predicted
