import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import mean_average_precision


@st.composite
def targets_and_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 7)))
    targets = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 1)))
    scores = draw(hnp.arrays(np.int64, shape, elements=st.integers(-3, 4)))
    return targets, scores / 4


def brute_force(targets: np.ndarray, scores: np.ndarray) -> float:
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
def test_values_equal_brute_force_and_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    result = mean_average_precision(targets, scores)
    for j, value in enumerate(result.values):
        if targets[:, j].any():
            assert value == pytest.approx(brute_force(targets[:, j], scores[:, j]), abs=1e-12)
            assert value == pytest.approx(average_precision_score(targets[:, j], scores[:, j]), abs=1e-12)
        else:
            assert np.isnan(value)
    assert result.undefined == (~targets.any(axis=0)).sum()


@given(targets_and_scores(), st.sampled_from(["macro", "weighted", "micro"]))
def test_averages_equal_scikit_learn_over_the_labels_that_occur(
    data: tuple[np.ndarray, np.ndarray], average: str
) -> None:
    targets, scores = data
    kept = targets.any(axis=0)
    ours = mean_average_precision(targets, scores, average=average)
    if not kept.any():
        assert np.isnan(ours)
    elif average == "micro":
        assert ours == pytest.approx(average_precision_score(targets.ravel(), scores.ravel()), abs=1e-12)
    else:
        expected = average_precision_score(targets[:, kept], scores[:, kept], average=average)
        assert ours == pytest.approx(expected, abs=1e-12)


@given(targets_and_scores())
def test_samples_average_equals_scikit_learn_over_the_images_with_labels(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    ours = mean_average_precision(targets, scores, average="samples")
    rows = [average_precision_score(t, s) for t, s in zip(targets, scores, strict=True) if t.any()]
    assert ours == pytest.approx(np.mean(rows) if rows else np.nan, abs=1e-12, nan_ok=True)
    assert ours.undefined == len(targets) - len(rows)


@given(targets_and_scores())
def test_order_of_images_and_labels_does_not_matter(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    rows, columns = (np.random.default_rng(0).permutation(n) for n in targets.shape)
    shuffled = mean_average_precision(targets[rows][:, columns], scores[rows][:, columns])
    np.testing.assert_allclose(shuffled.values, mean_average_precision(targets, scores).values[columns])


@given(targets_and_scores())
def test_memory_layout_does_not_matter(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    expected = mean_average_precision(targets, scores).values
    for layout in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(mean_average_precision(layout(targets), layout(scores)).values, expected)


@pytest.mark.parametrize("size", [1, 2, 100, 70_000])
@pytest.mark.parametrize("kind", ["continuous", "tied", "signed", "huge"])
def test_large_columns_equal_scikit_learn(size: int, kind: str) -> None:
    draw = np.random.default_rng(size)
    scores = {
        "continuous": lambda: draw.random((size, 2)),
        "tied": lambda: draw.integers(0, 50, (size, 2)) / 49,
        "signed": lambda: draw.normal(size=(size, 2)),
        "huge": lambda: draw.normal(size=(size, 2)) * np.float64(10.0) ** draw.integers(-300, 300, (size, 2)),
    }[kind]()
    targets = draw.random((size, 2)) < 0.1
    targets[0] = True
    for values in (scores, scores.astype(np.float32)) if kind != "huge" else (scores,):
        expected = average_precision_score(targets, values, average="macro")
        assert mean_average_precision(targets, values) == pytest.approx(expected, abs=1e-9)


def test_by_hand() -> None:
    # Label 0, by score: 1 0 1 0 -> AP = 1/2 * 1/1 + 1/2 * 2/3 = 5/6.
    # Label 1: all four tie, two positives -> AP = 1 * 2/4 = 1/2.
    result = mean_average_precision([[1, 1], [0, 1], [1, 0], [0, 0]], [[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.6, 0.5]])
    np.testing.assert_allclose(result.values, [5 / 6, 1 / 2])
    assert result == pytest.approx((5 / 6 + 1 / 2) / 2)


def test_signed_zeros_tie() -> None:
    assert mean_average_precision([[1], [0]], [[0.0], [-0.0]]) == 0.5
    assert mean_average_precision([[1], [0]], [[-0.0], [0.0]]) == 0.5


def test_float32_scores_equal_their_float64_values() -> None:
    draw = np.random.default_rng(0)
    targets, scores = draw.integers(0, 2, (200, 5)), draw.random((200, 5), dtype=np.float32)
    assert mean_average_precision(targets, scores) == mean_average_precision(targets, scores.astype(float))


@pytest.mark.parametrize(
    ("targets", "scores", "message"),
    [
        ([[0, 2]], [[0.1, 0.2]], r"targets\[0, 1\] is 2"),
        ([[0, np.nan]], [[0.1, 0.2]], r"targets\[0, 1\] is nan"),
        ([[0, 1]], [[0.1, np.nan]], r"scores\[0, 1\] is nan"),
        ([[0, 1], [0, 1]], [[0.1, 0.2], [-np.inf, 0.2]], r"scores\[1, 0\] is -inf"),
        ([[0, 1]], [[0.1, 0.2, 0.3]], r"targets have shape \(1, 2\) but scores \(1, 3\)"),
        ([0, 1], [0.1, 0.2], r"targets have shape \(2,\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"targets have shape \(0, 3\)"),
        (np.zeros((3, 0)), np.zeros((3, 0)), r"targets have shape \(3, 0\)"),
        ([["a"]], [[0.5]], r"targets have dtype"),
    ],
)
def test_bad_input_names_argument_and_position(targets: list, scores: list, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        mean_average_precision(targets, scores)


def test_unknown_average_is_named() -> None:
    with pytest.raises(ConfigurationError, match="average='mean'"):
        mean_average_precision([[1]], [[1.0]], average="mean")
