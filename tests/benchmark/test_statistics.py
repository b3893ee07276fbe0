"""Tests of differences against SciPy's plain t test, hand computation, and draws made one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlrsnet_hf.benchmark.statistics import compare_pairs, corrected_t_test, holm, paired_bootstrap
from mlrsnet_hf.errors import ConfigurationError

DIFFERENCES = [0.021, 0.013, 0.034, -0.002, 0.018]


def test_corrected_t_test_by_hand() -> None:
    # Of J = 5: mean 0.084 / 5 = 0.0168; squares about it 0.0042^2 + 0.0038^2 + 0.0172^2 + 0.0188^2 + 0.0012^2
    # = 0.00001764 + 0.00001444 + 0.00029584 + 0.00035344 + 0.00000144 = 0.0006828, so s^2 = 0.0001707.
    # Ratio 20%: 70% tested, 20% trained on, so the factor is 1/5 + 7/2 = 3.7.
    error = math.sqrt(3.7 * 0.0001707)
    t = 0.0168 / error  # 0.66848
    # With 4 degrees of freedom P(|T| < t) = sin a * (1 + cos^2 a / 2), a = atan(t / 2) (Abramowitz and Stegun 26.7.4).
    angle = math.atan(t / 2)
    p = 1 - math.sin(angle) * (1 + math.cos(angle) ** 2 / 2)
    found = corrected_t_test(DIFFERENCES, training_images=20, test_images=70)
    assert found.value == pytest.approx(0.0168)
    assert found.p_value == pytest.approx(p)
    # The tables' two-sided 5% point of 4 degrees of freedom is 2.776445.
    assert found.bounds.low == pytest.approx(0.0168 - 2.776445 * error, rel=1e-6)
    assert found.bounds.high == pytest.approx(0.0168 + 2.776445 * error, rel=1e-6)
    assert found.samples == 5


def test_without_overlap_it_is_the_plain_paired_t_test() -> None:
    first, second = np.random.default_rng(0).normal([[0.90], [0.88]], 0.02, (2, 7))
    expected = stats.ttest_rel(first, second)
    found = corrected_t_test(first - second, training_images=40, test_images=0)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.bounds.low, found.bounds.high) == pytest.approx((interval.low, interval.high))


def test_the_p_value_is_the_level_at_which_the_interval_reaches_0() -> None:
    found = corrected_t_test(DIFFERENCES, training_images=40, test_images=1)
    half = (found.bounds.high - found.bounds.low) / 2
    error = half / stats.t.ppf(0.975, 4)
    quantile = stats.t.ppf(1 - found.p_value / 2, 4)
    assert found.value - quantile * error == pytest.approx(0, abs=1e-12)


def test_more_overlap_makes_less_sure() -> None:
    values = [corrected_t_test(DIFFERENCES, 40, tested).p_value for tested in (0, 10, 50, 200)]
    assert values == sorted(values) and values[0] < 0.05 < values[-1]


@pytest.mark.parametrize("differences", [[], [0.1], [math.nan, 0.1], [0.1, 0.1, 0.1]])
def test_without_deviation_there_is_no_test(differences: list[float]) -> None:
    found = corrected_t_test(differences, 40, 50)
    assert math.isnan(found.p_value) and not found.bounds.are_defined
    assert math.isnan(found.value) != bool(differences)


def test_networks_that_never_differ_are_the_same() -> None:
    found = corrected_t_test([0.0, 0.0, 0.0], 40, 50)
    assert (found.value, found.p_value, found.bounds.low, found.bounds.high) == (0, 1, 0, 0)


@pytest.mark.parametrize(("trained", "tested"), [(0, 5), (5, -1)])
def test_numbers_of_images_are_checked(trained: int, tested: int) -> None:
    with pytest.raises(ConfigurationError):
        corrected_t_test(DIFFERENCES, trained, tested)


def test_holm_by_hand() -> None:
    # Holm's own order: 0.005 * 4, 0.011 * 3, 0.02 * 2, 0.04 * 1 = 0.02, 0.033, 0.04, 0.04.
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


def test_what_cannot_be_tested_is_no_hypothesis() -> None:
    assert holm([math.nan, 0.03, math.nan, 0.01]) == pytest.approx([math.nan, 0.03, math.nan, 0.02], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float], level: float) -> None:
    rejected, left = set(), sorted(range(len(p_values)), key=p_values.__getitem__)
    while left and len(left) * p_values[left[0]] <= level:
        rejected.add(left.pop(0))
    # Of equal p-values the procedure rejects all or none, whichever comes first.
    assert set(np.flatnonzero(holm(p_values) <= level).tolist()) == rejected


def test_pairs_in_order_with_what_both_have() -> None:
    scores = {"a": [0.9, 0.8, 0.85, math.nan], "b": [0.7, 0.75, 0.72, 0.6], "c": [math.nan, 0.7, 0.79, 0.61]}
    tests = compare_pairs(scores, 40, 50)
    assert [(test.first, test.second, test.difference.samples) for test in tests] == [
        ("a", "b", 3),
        ("a", "c", 2),
        ("b", "c", 3),
    ]
    first, second, third = (test.difference for test in tests)
    assert first.value == pytest.approx((0.9 - 0.7 + 0.8 - 0.75 + 0.85 - 0.72) / 3)
    assert first.p_value == pytest.approx(corrected_t_test([0.2, 0.05, 0.13], 40, 50).p_value)
    assert second.value == pytest.approx((0.8 - 0.7 + 0.85 - 0.79) / 2)
    assert [test.holm_p_value for test in tests] == pytest.approx(
        holm([first.p_value, second.p_value, third.p_value]).tolist()
    )


def test_pairs_of_other_numbers_of_repetitions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a 2, b 1"):
        compare_pairs({"a": [1.0, 2.0], "b": [1.0]}, 40, 50)


def test_paired_bootstrap_by_hand() -> None:
    # Differences 0.1, 0.1, -0.1, 0.2, 0: at or below 0 are 2, at or above 4; p = 2 * (1 + 2) / 6 = 1.
    found = paired_bootstrap(0.07, np.array([0.6, 0.6, 0.4, 0.7, 0.5]), np.full(5, 0.5))
    assert (found.value, found.p_value, found.samples) == (0.07, 1.0, 5)
    # Always above: p = 2 * 1 / 6.
    found = paired_bootstrap(0.07, np.array([0.6, 0.61, 0.62, 0.63, math.nan, 0.64]), np.full(6, 0.5))
    assert found.p_value == pytest.approx(1 / 3) and found.samples == 5
    # The 2.5% and 97.5% quantiles of 0.1 ... 0.14: a tenth of a step within the ends.
    assert (found.bounds.low, found.bounds.high) == pytest.approx((0.101, 0.139))


def test_paired_bootstrap_with_nothing_defined() -> None:
    found = paired_bootstrap(math.nan, np.array([math.nan]), np.array([0.5]))
    assert math.isnan(found.p_value) and not found.bounds.are_defined and found.samples == 0


def test_paired_bootstrap_agrees_with_the_t_test_where_both_apply() -> None:
    """Of a plain mean over many independent images both are nearly the normal test."""
    draw = np.random.default_rng(5)
    values = draw.normal(0.004, 0.05, 900)
    drawn = values[draw.integers(900, size=(4000, 900))].mean(axis=1)
    found = paired_bootstrap(float(values.mean()), drawn, np.zeros(4000))
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_draws_of_another_number_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        paired_bootstrap(0.1, np.zeros(3), np.zeros(4))
