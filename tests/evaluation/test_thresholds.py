import numpy as np
import pytest
from sklearn.metrics import f1_score

from mlrsnet_hf.evaluation.predictions import Predictions
from mlrsnet_hf.evaluation.thresholds import thresholds_by_label, tune_thresholds, untuned_labels
from mlrsnet_hf.inputs.task import Task

TASK = Task(kind="labels", label_names=("a", "b", "c"))


def test_by_hand() -> None:
    # a: positives at 0.8 and 0.3, negatives at 0.2: best cut half-way between 0.3 and 0.2. b: everywhere, so any
    # threshold below all scores; 0. c: nowhere, so 0.5 stays.
    scores = np.array([[0.8, 0.6, 0.9], [0.3, 0.4, 0.1], [0.2, 0.9, 0.2]])
    targets = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    predictions = Predictions(targets=targets, logits=np.log(scores / (1 - scores)).astype(np.float32))
    thresholds = tune_thresholds(predictions)
    assert thresholds.tolist() == pytest.approx([0.25, 0.0, 0.5], abs=1e-6)
    assert untuned_labels(predictions, TASK) == ("c",)
    assert thresholds_by_label(thresholds, TASK) == dict(zip("abc", thresholds, strict=True))


def test_no_other_threshold_has_a_higher_f1() -> None:
    draw = np.random.default_rng(0)
    targets = (draw.random((40, 3)) < 0.3).astype(np.float32)
    predictions = Predictions(targets=targets, logits=(2 * targets + draw.normal(size=(40, 3)) - 1).astype(np.float32))
    chosen = tune_thresholds(predictions)
    for label in range(3):
        column = predictions.scores[:, label]
        found = f1_score(targets[:, label], column > chosen[label])
        assert found >= max(f1_score(targets[:, label], column > t) for t in np.linspace(0, 0.99, 50))
