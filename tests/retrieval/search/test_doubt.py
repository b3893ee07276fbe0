"""Vectors that float32 cannot tell apart are ranked as float64 ranks them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlrsnet_hf.retrieval import SameClass, Search, table9_depth
from mlrsnet_hf.retrieval.search.database import Database
from mlrsnet_hf.retrieval.search.distances import DISTANCES, Distance

DEVICES = [None, "cpu"]
"""NumPy's path and torch's."""
ITEMS, DIMENSIONS = 400, 24


def plain() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS, DIMENSIONS))


def near_copies(spread: float) -> np.ndarray:
    """Groups of twenty vectors that are all but equal."""
    return np.repeat(np.abs(plain()[::20]), 20, axis=0) + spread * plain()


def with_dimension(values: object) -> np.ndarray:
    return np.column_stack([plain(), np.broadcast_to(values, ITEMS)])


def lengths(low: float, high: float) -> np.ndarray:
    return 10.0 ** np.random.default_rng(1).uniform(low, high, size=(ITEMS, 1))


DRAW = np.random.default_rng(2)
HARD = {
    "all but equal, 1e-2": np.float32(near_copies(1e-2)),
    "all but equal, 3e-4": np.float32(near_copies(3e-4)),
    "all but equal, 1e-5": np.float32(near_copies(1e-5)),
    "all but equal, 1e-9 in float64": near_copies(1e-9),
    "far from the origin": np.float32(1000 + plain()),
    "one huge dimension of two values": np.float32(with_dimension(1e6 * DRAW.integers(2, size=ITEMS))),
    "one huge dimension": np.float32(with_dimension(1e6 * DRAW.normal(size=ITEMS))),
    "short and long": np.float32(plain() * lengths(-9, 9)),
    "very short ones": np.float32(plain() * lengths(-20, 0)),
    "one outlier": np.float32(np.vstack([plain() + 50, np.full(DIMENSIONS, 1e12)])),
    "some at the origin": np.float32(np.vstack([plain() + 50, np.zeros((3, DIMENSIONS)), 1e-3 * plain()[:20]])),
    "half precision": np.float16(near_copies(1e-2)),
    "whole numbers too large for float32": np.rint(3e4 * plain()),
}


def exact_values(queries: np.ndarray, items: np.ndarray, distance: Distance) -> np.ndarray:
    """(Q, N) in the longest type there is; squared distances by differences."""
    queries, items = queries.astype(np.longdouble), items.astype(np.longdouble)
    if distance == "inner_product":
        return -(queries @ items.T)
    if distance == "cosine":
        queries, items = (rows / np.sqrt((rows**2).sum(1, keepdims=True)) for rows in (queries, items))
    return np.stack([((items - query) ** 2).sum(1) for query in queries])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", HARD)
def test_hard_vectors_rank_as_in_float64(name: str, distance: Distance, device: str | None) -> None:
    items = HARD[name]
    queries = np.concatenate([items[:8], (items[8:16] + items[24:32]) / 2])
    if distance == "cosine":
        items = items[items.any(axis=1)]
    classes, asked = np.arange(len(items)) % 7, np.arange(len(queries)) % 7
    search, relevance = Search(items, distance, device=device), SameClass(asked, classes)
    found = search.rank(queries, relevance, k=len(items))
    order, values = found.neighbors.indices, exact_values(queries, items, distance)
    ranked = np.take_along_axis(values, order, 1)
    # Float64 itself rounds: a product by a share of its terms, a difference of squares by a share of itself.
    terms = np.abs(queries).astype(float) @ np.abs(items).astype(float).T if distance == "inner_product" else values
    rounding = 1e-14 * np.take_along_axis(terms, order, 1) + (1e-28 if distance == "cosine" else 0)
    assert (ranked[:, 1:] - ranked[:, :-1] >= -np.maximum(rounding[:, 1:], rounding[:, :-1])).all()
    assert (np.diff(found.neighbors.distances, axis=1) >= 0).all()
    # Ranks say what neighbors say, and neither depends on how much was asked for.
    assert found.ranks.ranks.tolist() == (np.nonzero(asked[:, None] == classes[order])[1] + 1).tolist()
    assert search.relevant_ranks(queries, relevance, depth=50).ranks.tolist() == [
        r for r in found.ranks.ranks if r <= 50
    ]
    assert search.top(queries, 10).indices.tolist() == order[:, :10].tolist()
    if distance != "inner_product":
        itself = order[:8, 0]
        assert (items[itself] == queries[:8]).all(axis=1).sum() == 8
        assert (found.neighbors.distances[:8, 0] == 0).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("value", [1e4, 1e6, 1e7, -32218898.0, 1e12])
def test_a_constant_dimension_changes_no_ranking(value: float, device: str | None) -> None:
    items = np.float32(plain())
    expected = Search(items).top(items[:50], ITEMS)
    for kind in (np.float32, np.float64):
        wider = np.column_stack([items, np.full(ITEMS, value)]).astype(kind)
        found = Search(wider, device=device).top(wider[:50], ITEMS)
        assert (found.indices == expected.indices).all()
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-6)


FLOATS = st.one_of(
    st.floats(-(2.0**40), 2.0**40, width=32), st.sampled_from([0.0, 1.0, 1.0000001, 1e-30, 3e6, 1e-3, -1.0])
)


@given(st.data(), st.sampled_from(["euclidean", "inner_product"]))
@settings(max_examples=80, deadline=None)
def test_any_numbers_rank_as_fractions_do(data: st.DataObject, distance: Distance) -> None:
    dimensions = data.draw(st.integers(1, 3))
    items, queries = (
        data.draw(arrays(np.float32, st.tuples(st.integers(1, most), st.just(dimensions)), elements=FLOATS))
        for most in (12, 3)
    )
    if 0 < np.abs(items).max() < 2.0**-20:
        return  # refused as too short, see test_exact_errors.py
    found = Search(items, distance).rank(
        queries, SameClass(np.zeros(len(queries)), np.arange(len(items)) % 2), len(items)
    )
    assert found.ranks.ranks.tolist() == (np.nonzero(found.neighbors.indices % 2 == 0)[1] + 1).tolist()
    for query, order in zip(queries.tolist(), found.neighbors.indices, strict=True):
        values, roundings = [], []
        for item in items[order].tolist():
            pairs = [(Fraction(a), Fraction(b)) for a, b in zip(query, item, strict=True)]
            terms = [(a - b) ** 2 if distance == "euclidean" else -a * b for a, b in pairs]
            values.append(sum(terms))
            roundings.append(sum(map(abs, terms)) * Fraction(1e-15))
        for place in range(1, len(items)):
            assert values[place - 1] <= values[place] + roundings[place - 1] + roundings[place]


def test_an_item_at_the_center_does_not_end_the_search() -> None:
    """Found by drawing: the query is rounded when it is moved, which is all that the item is off by."""
    items, query = np.float32([[0], [1], [1]]), np.float32([[16777218]])
    found = Search(items, "euclidean").rank(query, SameClass(np.zeros(1), np.zeros(3)), 3)
    assert found.neighbors.indices.tolist() == [[1, 2, 0]]
    assert found.ranks.ranks.tolist() == [1, 2, 3]


def test_ordinary_vectors_are_left_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes the search fast: of 4,000 items, a few are looked at again for each query."""
    draw = np.random.default_rng(0)
    items, queries = (np.maximum(draw.normal(size=(n, 64)), 0).astype(np.float32) for n in (4000, 256))
    relevance = SameClass(draw.integers(40, size=256), draw.integers(40, size=4000))
    search, compared = Search(items), [0]
    exact = Database.exact

    def counted(self: Database, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        compared[0] += len(rows)
        return exact(self, query, rows)

    monkeypatch.setattr(Database, "exact", counted)
    search.relevant_ranks(queries, relevance, depth=table9_depth(relevance))
    # Two of the queries are measured, with 127 items each.
    assert 2 * 100 < compared[0] < 256 * 3


def test_whole_numbers_need_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    items, classes = draw.integers(-3, 4, size=(500, 9)), draw.integers(5, size=500)
    search = Search(items)
    measured = []
    exact = Database.exact
    monkeypatch.setattr(Database, "exact", lambda self, *some: measured.append(len(some[1])) or exact(self, *some))
    found = search.relevant_ranks(items[:100], SameClass(classes[:100], classes))
    squared = ((items[:100, None] - items) ** 2).sum(axis=2)
    order = np.argsort(squared, axis=1, kind="stable")
    assert found.ranks.tolist() == (np.nonzero(classes[order] == classes[:100, None])[1] + 1).tolist()
    assert len(measured) == 1
