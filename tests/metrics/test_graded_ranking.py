from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import ndcg_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import (
    Mean,
    average_cumulative_gain_at_k,
    common_labels,
    graded_ranking,
    ndcg_at_k,
    weighted_average_precision_at_k,
)

gain_matrices = hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(2, 12)), elements=st.integers(0, 5))


@given(gain_matrices, st.integers(1, 15), st.sampled_from(["linear", "exponential"]))
def test_ndcg_equals_scikit_learn(gains: np.ndarray, k: int, scale: str) -> None:
    assume(gains.any(axis=1).all())
    worth = 2.0**gains - 1 if scale == "exponential" else gains
    order = np.broadcast_to(-np.arange(gains.shape[1]), gains.shape)
    assert ndcg_at_k(gains, k, scale=scale) == pytest.approx(ndcg_score(worth, order, k=k))


@given(gain_matrices, st.integers(1, 12))
def test_ndcg_of_a_cut_ranking_equals_that_of_the_whole(gains: np.ndarray, k: int) -> None:
    assume(k <= gains.shape[1])
    whole = ndcg_at_k(gains, k)
    cut = ndcg_at_k(gains[:, :k], k, ideal_gains=gains)
    np.testing.assert_allclose(cut.values, whole.values)
    assert whole.undefined == (~gains.any(axis=1)).sum()


@given(gain_matrices, st.integers(1, 12))
def test_gain_measures_equal_brute_force(gains: np.ndarray, k: int) -> None:
    assume(k <= gains.shape[1])
    mean_gain = [[sum(row[:j]) / j for j in range(1, k + 1)] for row in gains.tolist()]
    np.testing.assert_allclose(average_cumulative_gain_at_k(gains, k).values, [row[-1] for row in mean_gain])
    weighted = [
        np.mean([m for m, gain in zip(means, row, strict=False) if gain]) if any(row[:k]) else 0.0
        for means, row in zip(mean_gain, gains.tolist(), strict=True)
    ]
    np.testing.assert_allclose(weighted_average_precision_at_k(gains, k).values, weighted)
    relevant = (gains > 0).sum(axis=1)
    skipped = weighted_average_precision_at_k(gains, k, relevant, empty="skip")
    np.testing.assert_allclose(skipped.values, np.where(relevant > 0, weighted, np.nan))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6), st.sampled_from(["count", "share", "jaccard"]))
def test_common_labels_equal_set_arithmetic(seed: int, queries: int, items: int, measure: str) -> None:
    draw = np.random.default_rng(seed)
    q, x = draw.integers(0, 2, (queries, 5)), draw.integers(0, 2, (items, 5))
    ranking = np.array([draw.permutation(items) for _ in range(queries)])
    gains = common_labels(q, x, ranking, measure=measure)
    for i in range(queries):
        for rank, item in enumerate(ranking[i]):
            own, other = set(np.flatnonzero(q[i])), set(np.flatnonzero(x[item]))
            whole = {"count": {None}, "share": own, "jaccard": own | other}[measure]
            assert gains[i, rank] == pytest.approx(len(own & other) / len(whole) if whole else 0.0)


def test_common_labels_in_chunks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    q, x, ranking = draw.integers(0, 2, (11, 5)), draw.integers(0, 2, (7, 5)), draw.integers(0, 7, (11, 3))
    whole = common_labels(q, x, ranking)
    for queries_at_once in (1, 4, 11):
        monkeypatch.setattr(graded_ranking, "_CHUNK_BYTES", queries_at_once * 7 * 4)
        np.testing.assert_array_equal(common_labels(q, x, ranking), whole)


GAIN_MEASURES = (average_cumulative_gain_at_k, weighted_average_precision_at_k)


def test_policies_for_queries_that_can_gain_nothing() -> None:
    gains = [[1, 1], [0, 0]]
    relevant = [2, 0]
    for function in (ndcg_at_k, *(partial(measure, relevant=relevant) for measure in GAIN_MEASURES)):
        assert function(gains, empty="skip") == 1.0
        assert function(gains, empty="skip").undefined == 1
        assert function(gains, empty="worst") == 0.5
        with pytest.raises(ConfigurationError, match="query 1"):
            function(gains, empty="error")


@pytest.mark.parametrize("function", GAIN_MEASURES)
def test_a_query_that_finds_nothing_counts(function: Callable[..., Mean]) -> None:
    # The second query gains 2 and 2: ACG = WAP = 2. The first finds nothing, though the database has an item for it.
    gains = [[0, 0], [2, 2]]
    assert function(gains) == 1.0
    assert function(gains, relevant=[1, 2], empty="skip") == 1.0
    assert function(gains, relevant=[0, 2], empty="skip") == 2.0
    with pytest.raises(ConfigurationError, match=r"empty='skip' .*relevant="):
        function(gains, empty="skip")
    with pytest.raises(ConfigurationError, match=r"query 1 .*1 .*2"):
        function(gains, relevant=[0, 1])
    with pytest.raises(ConfigurationError, match=r"2 .*relevant .*\(1,\)"):
        function(gains, relevant=[2])


def test_an_ideal_that_is_cut_is_refused() -> None:
    # The database has three items of gain 2: DCG = (1, 1, 1) over (3, 3, 3) with the same discounts, 1/3.
    assert ndcg_at_k([[1, 1, 1]], 3, ideal_gains=[[2, 2, 2]]) == pytest.approx(1 / 3)
    with pytest.raises(ConfigurationError, match=r"ideal_gains .*1 .*k=3"):
        ndcg_at_k([[1, 1, 1]], 3, ideal_gains=[[2]])
    with pytest.raises(ConfigurationError, match=r"ideal_gains .*1 .*k=3"):
        ndcg_at_k([[1, 1, 1]], ideal_gains=[[2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ndcg_at_k([[1.0, -1.0]]), r"gains\[0, 1\] is -1.0"),
        (lambda: ndcg_at_k([[1.0, np.nan]]), r"gains\[0, 1\] is nan"),
        (lambda: ndcg_at_k([1.0]), r"gains have shape \(1,\)"),
        (lambda: ndcg_at_k([[2.0]], ideal_gains=[[1.0]]), r"query 0 .*ideal_gains"),
        (lambda: ndcg_at_k([[2.0]], ideal_gains=[[2.0], [1.0]]), r"2 .*ideal_gains .*1"),
        (lambda: ndcg_at_k([[2.0]], 3, ideal_gains=[[2.0]]), r"k=3 "),
        (lambda: average_cumulative_gain_at_k([[2.0]], 3), r"k=3 "),
        (lambda: average_cumulative_gain_at_k([[2.0]], 0), r"k=0"),
        (lambda: ndcg_at_k([[2.0]], 1.5), r"k=1.5"),
        (lambda: common_labels([[1]], [[1]], [[0.5]]), r"ranking\[0, 0\] is 0.5"),
        (lambda: common_labels([[1]], [[1]], [[1]]), r"ranking .*0 to 0"),
        (lambda: common_labels([[1, 0]], [[1]], [[0]]), r"\(1, 2\).*\(1, 1\)"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:  # noqa: ANN001
    with pytest.raises(ConfigurationError, match=message):
        call()
