"""Curves of folds and labels, against what the scores were made of."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlrsnet_hf.curation.wrong_labels.calibration import calibrated, logistic_curve


def test_folds_speak_alike_afterwards() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 2, (3000, 4))
    labels = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
    folds = generator.integers(0, 3, 3000)
    # Each network says it in a language of its own: too sure, too careful, moved to one side.
    slope, offset = np.array([3.0, 0.4, 1.0])[folds][:, None], np.array([0.0, 0.0, 2.5])[folds][:, None]
    scores = 1 / (1 + np.exp(-slope * logits - offset))
    found = calibrated(scores, labels, folds)
    exact = 1 / (1 + np.exp(-logits))
    assert np.abs(found - exact).mean() < 0.03
    assert np.abs(scores - exact).mean() > 0.1


def test_what_is_unknown_teaches_nothing() -> None:
    generator = np.random.default_rng(1)
    scores = generator.random((400, 2))
    labels = generator.random((400, 2)) < scores
    unknown = np.zeros_like(labels)
    unknown[200:, 0] = True
    turned = labels ^ unknown
    folds = np.zeros(400, np.int64)
    assert calibrated(scores, labels, folds, unknown) == pytest.approx(calibrated(scores, turned, folds, unknown))


def test_the_curve_is_that_of_scikit_learn_and_none_where_all_are_alike() -> None:
    values = np.array([-2.0, -1, 0, 1, 2])
    labels = np.array([False, True, False, True, True])
    expected = LogisticRegression(C=1e4).fit(values[:, None], labels).predict_proba(values[:, None])[:, 1]
    assert logistic_curve(values, labels) == pytest.approx(expected)
    assert logistic_curve(values, np.ones(5, bool)) == pytest.approx([5.5 / 6] * 5)
    assert calibrated(np.array([[0.0], [1.0]]), np.zeros((2, 1), bool), np.zeros(2, np.int64)) == pytest.approx(0.5 / 3)
