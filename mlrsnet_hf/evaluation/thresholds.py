"""A threshold for each label, chosen on the validation split."""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.evaluation.predictions import Predictions
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics import best_thresholds
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD


def tune_thresholds(validation: Predictions) -> npt.NDArray[np.float64]:
    """Return the threshold of each label that gives its highest F1 on the validation split.

    A label without an image there keeps 0.5. The scores on the validation split at these thresholds are optimistic,
    because they were chosen on it; those on the test split are not.

    Args:
        validation: Predictions of the split, with labels.

    Returns:
        (L,) float64 in [0, 1]; scores above it predict the label.
    """
    thresholds = best_thresholds(validation.targets, validation.scores, default=PAPER_THRESHOLD)
    # One below 0 would say no more than 0: every image has the label.
    return np.maximum(thresholds, 0.0)


def untuned_labels(validation: Predictions, task: Task) -> tuple[str, ...]:
    """Return the names of the labels that keep 0.5, because no image of the validation split has them."""
    images = validation.targets.sum(axis=0).tolist()
    return tuple(name for name, count in zip(task.label_names, images, strict=True) if not count)


def thresholds_by_label(thresholds: npt.NDArray[np.float64], task: Task) -> dict[str, float]:
    """Return the (L,) thresholds by label name, for results and the model's configuration."""
    return dict(zip(task.label_names, thresholds.tolist(), strict=True))
