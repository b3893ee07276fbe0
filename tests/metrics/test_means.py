from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import Mean, anmrr, bootstrap, mean_average_precision, over_repeats


def test_a_mean_is_a_float() -> None:
    mean = Mean([0.25, 0.75])
    assert mean == 0.5
    assert isinstance(mean, float)
    assert f"{mean:.2f}" == "0.50"


def test_undefined_values_are_left_out_and_counted() -> None:
    mean = Mean([1.0, np.nan, 0.0])
    assert mean == 0.5
    assert mean.undefined == 1
    assert np.isnan(Mean([np.nan]))


def test_groups_keep_their_order_and_weights() -> None:
    mean = Mean([1.0, 2.0, 3.0, np.nan], weights=np.array([1.0, 1.0, 3.0, 1.0]))
    groups = mean.by(["b", "a", "a", "b"])
    assert list(groups) == ["b", "a"]
    assert groups == {"b": 1.0, "a": (2.0 + 3 * 3.0) / 4}
    assert Mean([1.0, 3.0]).by(np.array([7, 7])) == {7: 2.0}
    with pytest.raises(ConfigurationError, match=r"1 groups .*4"):
        mean.by(["a"])


def test_standard_error_equals_scipy() -> None:
    values = np.random.default_rng(0).random(50)
    assert Mean(np.append(values, np.nan)).standard_error() == pytest.approx(stats.sem(values))
    assert np.isnan(Mean([1.0]).standard_error())


@pytest.mark.parametrize("groups", [torch.tensor([3, 5, 3]), [torch.tensor(3), torch.tensor(5), torch.tensor(3)]])
def test_groups_of_tensors_are_grouped_by_value(groups: Sequence[Any]) -> None:
    assert Mean([1.0, 2.0, 3.0]).by(groups) == {3: 2.0, 5: 2.0}
    with pytest.raises(ConfigurationError, match=r"groups .*\(1, 3\)"):
        Mean([1.0, 2.0, 3.0]).by(np.array([[3, 5, 3]]))


def test_standard_error_with_weights() -> None:
    values = np.random.default_rng(0).random(50)
    assert Mean(values, weights=np.full(50, 3.0)).standard_error() == pytest.approx(stats.sem(values))
    # A value without weight, or without value, does not exist; weights count as shares.
    weights = np.linspace(0.5, 2, 50)
    expected = Mean(values, weights=weights).standard_error()
    more = Mean([*values, 9.0, np.nan], weights=np.array([*(7 * weights), 0.0, 1.0]))
    assert more.standard_error() == pytest.approx(expected)
    # Mean (1 * 2 + 3 * 4) / 4 = 3.5: sqrt(2 * (1 * 1.5^2 + 9 * 0.5^2)) / 4 = sqrt(9) / 4.
    assert Mean([2.0, 4.0], weights=np.array([1.0, 3.0])).standard_error() == pytest.approx(0.75)
    assert np.isnan(Mean([1.0, 2.0], weights=np.zeros(2)))


def test_weighted_standard_error_is_the_spread_of_the_weighted_mean() -> None:
    draw = np.random.default_rng(0)
    weights = np.array([1.0, 2.0, 5.0] * 40)
    means = [Mean(draw.normal(size=120), weights=weights) for _ in range(3000)]
    errors = [mean.standard_error() for mean in means]
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.05)


def test_bootstrap_of_a_mean_covers_like_the_normal_theory() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(lambda sample: Mean(sample), values, resamples=4000)
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)


def test_bootstrap_draws_rows_together() -> None:
    targets = np.eye(3, dtype=int)[[0, 1, 2] * 20]
    interval = bootstrap(mean_average_precision, targets, targets + 0.0, resamples=50)
    assert (interval.low, interval.high) == (1.0, 1.0)
    with pytest.raises(ConfigurationError, match=r"\[2, 3\]"):
        bootstrap(mean_average_precision, [1, 2], [1, 2, 3])
    with pytest.raises(ConfigurationError, match="confidence=95"):
        bootstrap(mean_average_precision, targets, targets, confidence=95)
    with pytest.raises(ConfigurationError, match="resamples=0"):
        bootstrap(mean_average_precision, targets, targets, resamples=0)


def test_bootstrap_with_a_given_gtm_equals_that_of_the_queries_values() -> None:
    rows = np.random.default_rng(0).random((20, 40)) < np.linspace(0.05, 0.5, 20)[:, None]
    rows[:, 0] = True
    gtm = int(rows.sum(axis=1).max())
    interval = bootstrap(partial(anmrr, gtm=gtm), rows, resamples=40)
    fixed = bootstrap(np.mean, anmrr(rows).values, resamples=40)
    assert (interval.low, interval.high) == pytest.approx((fixed.low, fixed.high))


def test_over_repeats_is_mean_and_sample_deviation() -> None:
    values = [0.81, 0.83, 0.82, 0.80, 0.84]
    assert over_repeats(values) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
    assert np.isnan(over_repeats([0.5])[1])
    with pytest.raises(ConfigurationError, match=r"repeats .*\(0,\)"):
        over_repeats([])
