import numpy as np
import pytest
from scipy import stats

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import Mean, bootstrap, mean_average_precision, over_repeats


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
    with pytest.raises(ConfigurationError, match="1 groups for 4 values"):
        mean.by(["a"])


def test_standard_error_equals_scipy() -> None:
    values = np.random.default_rng(0).random(50)
    assert Mean(np.append(values, np.nan)).standard_error() == pytest.approx(stats.sem(values))
    assert np.isnan(Mean([1.0]).standard_error())


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
    with pytest.raises(ConfigurationError, match=r"the arrays have \[2, 3\] rows"):
        bootstrap(mean_average_precision, [1, 2], [1, 2, 3])
    with pytest.raises(ConfigurationError, match="confidence=95"):
        bootstrap(mean_average_precision, targets, targets, confidence=95)


def test_over_repeats_is_mean_and_sample_deviation() -> None:
    values = [0.81, 0.83, 0.82, 0.80, 0.84]
    assert over_repeats(values) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
