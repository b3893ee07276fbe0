"""Weights of evidence, against a regression that is done elsewhere, and against what the labels were drawn by."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from mlrsnet_hf.curation.wrong_labels import weights as module
from mlrsnet_hf.curation.wrong_labels.weights import weighed


def test_weights_without_mistakes_are_those_of_a_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TURNED", 0.0)
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((4000, 3)) * 2
    labels = generator.random(4000) < expit(logits @ [0.9, 0.4, 0.1] - 0.3)
    found, offset = weighed(logits, labels)
    expected = LogisticRegression(C=1e8).fit(logits, labels)
    assert found == pytest.approx(expected.coef_[0], abs=2e-3)
    assert offset == pytest.approx(expected.intercept_[0], abs=2e-3)


def test_mistakes_do_not_pull_and_what_tells_nothing_counts_nothing() -> None:
    generator = np.random.default_rng(1)
    logits = generator.standard_normal((20000, 3)) * 3
    truth = generator.random(20000) < expit(logits @ [1.0, 0.5, 0.0] - 1)
    labels = truth ^ (generator.random(20000) < 0.02)
    found, offset = weighed(logits, labels)
    assert found == pytest.approx([1, 0.5, 0], abs=0.06) and offset == pytest.approx(-1, abs=0.1)
    plain = LogisticRegression(C=1e8).fit(logits, labels).coef_[0]
    assert abs(plain[0] - 1) > 2 * abs(found[0] - 1)
    against, _ = weighed(logits * [1, -1, 1], labels)  # no kind counts against itself
    assert against[0] > 0.5 and against[1] == 0
