import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import ndcg_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import (
    average_cumulative_gain_at_k,
    common_labels,
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
        np.mean([m for m, gain in zip(means, row, strict=False) if gain]) if any(row[:k]) else np.nan
        for means, row in zip(mean_gain, gains.tolist(), strict=True)
    ]
    np.testing.assert_allclose(weighted_average_precision_at_k(gains, k).values, weighted)


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


def test_policies() -> None:
    gains = [[1, 0], [0, 0]]
    for function in (ndcg_at_k, weighted_average_precision_at_k):
        assert function(gains) == 1.0
        assert function(gains).undefined == 1
        assert function(gains, empty="worst") == 0.5
        with pytest.raises(ConfigurationError, match="1 queries can gain nothing, the first is query 1"):
            function(gains, empty="error")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ndcg_at_k([[1.0, -1.0]]), r"gains\[0, 1\] is -1.0"),
        (lambda: ndcg_at_k([[1.0, np.nan]]), r"gains\[0, 1\] is nan"),
        (lambda: ndcg_at_k([1.0]), r"gains have shape \(1,\)"),
        (lambda: ndcg_at_k([[2.0]], ideal_gains=[[1.0]]), r"query 0 gains more than its ideal_gains"),
        (lambda: ndcg_at_k([[2.0]], ideal_gains=[[2.0], [1.0]]), r"2 rows of ideal_gains for 1"),
        (lambda: ndcg_at_k([[2.0]], 3, ideal_gains=[[2.0]]), r"k=3 needs rankings 3 deep"),
        (lambda: average_cumulative_gain_at_k([[2.0]], 3), r"k=3 needs rankings 3 deep"),
        (lambda: average_cumulative_gain_at_k([[2.0]], 0), r"k=0 cannot be used"),
        (lambda: common_labels([[1]], [[1]], [[1]]), r"indices outside 0 to 0"),
        (lambda: common_labels([[1, 0]], [[1]], [[0]]), r"do not fit"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:  # noqa: ANN001
    with pytest.raises(ConfigurationError, match=message):
        call()
