import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, f1_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import METRICS, mean_average_precision, sample_f1

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 7))


@st.composite
def targets_and_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct scores, so that ties are common."""
    shape = draw(SHAPES)
    targets = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 1)))
    scores = draw(hnp.arrays(np.int64, shape, elements=st.integers(-3, 4)))
    return targets, scores / 4


def brute_force_ap(targets: np.ndarray, scores: np.ndarray) -> float:
    """Sum over distinct thresholds of gained recall times precision, from the definition."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        hits = (targets[taken] == 1).sum()
        recall = hits / targets.sum()
        total += (recall - recall_before) * hits / taken.sum()
        recall_before = recall
    return total


@given(targets_and_scores())
def test_average_precision_equals_brute_force_and_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    result = mean_average_precision(targets, scores)
    for j, value in enumerate(result.per_label):
        if targets[:, j].any():
            assert value == pytest.approx(brute_force_ap(targets[:, j], scores[:, j]), abs=1e-12)
            assert value == pytest.approx(average_precision_score(targets[:, j], scores[:, j]), abs=1e-12)
        else:
            assert np.isnan(value)
    occurring = targets.any(axis=0)
    assert result.undefined == (~occurring).sum()
    if occurring.any():
        expected = average_precision_score(targets[:, occurring], scores[:, occurring], average="macro")
        assert result.value == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(result.value)


@given(targets_and_scores(), st.randoms())
def test_order_of_images_and_labels_does_not_matter(data: tuple[np.ndarray, np.ndarray], random: object) -> None:
    targets, scores = data
    rows, columns = (np.random.default_rng(0).permutation(n) for n in targets.shape)
    shuffled = mean_average_precision(targets[rows][:, columns], scores[rows][:, columns])
    np.testing.assert_allclose(shuffled.per_label, mean_average_precision(targets, scores).per_label[columns])
    assert sample_f1(targets[rows][:, columns], scores[rows][:, columns], threshold=0.5) == pytest.approx(
        sample_f1(targets, scores, threshold=0.5)
    )


@given(targets_and_scores(), st.sampled_from([0.0, 1.0]))
def test_sample_f1_equals_scikit_learn(data: tuple[np.ndarray, np.ndarray], zero_division: float) -> None:
    targets, scores = data
    predictions = (scores > 0.5).astype(int)
    expected = np.mean(
        [
            f1_score(t, p, zero_division=zero_division) if t.any() or p.any() else zero_division
            for t, p in zip(targets, predictions, strict=True)
        ]
    )
    assert sample_f1(targets, predictions, zero_division=zero_division) == pytest.approx(expected)
    assert sample_f1(targets, scores, threshold=0.5, zero_division=zero_division) == pytest.approx(expected)


def test_by_hand() -> None:
    # Label 0, by score: 1 0 1 0 -> AP = 1/2 * 1/1 + 1/2 * 2/3 = 5/6.
    # Label 1: all four tie, two positives -> AP = 1 * 2/4 = 1/2.
    targets = [[1, 1], [0, 1], [1, 0], [0, 0]]
    scores = [[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.6, 0.5]]
    result = mean_average_precision(targets, scores)
    np.testing.assert_allclose(result.per_label, [5 / 6, 1 / 2])
    assert result.value == pytest.approx((5 / 6 + 1 / 2) / 2)
    # Threshold 0.5 is exceeded by label 0 only: F1 = 2/3, 0, 1, 0.
    assert sample_f1(targets, scores, threshold=0.5) == pytest.approx((2 / 3 + 0 + 1 + 0) / 4)


def test_float32_scores_equal_their_float64_values() -> None:
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 2, (200, 5)), rng.random((200, 5), dtype=np.float32)
    assert mean_average_precision(targets, scores).value == mean_average_precision(targets, scores.astype(float)).value


@pytest.mark.parametrize(
    ("targets", "scores", "message"),
    [
        ([[0, 2]], [[0.1, 0.2]], r"targets\[0, 1\] is 2"),
        ([[0, 1]], [[0.1, np.nan]], r"scores\[0, 1\] is nan"),
        ([[0, 1], [0, 1]], [[0.1, 0.2], [-np.inf, 0.2]], r"scores\[1, 0\] is -inf"),
        ([[0, 1]], [[0.1, 0.2, 0.3]], r"targets have shape \(1, 2\) but scores \(1, 3\)"),
        ([0, 1], [0.1, 0.2], r"targets have shape \(2,\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"targets have shape \(0, 3\)"),
        ([["a"]], [[0.5]], r"targets have dtype"),
    ],
)
def test_bad_input_names_argument_and_position(targets: list, scores: list, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        mean_average_precision(targets, scores)


def test_predictions_without_threshold_must_be_binary() -> None:
    with pytest.raises(ConfigurationError, match=r"predictions\[0, 0\] is 0.4.* together with a threshold"):
        sample_f1([[1]], [[0.4]])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_registry_declares_direction_and_bounds(metric) -> None:  # noqa: ANN001
    targets = np.eye(4, 3, dtype=int)[[0, 1, 2, 0]]
    best, worst = metric.function(targets, targets.astype(float)), metric.function(targets, 1.0 - targets)
    assert (best > worst) == metric.higher_is_better
    assert best == metric.bounds[1]
    assert metric.bounds[0] <= worst
