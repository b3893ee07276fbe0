"""Labels that a whole scene carries or lacks, against what the images of other scenes say of such images.

A mistake on all images of a scene is right to each of them: the nearest images have it too, and a model has learned it.
A probe that has seen no image of the scene has not. Scenes differ for good reasons too, so that this is a list for
people to read, and no evidence of a single label.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages
from mlrsnet_hf.errors import ConfigurationError

LEAST_DIFFERENCE = 0.3
"""Difference of two shares from which on a scene's label is listed."""
LEAST_ELSEWHERE = 20
"""Images of other scenes that carry a label, of which a probe can learn it."""
_FOLDS = 10


@dataclass(frozen=True, slots=True)
class SceneLabel:
    """A label of a scene."""

    scene: str
    label: str
    images: int
    """Of the scene, of which the label is known."""
    given: float
    """Share of them that carry the label."""
    expected: float
    """Share that would by what the images of other scenes say."""

    @property
    def difference(self) -> float:
        """How far the two are from each other."""
        return abs(self.given - self.expected)


def contradicted_scenes(images: LabeledImages, seed: int = 0) -> list[SceneLabel]:
    """Return the labels of scenes that images of other scenes contradict, the most contradicted first.

    Args:
        images: With embeddings and scenes.
        seed: Of the folds, each of which holds whole scenes.

    Raises:
        ConfigurationError: There are no embeddings, or fewer than two scenes.
    """
    if images.embeddings is None or images.scenes is None:
        raise ConfigurationError(
            "whole scenes are compared by embeddings of images that have scenes",
            "Give embeddings of a dataset that names scenes, or leave it out.",
        )
    rows = np.flatnonzero((images.scenes >= 0) & images.embeddings.any(axis=1))
    scenes, labels = images.scenes[rows], images.labels[rows]
    present, place = np.unique(scenes, return_inverse=True)
    if len(present) < 2:
        raise ConfigurationError("whole scenes are compared, and there are fewer than two", "Leave it out.")
    judged = np.ones_like(labels) if images.unknown is None else ~images.unknown[rows]
    scores = out_of_fold_scores(images.embeddings[rows], labels, min(_FOLDS, len(present)), scenes, seed, judged)
    carried, expected, sizes = (np.zeros((len(present), labels.shape[1])) for _ in range(3))
    np.add.at(carried, place, labels & judged)
    np.add.at(expected, place, scores * judged)
    np.add.at(sizes, place, judged)
    is_known = (carried.sum(axis=0) - carried >= LEAST_ELSEWHERE) & (sizes > 0)
    found = [
        SceneLabel(
            images.scene_names[present[scene]],
            images.label_names[label],
            int(sizes[scene, label]),
            float(carried[scene, label] / sizes[scene, label]),
            float(expected[scene, label] / sizes[scene, label]),
        )
        for scene, label in np.argwhere(is_known).tolist()
    ]
    return sorted((one for one in found if one.difference >= LEAST_DIFFERENCE), key=lambda one: -one.difference)


def write_whole_scenes(path: Path, images: LabeledImages, seed: int = 0) -> str:
    """Write `contradicted_scenes` as a table, and return what is in it as a line.

    Raises:
        ConfigurationError: They cannot be compared, or the table cannot be written.
    """
    found = contradicted_scenes(images, seed)
    names = ("scene", "label", "images", "given", "expected", "difference")
    write_table(path, {name: [getattr(one, name) for one in found] for name in names})
    return f"{len(found):,} labels of whole scenes contradict other scenes: {path}"
