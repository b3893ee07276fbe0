import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.dataset.splits.quotas import apportion, percent_of, split_quotas
from mlrsnet_hf.taxonomy import SCENES

PUBLISHED_SIZES = [scene.images for scene in SCENES]


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """Hamilton's method by the book, in fractions."""
    quotas = [Fraction(weight * total, sum(weights)) for weight in weights]
    shares = [int(quota) for quota in quotas]
    ranking = sorted(range(len(weights)), key=lambda i: (shares[i] - quotas[i], i))
    for i in ranking[: total - sum(shares)]:
        shares[i] += 1
    return shares


def assert_largest_remainder(sizes: list[int]) -> None:
    quotas = split_quotas(sizes)
    assert quotas.validation == largest_remainder(percent_of(sum(sizes), 10), sizes)
    for percent, shares in quotas.train.items():
        assert shares == largest_remainder(percent_of(sum(sizes), percent), sizes)
    pool = [size - trained for size, trained in zip(sizes, quotas.train[40], strict=True)]
    for percent, shares in quotas.queries.items():
        assert shares == largest_remainder(percent_of(sum(pool), percent), pool)


def test_published_sizes_are_the_largest_remainders() -> None:
    assert_largest_remainder(PUBLISHED_SIZES)
    quotas = split_quotas(PUBLISHED_SIZES)
    assert sum(quotas.validation) == 10_916
    assert [sum(shares) for shares in quotas.train.values()] == [21_832, 32_748, 43_664]
    assert [sum(shares) for shares in quotas.queries.values()] == [3_275, 6_550, 9_825]


@given(st.lists(st.integers(50, 3000), min_size=1, max_size=46))
def test_scenes_of_some_tens_of_images_get_the_largest_remainders(sizes: list[int]) -> None:
    assert_largest_remainder(sizes)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=46))
def test_splits_are_nested_and_disjoint_whatever_the_sizes(sizes: list[int]) -> None:
    quotas = split_quotas(sizes)
    for shares in (quotas.train, quotas.queries):
        ascending = list(shares.values())
        for smaller, larger in itertools.pairwise(ascending):
            assert all(a <= b for a, b in zip(smaller, larger, strict=True))
    for size, *taken in zip(sizes, quotas.validation, quotas.train[40], quotas.queries[15], strict=True):
        assert sum(taken) <= size
    assert [sum(shares) for shares in quotas.train.values()] == [percent_of(sum(sizes), p) for p in (20, 30, 40)]


def test_largest_remainder_alone_would_not_nest() -> None:
    # The Alabama paradox, by weights 6, 6, 2:
    # of 10, quotas 4.29, 4.29, 1.43 give the last one its second image; of 11, 4.71, 4.71, 1.57 take it away again.
    assert largest_remainder(10, [6, 6, 2]) == [4, 4, 2]
    assert largest_remainder(11, [6, 6, 2]) == [5, 5, 1]
    assert apportion(11, [6, 6, 2], lowest=[4, 4, 2], highest=[6, 6, 2]) == [5, 4, 2]


def test_shares_by_hand() -> None:
    # Shares of 7 by 3:3:4 are 2.1, 2.1, 2.8; the one left goes to the largest remainder.
    assert apportion(7, [3, 3, 4], [0, 0, 0], [3, 3, 4]) == [2, 2, 3]
    # 2 by 1:1:1:1 leave remainders of a half each; ties go to the earlier.
    assert apportion(2, [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]) == [1, 1, 0, 0]
    # Shares of 6 are 2, 2, 2; the first may have none, which leaves two for the others, the earlier first.
    assert apportion(6, [1, 1, 1], [0, 0, 0], [0, 9, 9]) == [0, 3, 3]
    # The first must have four; of the others' 2, 2 two go, the later first.
    assert apportion(6, [1, 1, 1], [4, 0, 0], [9, 9, 9]) == [4, 1, 1]
    assert apportion(5, [1, 1, 1], [4, 0, 0], [9, 9, 9]) == [4, 1, 0]


@given(weights=st.lists(st.integers(1, 3000), min_size=1, max_size=46), percent=st.integers(0, 100))
def test_unbounded_shares_are_the_largest_remainder(weights: list[int], percent: int) -> None:
    total = sum(weights) * percent // 100
    assert apportion(total, weights, [0] * len(weights), weights) == largest_remainder(total, weights)
