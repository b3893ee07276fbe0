"""Ranks by counting are those of a stable sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlrsnet_hf.retrieval.search.numpy_backend import RowMemory, nearest_in_row, ranks_in_row

FLOATS = st.floats(-(2.0**122), 2.0**122, width=32)
TIED = st.sampled_from([-0.0, 0.0, 1.0, 1.0000001, 2.0, 1e-45, -3.0, 1e30])
ROWS = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, n, elements=st.one_of(FLOATS, TIED)),
        arrays(bool, n),
        st.one_of(st.none(), st.integers(1, n)),
    )
)


def sorted_ranks(row: np.ndarray, members: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(np.argsort(row, kind="stable"), members)) + 1


@given(ROWS)
def test_ranks_are_those_of_a_stable_sort(drawn: tuple[np.ndarray, np.ndarray, int | None]) -> None:
    row, relevant, depth = drawn
    members = np.flatnonzero(relevant)
    expected = sorted_ranks(row, members)
    assert ranks_in_row(row, members).tolist() == expected.tolist()
    assert ranks_in_row(row, members, depth).tolist() == expected[expected <= (depth or len(row))].tolist()


@given(arrays(np.float32, st.integers(1, 80), elements=st.one_of(FLOATS, TIED)), st.data())
def test_nearest_are_those_of_a_stable_sort(row: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(row)))
    assert nearest_in_row(row, k)[0].tolist() == np.argsort(row, kind="stable")[:k].tolist()


@pytest.mark.parametrize("levels", [3, 1000, None])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5])
def test_long_rows_with_many_and_few_ties(levels: int | None, share: float) -> None:
    draw = np.random.default_rng(0)
    memory = RowMemory(30_000)
    for shift in (0.0, -3.0):
        row = draw.normal(size=30_000).astype(np.float32) if levels is None else draw.integers(levels, size=30_000)
        members = np.flatnonzero(draw.random(30_000) < share)
        row = row.astype(np.float32)
        row[members] += np.float32(shift)
        expected = sorted_ranks(row, members)
        # The memory of one row must leave nothing behind for the next.
        assert (ranks_in_row(row, members, memory=memory) == expected).all()
        assert (ranks_in_row(row, members, 1500, memory) == expected[expected <= 1500]).all()
        assert (nearest_in_row(row, 700)[0] == np.argsort(row, kind="stable")[:700]).all()


@pytest.mark.parametrize("items", [1, 7, 8, 9, 64, 1001])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.09, 0.11, 1.0])
def test_flags_are_found_whatever_their_share(items: int, share: float) -> None:
    memory = RowMemory(items)
    for seed in range(20):
        memory.flags[:] = np.random.default_rng(seed).random(items) < share
        assert memory.flagged(np.count_nonzero(memory.flags)).tolist() == np.flatnonzero(memory.flags).tolist()


def test_a_far_item_costs_no_correctness() -> None:
    row = np.float32([5, 1e30, 3, 5, 4, -1e30])
    assert ranks_in_row(row, np.array([0, 1, 3])).tolist() == [4, 5, 6]
