import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import (
    RelevantRanks,
    anmrr,
    average_precision_at_k,
    mean_precision_to_k,
    precision_at_k,
    precision_recall_curve,
    recall_at_k,
)
from mlrsnet_hf.published import IMAGES_PER_SCENE

relevance_matrices = st.integers(1, 25).flatmap(
    lambda depth: st.lists(
        st.lists(st.integers(0, 1), min_size=depth, max_size=depth).filter(any), min_size=1, max_size=6
    )
)


def brute_force_nmrr(row: list[int], gtm: int, variant: str) -> float:
    ranks = [i for i, hit in enumerate(row, start=1) if hit]
    ng = len(ranks)
    k = 2 * ng if variant == "2ng" else min(4 * ng, 2 * gtm)
    beyond = k + 1 if variant == "k+1" else 1.25 * k
    avr = sum(rank if rank <= k else beyond for rank in ranks) / ng
    return (avr - 0.5 * (1 + ng)) / (beyond - 0.5 * (1 + ng))


@given(relevance_matrices, st.sampled_from(["mpeg7", "2ng", "k+1"]), st.integers(0, 5))
def test_anmrr_equals_brute_force(rows: list[list[int]], variant: str, more: int) -> None:
    gtm = max(map(sum, rows)) + more
    expected = [brute_force_nmrr(row, gtm, variant) for row in rows]
    result = anmrr(rows, gtm=gtm, variant=variant)
    np.testing.assert_allclose(result.values, expected, atol=1e-12)
    assert result == pytest.approx(np.mean(expected))
    assert -1e-12 <= result <= 1 + 1e-12


def test_anmrr_by_hand() -> None:
    # GTM = 3. Query 1: NG = 2, K = min(8, 6) = 6, ranks 1 and 8 -> AVR = (1 + 7.5) / 2 = 4.25,
    # NMRR = (4.25 - 1.5) / (7.5 - 1.5) = 2.75 / 6.
    # Query 2: NG = 3, K = min(12, 6) = 6, ranks 1, 2, 3 -> NMRR = 0.
    rows = [[1, 0, 0, 0, 0, 0, 0, 1], [1, 1, 1, 0, 0, 0, 0, 0]]
    assert anmrr(rows).values.tolist() == pytest.approx([2.75 / 6, 0.0])
    # "2ng": K = 4 and 6; query 1: AVR = (1 + 5) / 2 = 3, NMRR = 1.5 / 3.5.
    assert anmrr(rows, variant="2ng").values.tolist() == pytest.approx([1.5 / 3.5, 0.0])
    # "k+1": query 1: AVR = (1 + 7) / 2 = 4, NMRR = 2.5 / (7 - 1.5).
    assert anmrr(rows, variant="k+1").values.tolist() == pytest.approx([2.5 / 5.5, 0.0])


def test_anmrr_bounds() -> None:
    perfect = [[1] * 3 + [0] * 20, [1] * 5 + [0] * 18]
    assert anmrr(perfect) == 0.0
    # Both have at least K(q) = min(4 NG, 2 GTM) = 10 irrelevant items.
    worst = [[0] * 20 + [1] * 3, [0] * 18 + [1] * 5]
    assert anmrr(worst) == pytest.approx(1.0)
    assert anmrr(worst, variant="k+1") == pytest.approx(1.0)


def test_chunks_with_the_calls_gtm_equal_the_whole() -> None:
    draw = np.random.default_rng(0)
    rows = draw.random((40, 60)) < draw.uniform(0.05, 0.4, (40, 1))
    rows[:, 0] = True
    whole = anmrr(rows)
    gtm = int(rows.sum(axis=1).max())
    parts = [anmrr(rows[start : start + 7], gtm=gtm) for start in range(0, 40, 7)]
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    scenes = draw.integers(0, 3, 40)
    for scene, mean in whole.by(scenes).items():
        assert mean == pytest.approx(whole.values[scenes == scene].mean())
    with pytest.raises(ConfigurationError, match=rf"gtm={gtm - 1} .*{gtm}"):
        anmrr(rows, gtm=gtm - 1)


@given(relevance_matrices, st.integers(1, 40))
def test_depth_measures_equal_brute_force(rows: list[list[int]], k: int) -> None:
    precisions = [[sum(row[:j]) / j for j in range(1, k + 1)] for row in rows]
    np.testing.assert_allclose(precision_at_k(rows, k).values, [p[-1] for p in precisions], atol=1e-12)
    np.testing.assert_allclose(mean_precision_to_k(rows, k).values, np.mean(precisions, axis=1), atol=1e-12)
    np.testing.assert_allclose(recall_at_k(rows, k).values, [sum(row[:k]) / sum(row) for row in rows], atol=1e-12)
    several = precision_at_k(rows, [1, k])
    assert several[k] == precision_at_k(rows, k)


@given(relevance_matrices, st.integers(1, 30), st.sampled_from(["relevant", "reachable", "found"]))
def test_average_precision_equals_brute_force(rows: list[list[int]], k: int, normalizer: str) -> None:
    expected = []
    for row in rows:
        total = sum(sum(row[:j]) / j for j in range(1, min(k, len(row)) + 1) if row[j - 1])
        count = {"relevant": sum(row), "reachable": min(sum(row), k), "found": sum(row[:k])}[normalizer]
        expected.append(total / count if count else 0.0)
    np.testing.assert_allclose(average_precision_at_k(rows, k, normalizer=normalizer).values, expected, atol=1e-12)


@given(relevance_matrices)
def test_average_precision_of_whole_rankings_equals_scikit_learn(rows: list[list[int]]) -> None:
    expected = [average_precision_score(row, -np.arange(len(row))) for row in rows]
    np.testing.assert_allclose(average_precision_at_k(rows).values, expected, atol=1e-12)


@given(relevance_matrices, st.sampled_from([2, 11, 101]))
def test_precision_recall_curve_equals_brute_force(rows: list[list[int]], levels: int) -> None:
    curve = precision_recall_curve(rows, levels=levels)
    for row, found in zip(rows, curve.per_query, strict=True):
        points = [(sum(row[:j]) * (levels - 1), sum(row[:j]) / j) for j in range(1, len(row) + 1)]
        for level in range(levels):
            # recall = hits / NG >= level / (levels - 1), compared in integers.
            reached = [precision for hits, precision in points if hits >= level * sum(row)]
            assert found[level] == pytest.approx(max(reached))
    np.testing.assert_allclose(curve.precision, curve.per_query.mean(axis=0))
    assert (np.diff(curve.precision) <= 1e-12).all()


def test_curves_by_scene() -> None:
    curve = precision_recall_curve([[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]], levels=3)
    assert curve.undefined == 1
    by_scene = curve.by(["a", "b", "a"])
    assert by_scene["a"].tolist() == [1.0, 1.0, 0.5]
    assert by_scene["b"].tolist() == [1.0, 1.0, 1.0]
    by_number = curve.by(torch.tensor([4, 6, 4]))
    assert {scene: values.tolist() for scene, values in by_number.items()} == {4: [1.0, 1.0, 0.5], 6: [1.0, 1.0, 1.0]}


FUNCTIONS = {
    "anmrr": anmrr,
    "P@3": lambda rankings, relevant=None, **policy: precision_at_k(rankings, 3, relevant, **policy),
    "MP@3": lambda rankings, relevant=None, **policy: mean_precision_to_k(rankings, 3, relevant, **policy),
    "AP@3": lambda rankings, relevant=None, **policy: average_precision_at_k(rankings, 3, relevant, **policy),
    "R@3": lambda rankings, relevant=None, **policy: recall_at_k(rankings, 3, relevant, **policy),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@given(rows=relevance_matrices)
def test_every_form_of_input_gives_the_same(function, rows: list[list[int]]) -> None:  # noqa: ANN001
    whole = function(rows)
    relevant = [sum(row) for row in rows]
    deep = max([3, *(4 * count for count in relevant)])
    padded = [row + [0] * max(0, deep - len(row)) for row in rows]
    forms = [
        (RelevantRanks.from_relevance(rows),),
        (np.array(rows, dtype=bool),),
        ([row[:deep] for row in padded], relevant),
        (RelevantRanks.from_ranks([np.flatnonzero(row) + 1 for row in rows]),),
        (RelevantRanks.from_ranks([np.flatnonzero(row[:deep]) + 1 for row in rows], relevant, depth=deep),),
        (RelevantRanks.from_scenes(np.where(rows, 7, 9), [7] * len(rows)),),
        (RelevantRanks.from_distances(np.broadcast_to(np.arange(len(rows[0])), np.shape(rows)), rows),),
    ]
    for form in forms:
        np.testing.assert_array_equal(function(*form).values, whole.values)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_policies_for_queries_without_relevant_items(function) -> None:  # noqa: ANN001
    rows = [[1, 0, 0, 0], [0, 0, 0, 0]]
    alone = function(rows[:1])
    skipped = function(rows, empty="skip")
    assert skipped == alone
    assert skipped.undefined == 1
    worst = 1.0 if function is anmrr else 0.0
    assert function(rows, empty="worst") == pytest.approx((alone + worst) / 2)
    with pytest.raises(ConfigurationError, match="query 1"):
        function(rows, empty="error")
    with pytest.raises(ConfigurationError, match="empty='drop'"):
        function(rows, empty="drop")


def test_cut_rankings_are_refused_not_scored() -> None:
    # NG = 4 and K = min(16, 8) = 8: six ranks are not enough, though two relevant items were found.
    top = [[1, 1, 0, 0, 0, 0]]
    with pytest.raises(ConfigurationError, match=r"ANMRR .*8 .*6\. .*8"):
        anmrr(top, relevant=[4])
    with pytest.raises(ConfigurationError, match=r"P@k .*10 .*6"):
        precision_at_k(top, 10, relevant=[4])
    missing = r".*query 0: 2 of 4 .*6"
    with pytest.raises(ConfigurationError, match=f"precision-recall curve{missing}"):
        precision_recall_curve(top, relevant=[4])
    with pytest.raises(ConfigurationError, match=f"average precision{missing}"):
        average_precision_at_k(top, relevant=[4])
    assert average_precision_at_k(top, relevant=[2]) == 1.0
    # With everything relevant found, nothing is missing however short the ranking.
    assert anmrr(top, relevant=[2]) == 0.0
    assert precision_at_k(top, 10, relevant=[2]) == pytest.approx(0.2)


def test_a_whole_ranking_shorter_than_k_is_whole() -> None:
    assert precision_at_k([[1, 1, 0]], 10) == pytest.approx(0.2)
    # A database of 4 with NG = 2 and K = 4 at most: ranks 1 and 4 are all there is.
    assert anmrr([[1, 0, 0, 1]]) == pytest.approx((2.5 - 1.5) / (5 - 1.5))
    assert anmrr([[1, 0, 1], [1, 1]]) == anmrr(RelevantRanks.from_ranks([[1, 3], [1, 2]]))


def test_nothing_relevant_at_all() -> None:
    for variant in ("mpeg7", "2ng", "k+1"):
        assert np.isnan(anmrr([[0, 0]], variant=variant))
        assert anmrr([[0, 0]], variant=variant, empty="worst") == 1.0


def test_whole_numbers_of_other_types() -> None:
    expected = precision_at_k([[1, 0, 1]], 2)
    for k in (2.0, np.int32(2), torch.tensor(2)):
        assert precision_at_k([[1, 0, 1]], k) == expected
    assert precision_at_k([[1, 0, 1]], np.array([2, 3])) == {2: expected, 3: 2 / 3}
    names = RelevantRanks.from_scenes([["beach", "park", "beach"]], ["beach"])
    assert names.ranks.tolist() == RelevantRanks.from_scenes(torch.tensor([[5.0, 7, 5]]), [5]).ranks.tolist() == [1, 3]


def test_ties_go_to_the_lower_database_index_whatever_the_layout() -> None:
    distances = np.zeros((1, 40))
    relevance = np.zeros((1, 40), dtype=int)
    relevance[0, [3, 20]] = 1
    for layout in (np.asarray, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        ranked = RelevantRanks.from_distances(layout(distances), layout(relevance))
        assert ranked.ranks.tolist() == [4, 21]


def test_order_of_queries_does_not_matter() -> None:
    draw = np.random.default_rng(1)
    rows = draw.random((20, 30)) < 0.3
    rows[:, -1] = True
    order = draw.permutation(20)
    for function in FUNCTIONS.values():
        np.testing.assert_array_equal(function(rows[order]).values, function(rows).values[order])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelevantRanks.from_relevance([[0, 2]]), r"relevance\[0, 1\] is 2"),
        (lambda: RelevantRanks.from_relevance([1, 0]), r"relevance has shape \(2,\)"),
        (lambda: RelevantRanks.from_relevance([[1, 1]], [1]), r"query 0 .*1 .*2"),
        (lambda: RelevantRanks.from_relevance([[1, 1]], [2, 2]), r"1 .*relevant .*\(2,\)"),
        (lambda: RelevantRanks.from_relevance([[1, 0], [1]], [2, 2]), r"several depths"),
        (lambda: RelevantRanks.from_scenes([[1, 2]], [1, 2]), r"ranked_scenes have shape \(1, 2\)"),
        (lambda: RelevantRanks.from_distances([[0.0, np.nan]], [[1, 0]]), r"distances\[0, 1\] is nan"),
        (lambda: RelevantRanks.from_distances([[0.0, 1.0]], [[1]]), r"distances have shape \(1, 2\)"),
        (lambda: RelevantRanks.from_ranks([[2, 1]]), r"ranks\[0\] "),
        (lambda: RelevantRanks.from_ranks([[1], [0, 3]]), r"ranks\[1\] "),
        (lambda: RelevantRanks.from_ranks([[1, 9]], [2], depth=5), r"ranks\[0\] .*depth=5"),
        (lambda: RelevantRanks.from_ranks([[1]], [3]), r"query 0 .*3 .*1"),
        (
            lambda: RelevantRanks.from_scenes([[1, 2]], ["beach"]),
            r"ranked_scenes .*numbers .*query_scenes .*names",
        ),
        (lambda: RelevantRanks.from_scenes([["park"]], [1]), r"ranked_scenes .*names .*query_scenes .*numbers"),
        (lambda: RelevantRanks.from_scenes([[1.5]], [1]), r"ranked_scenes\[0, 0\] is 1.5"),
        (lambda: RelevantRanks.from_scenes([[1], [1, 2]], [1, 2]), r"several lengths"),
        (lambda: RelevantRanks.from_ranks([[1, 2], [1.9, 4.2]]), r"ranks\[1\]\[0\] is 1.9"),
        (lambda: RelevantRanks.from_ranks([["a"]]), r"ranks\[0\] .*'a'"),
        (lambda: RelevantRanks.from_ranks([[1]], relevant=[2.7], depth=3), r"relevant\[0\] is 2.7"),
        (lambda: RelevantRanks.from_ranks([[1]], relevant=[-1], depth=3), r"relevant\[0\] is -1"),
        (lambda: RelevantRanks.from_ranks([[1]], relevant=[2], depth="3"), r"depth='3'"),
        (lambda: precision_at_k([[1, 0]], 0), r"k=0"),
        (lambda: precision_at_k([[1, 0]], [1.5]), r"k=1.5 .*at least 1"),
        (lambda: precision_at_k([[1, 0]], []), r"k=\[\]"),
        (lambda: precision_at_k([[1, 0]], "10"), r"k='10'"),
        (lambda: precision_at_k([[1, 0]], True), r"k=True"),
        (lambda: mean_precision_to_k([[1, 0]], np.inf), r"k=inf"),
        (lambda: anmrr([[1, 0]], gtm=1.5), r"gtm=1.5"),
        (lambda: precision_recall_curve([[1, 0]], levels=1), r"levels=1"),
        (lambda: anmrr(RelevantRanks.from_ranks([[1]]), [1]), r"relevant .*RelevantRanks"),
        (lambda: anmrr([[1]], variant="mpeg"), r"variant='mpeg'"),
    ],
)
def test_bad_input_is_named(make, message: str) -> None:  # noqa: ANN001
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize(("percent", "depth"), [(5, 3_300), (10, 3_126), (15, 2_952)])
def test_the_paper_needs_these_depths(percent: int, depth: int) -> None:
    # Of each scene 40% train the network; of the other 60% a share queries the rest. The largest scene,
    # basketball_court, has 2,895 images: 1,737 are not trained on, 87, 174 or 261 of them query, and
    # GTM = 1,650, 1,563 or 1,476 are left. NG is above GTM / 2 in every scene, so that K = 2 GTM.
    pools = np.rint(0.6 * np.array(list(IMAGES_PER_SCENE.values())))
    left = (pools - np.rint(percent / 100 * pools)).astype(int)
    assert 4 * left.min() >= depth
    with pytest.raises(ConfigurationError, match=rf"ANMRR .*{depth:,} .*{depth - 1:,}"):
        anmrr(RelevantRanks.from_ranks([[1]] * len(left), relevant=left, depth=depth - 1))
    # Deep enough: rank 1 alone is found, so AVR = (1 + (NG - 1) 1.25 K) / NG.
    average_rank = (1 + (left - 1) * 1.25 * depth) / left
    expected = (average_rank - 0.5 * (1 + left)) / (1.25 * depth - 0.5 * (1 + left))
    found = anmrr(RelevantRanks.from_ranks([[1]] * len(left), relevant=left, depth=depth))
    np.testing.assert_allclose(found.values, expected)


@pytest.mark.parametrize("rows", list(itertools.product([[1, 0, 0], [0, 0, 1]], repeat=2)))
def test_torch_and_bool_rows(rows: tuple[list[int], ...]) -> None:
    assert anmrr(torch.tensor(rows)) == anmrr(np.array(rows, dtype=bool)) == anmrr(list(rows))


def test_the_earlier_spelling_of_the_normalizer_is_accepted() -> None:
    # One relevant item of three found, at rank 1: P@1 = 1 over the one that was found.
    rankings, relevant = [[1, 0]], [3]
    assert average_precision_at_k(rankings, 2, relevant=relevant, normaliser="found") == 1.0
    with pytest.raises(TypeError, match="divisor"):
        average_precision_at_k(rankings, 2, relevant=relevant, divisor="found")
