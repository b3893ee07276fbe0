import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import (
    best_thresholds,
    calibration_error,
    classification_report,
    f1_of_means,
    sample_f1,
    sample_precision,
    sample_recall,
)

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 7))
POLICIES = st.sampled_from([0, 1])


@st.composite
def targets_and_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct scores, so that ties are common, and rows without labels or predictions."""
    shape = draw(SHAPES)
    targets = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 1)))
    scores = draw(hnp.arrays(np.int64, shape, elements=st.integers(-3, 4)))
    return targets, scores / 4


def by_scikit_learn(measure: str, targets: np.ndarray, predictions: np.ndarray, zero_division: int) -> float:
    """scikit-learn wants two labels at least for a multi-label matrix; a column without anything changes no sample."""
    padded = [np.hstack([part, np.zeros((len(part), 2), int)]) for part in (targets, predictions)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(sk, measure)(*padded, average="samples", zero_division=zero_division)


@given(targets_and_scores(), POLICIES)
def test_sample_measures_equal_scikit_learn(data: tuple[np.ndarray, np.ndarray], zero_division: int) -> None:
    targets, scores = data
    predictions = (scores > 0.5).astype(int)
    for ours, theirs in (
        (sample_precision, "precision_score"),
        (sample_recall, "recall_score"),
        (sample_f1, "f1_score"),
    ):
        expected = by_scikit_learn(theirs, targets, predictions, zero_division)
        assert ours(targets, predictions, zero_division=zero_division) == pytest.approx(expected)
        assert ours(targets, scores, threshold=0.5, zero_division=zero_division) == pytest.approx(expected)


@given(targets_and_scores(), st.sampled_from([0, 1, "skip"]))
def test_every_measure_equals_a_loop_over_the_definition(
    data: tuple[np.ndarray, np.ndarray], zero_division: int | str
) -> None:
    targets, scores = data
    predictions = scores > 0.5
    stand_in = np.nan if zero_division == "skip" else zero_division

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else stand_in

    precisions, recalls, f1s, exact, wrong = [], [], [], [], 0
    for true, predicted in zip(targets.tolist(), predictions.tolist(), strict=True):
        hits = sum(t and p for t, p in zip(true, predicted, strict=True))
        precisions.append(ratio(hits, sum(predicted)))
        recalls.append(ratio(hits, sum(true)))
        f1s.append(ratio(2 * hits, sum(predicted) + sum(true)))
        exact.append([bool(t) for t in true] == predicted)
        wrong += sum(bool(t) != p for t, p in zip(true, predicted, strict=True))
    report = classification_report(targets, scores, threshold=0.5, zero_division=zero_division)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p, r = np.nanmean(precisions), np.nanmean(recalls)
        assert report.sample_f1 == pytest.approx(np.nanmean(f1s), nan_ok=True)
    assert report.sample_precision == pytest.approx(p, nan_ok=True)
    assert report.sample_recall == pytest.approx(r, nan_ok=True)
    assert report.f1_of_means == pytest.approx(2 * p * r / (p + r) if p + r else 0.0, nan_ok=True)
    assert report.f1_of_means == pytest.approx(
        f1_of_means(targets, scores, threshold=0.5, zero_division=zero_division), nan_ok=True
    )
    assert report.sample_f1.undefined == int(np.isnan(f1s).sum())
    assert report.subset_accuracy == pytest.approx(np.mean(exact))
    assert report.hamming_loss == pytest.approx(wrong / targets.size)


@given(targets_and_scores(), POLICIES)
def test_label_averages_equal_scikit_learn(data: tuple[np.ndarray, np.ndarray], zero_division: int) -> None:
    targets, scores = data
    report = classification_report(targets, scores, threshold=0.5, zero_division=zero_division)
    predictions = (scores > 0.5).astype(int)
    flat = sk.f1_score(targets.ravel(), predictions.ravel(), zero_division=zero_division)
    assert report.micro_f1 == pytest.approx(flat)
    per_label = [sk.f1_score(t, p, zero_division=zero_division) for t, p in zip(targets.T, predictions.T, strict=True)]
    np.testing.assert_allclose(report.macro_f1.values, per_label)
    assert report.macro_f1 == pytest.approx(np.mean(per_label))


def test_two_readings_by_hand() -> None:
    targets = [[1, 1, 0, 0], [0, 0, 1, 1]]
    predictions = [[1, 0, 0, 0], [1, 1, 1, 1]]
    # Image 1: P = 1, R = 1/2, F1 = 2/3. Image 2: P = 1/2, R = 1, F1 = 2/3. Means: P = R = 3/4, F1 of them 3/4.
    assert sample_f1(targets, predictions) == pytest.approx(2 / 3)
    assert f1_of_means(targets, predictions) == pytest.approx(3 / 4)


def test_policies_by_hand() -> None:
    targets = [[0, 0], [0, 0], [1, 0], [1, 0]]
    predictions = [[0, 0], [1, 0], [0, 0], [1, 0]]
    # F1: undefined, 0, 0, 1. Precision: undefined, 0, undefined, 1. Recall: undefined, undefined, 0, 1.
    assert sample_f1(targets, predictions, zero_division=0) == pytest.approx(1 / 4)
    assert sample_f1(targets, predictions, zero_division=1) == pytest.approx(2 / 4)
    assert sample_f1(targets, predictions, zero_division="skip") == pytest.approx(1 / 3)
    assert sample_f1(targets, predictions, zero_division="skip").undefined == 1
    assert sample_precision(targets, predictions, zero_division="skip") == pytest.approx(1 / 2)
    assert sample_recall(targets, predictions, zero_division=1) == pytest.approx(3 / 4)


def test_float32_scores_compare_like_their_float64_values() -> None:
    scores = np.array([[0.3, 0.7]], dtype=np.float32)
    targets = [[0, 1]]
    assert sample_f1(targets, scores, threshold=0.3) == sample_f1(targets, scores.astype(float), threshold=0.3)
    assert sample_f1(targets, scores, threshold=0.7) == sample_f1(targets, scores.astype(float), threshold=0.7)


@given(targets_and_scores())
def test_no_threshold_beats_the_best_one(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    thresholds = best_thresholds(targets, scores)

    def f1(true: np.ndarray, predicted: np.ndarray) -> float:
        return 2 * (true & predicted).sum() / (true.sum() + predicted.sum())

    candidates = np.unique(np.concatenate([scores.ravel(), scores.ravel() - 1e-3]))
    for true, values, threshold in zip(targets.T, scores.T, thresholds, strict=True):
        if not true.any():
            assert threshold == 0.5
            continue
        best = max(f1(true == 1, values > candidate) for candidate in candidates)
        assert f1(true == 1, values > threshold) == pytest.approx(best)


@given(targets_and_scores())
def test_a_threshold_per_label_decides_each_label(data: tuple[np.ndarray, np.ndarray]) -> None:
    targets, scores = data
    thresholds = best_thresholds(targets, scores)
    decisions = np.stack([values > one for values, one in zip(scores.T, thresholds, strict=True)], axis=1)
    assert sample_f1(targets, scores, threshold=thresholds) == sample_f1(targets, decisions)
    assert sample_f1(targets, scores, threshold=torch.tensor(thresholds)) == sample_f1(targets, decisions)


def test_macro_f1_of_the_labels_that_occur() -> None:
    # Label 0 occurs, F1 = 2 * 1 / (2 + 1) = 2/3; label 1 is falsely predicted, 2 neither occurs nor is predicted.
    report = classification_report([[1, 0, 0], [0, 0, 0]], [[1, 1, 0], [1, 0, 0]])
    assert report.images_per_label.tolist() == [1, 0, 0]
    assert report.macro_f1 == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert report.macro_f1_of_occurring == pytest.approx(2 / 3)
    assert report.macro_f1_of_occurring.undefined == 2
    assert report.to_dict()["macro_f1"] == report.macro_f1


def test_threshold_separates_neighboring_floats() -> None:
    high = 0.3
    low = float(np.nextafter(high, 0))
    threshold = best_thresholds([[1], [0]], [[high], [low]])
    assert (np.array([high, low]) > threshold).tolist() == [True, False]


def all_floats(width: int) -> st.SearchStrategy[float]:
    largest = float(np.nextafter(np.finfo(np.float64 if width == 64 else np.float32).max, 0, dtype=f"f{width // 8}"))
    edges = (
        [0.0, 5e-324, 1e15, 9.1e15, 2.0**53, 2.0**53 + 2, 1e16, 1e17, 3e38] if width == 64 else [0.0, 2.0**-149, 1e8]
    )
    return st.one_of(
        st.floats(-largest, largest, width=width), st.sampled_from([*edges, *(-x for x in edges), largest])
    )


@pytest.mark.parametrize("width", [32, 64])
@given(data=st.data())
def test_thresholds_separate_whatever_the_size_of_the_scores(data: st.DataObject, width: int) -> None:
    images = data.draw(st.integers(1, 6))
    scores = np.array(data.draw(st.lists(all_floats(width), min_size=images, max_size=images)), dtype=f"f{width // 8}")
    true = np.array([True, *data.draw(st.lists(st.booleans(), min_size=images - 1, max_size=images - 1))])
    [threshold] = best_thresholds(true[:, None], scores[:, None])

    def f1(predicted: np.ndarray) -> float:
        return 2 * (true & predicted).sum() / (true.sum() + predicted.sum())

    best = max(f1(scores >= cut) for cut in scores)
    assert f1(scores.astype(float) > threshold) == best
    assert f1(scores > scores.dtype.type(threshold)) == best  # as a user has it in the scores' own type
    assert sample_f1(true[:, None], scores[:, None], threshold=[threshold]) == sample_f1(
        true[:, None], scores[:, None] > threshold
    )


@pytest.mark.parametrize("score", [1e15, 9.1e15, 1e16, -1e16, 1e17, -3e38, 1.7e308, 0.0, -5e-324])
def test_where_all_images_have_a_label_all_are_predicted(score: float) -> None:
    targets, scores = np.ones((3, 1), int), np.full((3, 1), score)
    assert sample_f1(targets, scores, threshold=best_thresholds(targets, scores)) == 1.0


def test_no_threshold_lies_below_the_lowest_number() -> None:
    lowest = np.finfo(np.float64).min
    with pytest.raises(ConfigurationError, match=r"scores\[:, 1\] go down to -1.79.*no number"):
        best_thresholds([[1, 1], [0, 1]], [[0.5, 0.0], [0.1, lowest]])
    # Not needed where it is left out.
    assert lowest <= best_thresholds([[1], [0]], [[0.5], [lowest]])[0] < 0.5


@given(targets_and_scores(), st.integers(1, 20))
def test_calibration_error_equals_a_loop_over_bins(data: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    targets, scores = data
    scores = (scores + 0.75) / 1.75
    expected = 0.0
    for b in range(bins):
        inside = [
            (t, s)
            for t, s in zip(targets.ravel(), scores.ravel(), strict=True)
            if b / bins < s <= (b + 1) / bins or (b == 0 and s == 0)
        ]
        if inside:
            true, score = np.mean(inside, axis=0)
            expected += len(inside) / targets.size * abs(true - score)
    assert calibration_error(targets, scores, bins=bins) == pytest.approx(expected, abs=1e-9)


def test_calibration_by_label() -> None:
    result = calibration_error([[1, 0], [1, 1]], [[0.9, 0.5], [0.9, 0.5]], average="macro")
    np.testing.assert_allclose(result.values, [0.1, 0.0], atol=1e-12)
    with pytest.raises(ConfigurationError, match=r"scores\[0, 0\] is 1.5"):
        calibration_error([[1]], [[1.5]])
    with pytest.raises(ConfigurationError, match="bins=0"):
        calibration_error([[1]], [[0.5]], bins=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_torch_tensors_are_taken(dtype: torch.dtype) -> None:
    targets = torch.tensor([[1, 0], [0, 1]])
    scores = torch.tensor([[0.75, 0.25], [0.75, 0.5]], dtype=dtype, requires_grad=True)
    assert sample_f1(targets, scores, threshold=0.5) == sample_f1([[1, 0], [0, 1]], [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        ([[0.4, 1]], {}, r"predictions\[0, 0\] is 0.4.*threshold"),
        ([[0.4, np.nan]], {"threshold": 0.5}, r"predictions\[0, 1\] is nan"),
        ([[0.4, 1]], {"threshold": np.nan}, r"threshold=nan"),
        ([[0.4, 1]], {"threshold": [0.5, np.inf]}, r"threshold=\[0.5, inf\]"),
        ([[0.4, 1]], {"threshold": "0.5"}, r"threshold='0.5'"),
        ([[0.4, 1]], {"threshold": [0.5] * 3}, r"threshold has shape \(3,\) but there are 2 labels"),
        ([[0.4, 1]], {"threshold": [[0.5, 0.5]]}, r"threshold has shape \(1, 2\)"),
        ([[1, 0, 1]], {}, r"targets have shape \(1, 2\) but predictions \(1, 3\)"),
        ([[1, 0]], {"zero_division": "nan"}, r"zero_division='nan'.*0, 1, 'skip'"),
        ([1, 0], {}, r"predictions have shape \(2,\)"),
    ],
)
def test_bad_input_names_argument_and_position(predictions: list, options: dict, message: str) -> None:
    for function in (sample_f1, sample_precision, sample_recall, f1_of_means, classification_report):
        with pytest.raises(ConfigurationError, match=message):
            function([[0, 1]], predictions, **options)
