"""Invariants of every metric in the registry."""

import numpy as np
import pytest

from mlrsnet_hf.metrics import METRICS, Metric, RelevantRanks, metrics_of

CLASSIFICATION, RANKING = metrics_of("classification"), metrics_of("ranking")


def test_families_make_up_the_registry() -> None:
    assert {**CLASSIFICATION, **RANKING} == METRICS
    assert [metric.title for metric in RANKING.values()] == ["ANMRR", "mAP", "P@10", "P@50", "P@100", "P@500"]
    assert not METRICS["anmrr"].higher_is_better


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_best_and_worst_reach_the_declared_bounds(metric: Metric) -> None:
    if metric.family == "classification":
        targets = np.eye(4, 3, dtype=int)[[0, 1, 2, 0]]
        best, worst = metric.function(targets, targets + 0.0), metric.function(targets, 1.0 - targets)
    else:
        first = np.arange(4000) < 1000
        best, worst = (metric.function(RelevantRanks.from_relevance([row])) for row in (first, first[::-1]))
    low, high = metric.bounds
    assert best == pytest.approx(high if metric.higher_is_better else low)
    assert low <= worst <= high
    assert (best > worst) == metric.higher_is_better


@pytest.mark.parametrize("metric", CLASSIFICATION.values(), ids=CLASSIFICATION)
def test_order_of_images_and_labels_does_not_matter(metric: Metric) -> None:
    draw = np.random.default_rng(0)
    targets, scores = draw.integers(0, 2, (30, 6)), draw.random((30, 6))
    rows, columns = draw.permutation(30), draw.permutation(6)
    shuffled = metric.function(targets[rows][:, columns], scores[rows][:, columns])
    assert shuffled == pytest.approx(metric.function(targets, scores), abs=1e-12)
    assert metric.function(targets, scores.astype(np.float32).astype(float)) == metric.function(
        targets, scores.astype(np.float32)
    )
