"""Table 3 of the paper: the votes that it needs, and which annotators could have given it."""

import itertools

import numpy as np
import pytest

from mlrsnet_hf.curation.votes.confidence import published_table
from tests.curation.votes.annotators import Annotators
from tests.curation.votes.table3 import ROUNDED, nearest_exchangeable, nearest_independent

PUBLISHED = published_table()


def test_votes_needed_as_the_table_is_printed() -> None:
    needed = {name: PUBLISHED.accepts_needed(name) for name in PUBLISHED.categories}
    assert needed == {"airport": 3, "bridge": 2, "island": 2, "parkway": None}
    assert PUBLISHED.accepts_needed("airport", after=(2, 0)) == 1
    assert PUBLISHED.accepts_needed("airport", after=(1, 1)) is None
    assert PUBLISHED.accepts_needed("airport", limit=2) is None
    assert PUBLISHED.accepts_needed("parkway", threshold=0.9) == 3


@pytest.mark.parametrize("name", PUBLISHED.categories)
def test_independent_votes_miss_the_table(name: str) -> None:
    cells = PUBLISHED.cells(name)
    fit = nearest_independent(cells)
    assert 0.03 < fit.furthest < 0.06
    # No annotators on a grid come nearer.
    grid = np.linspace(0.02, 0.98, 33)
    best = min(
        max(
            abs(Annotators(good_share=s, good=((1.0, g),), bad=((1.0, b),)).posterior(*votes) - value)
            for votes, value in cells.items()
        )
        for s, g, b in itertools.product(grid, grid[grid > 0.45], grid[grid < 0.35])
    )
    assert fit.furthest <= best < fit.furthest + 0.03


@pytest.mark.parametrize("name", PUBLISHED.categories)
def test_airport_alone_fits_no_exchangeable_votes(name: str) -> None:
    fit = nearest_exchangeable(PUBLISHED.cells(name))
    assert (fit.furthest > 3 * ROUNDED) == (name == "airport")
    assert fit.furthest < ROUNDED or name == "airport"


def test_why_airport_does_not() -> None:
    # Of exchangeable votes P(good | a, r) is the mean of what another accept and another reject would make of it, so
    # that three cells tell how probable an accept is. After an accept it can only be more probable than before.
    cells = PUBLISHED.cells("airport")

    def accept(a: int, r: int) -> float:
        return (cells[a, r] - cells[a, r + 1]) / (cells[a + 1, r] - cells[a, r + 1])

    assert accept(1, 0) == pytest.approx(0.29 / 0.39)  # 0.74
    assert accept(2, 0) == pytest.approx(0.08 / 0.15)  # 0.53


def test_fits_find_annotators_that_there_are() -> None:
    independent = Annotators(good_share=0.6, good=((1.0, 0.85),), bad=((1.0, 0.15),))
    mixed = Annotators(good_share=0.5, good=((0.7, 0.95), (0.3, 0.6)), bad=((0.8, 0.05), (0.2, 0.5)))
    assert nearest_independent(independent.table(3)).furthest < 1e-4
    assert nearest_exchangeable(mixed.table(3)).furthest < 2e-4
    assert nearest_independent(mixed.table(3)).furthest > 0.01
