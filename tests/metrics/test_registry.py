"""Invariants of every metric in the registry."""

import math

import numpy as np
import pytest

from mlrsnet_hf import metrics
from mlrsnet_hf.metrics import METRICS, Metric, RelevantRanks, metrics_of, training_metrics, training_values

CLASSIFICATION, RETRIEVAL = metrics_of("classification"), metrics_of("retrieval")
NO_MEASURES = {
    metrics.best_thresholds,
    metrics.bootstrap,
    metrics.classification_report,
    metrics.common_labels,
    metrics.over_repeats,
    metrics.metric_title,
    metrics_of,
    training_metrics,
    training_values,
}


def value_of(metric: Metric, *inputs: object) -> float:
    value = metric.function(*inputs)
    return value.precision.mean() if isinstance(value, metrics.PrecisionRecallCurve) else value


def test_families_make_up_the_registry() -> None:
    assert {**CLASSIFICATION, **RETRIEVAL} == METRICS
    table9 = metrics_of("retrieval", headline_only=True)
    assert [metric.title for metric in table9.values()] == ["ANMRR", "mAP", "P@10", "P@50", "P@100", "P@500"]
    assert list(metrics_of("classification", headline_only=True)) == ["sample_f1", "map"]
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == [
        "hamming_loss",
        "calibration_error",
        "anmrr",
    ]


def test_every_public_measure_is_declared() -> None:
    measures = {getattr(metrics, name) for name in metrics.__all__ if name.islower()} - NO_MEASURES
    assert measures <= {metric.documented_function for metric in METRICS.values()}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_docstrings_say_the_declared_direction(metric: Metric) -> None:
    text = metric.documented_function.__doc__ or metric.direction
    assert metric.direction in text or "precision_recall" in metric.name
    assert {"higher is better": "lower is better", "lower is better": "higher is better"}[metric.direction] not in text


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_best_and_worst_reach_the_declared_bounds(metric: Metric) -> None:
    if metric.inputs == "scores":
        targets = np.eye(4, 3, dtype=int)[[0, 1, 2, 0]]
        best, worst = value_of(metric, targets, targets + 0.0), value_of(metric, targets, 1.0 - targets)
    elif metric.inputs == "gains":
        best, worst = (value_of(metric, gains) for gains in (np.arange(200)[None, ::-1], np.arange(200)[None]))
    else:
        # P@500 is 1 with 500 relevant items at least, R@100 with 100 at most.
        first = np.arange(4000) < (50 if "recall_at" in metric.name else 1000)
        best, worst = (value_of(metric, RelevantRanks.from_relevance([row])) for row in (first, first[::-1]))
    low, high = metric.bounds
    if math.isfinite(high):
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
    single = scores.astype(np.float32)
    assert metric.function(targets, single.astype(float)) == pytest.approx(metric.function(targets, single), abs=1e-12)


def test_training_values_are_those_of_the_functions() -> None:
    draw = np.random.default_rng(0)
    targets, scores = draw.integers(0, 2, (30, 6)), draw.random((30, 6))
    targets[:, 2] = 0
    values = training_values(targets, scores)
    assert values == {name: float(m.function(targets, scores)) for name, m in METRICS.items() if m.in_training}
    assert {type(value) for value in values.values()} == {float}


def test_training_values_at_thresholds_are_those_of_the_decisions() -> None:
    draw = np.random.default_rng(0)
    targets, scores, thresholds = draw.integers(0, 2, (30, 6)), draw.random((30, 6)), draw.random(6)
    values = training_values(targets, scores, thresholds)
    decided = training_values(targets, (scores > thresholds) + 0.0)
    assert values.pop("map") == training_values(targets, scores)["map"] != decided.pop("map")
    assert values == decided


@pytest.mark.parametrize("metric", CLASSIFICATION.values(), ids=CLASSIFICATION)
def test_a_report_holds_the_same_value(metric: Metric) -> None:
    draw = np.random.default_rng(1)
    targets, scores = draw.integers(0, 2, (30, 6)), draw.random((30, 6))
    report = metrics.classification_report(targets, scores, threshold=0.5)
    if metric.from_report is not None:
        assert metric.from_report(report) == metric.function(targets, scores)
    assert (metric.from_report is None) == (metric.name in ("map", "calibration_error"))


def test_summary_is_one_line_for_people() -> None:
    assert METRICS["anmrr"].summary == (
        "Values from 0 to 1; lower is better. Manjunath et al. (2001); Qi et al. (2020), Table 9."
    )
    assert METRICS["acg_at_100"].summary.startswith("Values from 0 to any gain; higher is better.")
