"""The confidence table: by hand, against the exact posterior of simulated annotators, and its order."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mlrsnet_hf.curation.votes.confidence import (
    Cells,
    ConfidenceTable,
    JudgedImage,
    VotedImage,
    learn_confidence,
    monotone,
)
from mlrsnet_hf.errors import ConfigurationError
from tests.curation.votes.annotators import Annotators

MIXED = Annotators(good_share=0.5, good=((0.7, 0.95), (0.3, 0.6)), bad=((0.8, 0.05), (0.2, 0.5)))


def judged(category: str, is_good: bool, accepts: int, rejects: int, images: int = 1) -> list[JudgedImage]:
    return [JudgedImage(category=category, is_good=is_good, accepts=accepts, rejects=rejects)] * images


def test_by_hand_without_a_prior() -> None:
    # Good images: one of votes 3+1, one of 4+0; bad ones: one of 1+3, one of 0+4. Two votes of four, drawn at random:
    # of 3+1 both accepts in 3 of 6 draws, of 4+0 always, of 1+3 never. So L(2, 0 | good) = (3/6 + 1) / 2 = 0.75 and
    # L(2, 0 | bad) = 0; L(1, 1 | good) = 1/4, as of the bad ones; and s = 1/2.
    images = [*judged("sea", True, 3, 1), *judged("sea", True, 4, 0), *judged("sea", False, 1, 3)]
    images += judged("sea", False, 0, 4)
    cells = learn_confidence(images, most_votes=4, prior_images=1e-9).cells("sea")
    assert cells[2, 0] == pytest.approx(1, abs=1e-6)
    assert cells[1, 1] == pytest.approx(0.5, abs=1e-6)
    # One vote: of 3+1 an accept in 3 of 4 draws, of 1+3 in 1 of 4: (7/8) / (7/8 + 1/8).
    assert cells[1, 0] == pytest.approx(0.875, abs=1e-6)
    assert cells[0, 1] == pytest.approx(0.125, abs=1e-6)
    assert cells[0, 0] == pytest.approx(0.5, abs=1e-6)


def test_a_thin_category_leans_on_the_others() -> None:
    many = MIXED.vote(400, 6, np.random.default_rng(0)).judged("beach")
    table = learn_confidence([*many, *judged("snow", False, 6, 0)], most_votes=6)
    # One bad image that everybody accepted makes its category less sure, but far from sure that all are bad.
    assert 0.4 < table.confidence("snow", 6, 0) < table.confidence("beach", 6, 0)
    assert table.confidence("never judged", 3, 0) == table.others[3, 0]
    assert table.confidence("beach", 3, 0) == pytest.approx(table.others[3, 0], abs=0.02)


@pytest.mark.parametrize("annotators", [MIXED, Annotators(good_share=0.7, good=((1.0, 0.8),), bad=((1.0, 0.1),))])
def test_learned_tables_approach_the_exact_posterior(annotators: Annotators) -> None:
    exact = annotators.table(5)

    def off(images: int) -> tuple[float, float]:
        """Return the largest difference, and the mean over the cells that images fall into."""
        votes = annotators.vote(images, 5, np.random.default_rng(7))
        cells = learn_confidence(votes.judged("beach"), most_votes=5).cells("beach")
        accepts = votes.accepted.cumsum(axis=1)
        there = [(int(a), n + 1 - int(a)) for row in accepts for n, a in enumerate(row)]
        return max(abs(cells[v] - p) for v, p in exact.items()), float(
            np.mean([abs(cells[v] - exact[v]) for v in there])
        )

    assert off(20_000)[0] < 0.02
    assert off(200)[1] < 0.03


def test_the_candidates_tell_how_many_of_them_are_good() -> None:
    # Half of the judged images are good, and nine in ten of the candidates.
    judged_images = MIXED.vote(2000, 6, np.random.default_rng(1)).judged("beach")
    often = Annotators(good_share=0.9, good=MIXED.good, bad=MIXED.bad)
    waiting = [
        VotedImage(category="beach", accepts=image.accepts, rejects=image.rejects)
        for image in often.vote(3000, 3, np.random.default_rng(2)).judged("beach")
    ]
    alone = learn_confidence(judged_images, most_votes=6)
    told = learn_confidence(judged_images, most_votes=6, candidates=waiting)
    assert alone.confidence("beach", 1, 1) == pytest.approx(MIXED.posterior(1, 1), abs=0.05)
    assert told.confidence("beach", 1, 1) == pytest.approx(often.posterior(1, 1), abs=0.05)
    assert told.confidence("beach", 0, 0) == pytest.approx(0.9, abs=0.02)


images_of = st.lists(
    st.builds(
        JudgedImage,
        category=st.sampled_from(["a", "b"]),
        is_good=st.booleans(),
        accepts=st.integers(0, 6),
        rejects=st.integers(0, 6),
    ),
    max_size=30,
)


@given(images_of, st.sampled_from([0.1, 5.0, 20.0]))
@settings(max_examples=40)
def test_any_votes_give_a_monotone_table_of_probabilities(images: list[JudgedImage], prior: float) -> None:
    images = [*images, *judged("a", True, 1, 0), *judged("a", False, 0, 1)]
    table = learn_confidence(images, most_votes=5, prior_images=prior)
    for cells in (*table.categories.values(), table.others):
        assert_monotone(cells)


def assert_monotone(cells: Cells) -> None:
    assert set(cells) == {(a, r) for a, r in itertools.product(range(6), repeat=2) if a + r <= 5}
    for (accepts, rejects), value in cells.items():
        assert 0 < value < 1
        if accepts + rejects < 5:
            assert cells[accepts, rejects + 1] <= value
            assert value <= cells[accepts + 1, rejects]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-12, 1).map(lambda power: 10**power)), min_size=10, max_size=10))
@settings(max_examples=25)
def test_monotone_is_the_nearest_monotone_table(drawn: list[tuple[float, float]]) -> None:
    order = [(a, r) for a, r in itertools.product(range(4), repeat=2) if a + r <= 3]
    cells = {votes: value for votes, (value, _) in zip(order, drawn, strict=True)}
    weights = {votes: weight for votes, (_, weight) in zip(order, drawn, strict=True)}
    found = monotone(cells, weights)
    limits = [
        {"type": "ineq", "fun": lambda x, i=i, j=j: x[j] - x[i]}
        for i, (a, r) in enumerate(order)
        for j, other in enumerate(order)
        if other in ((a + 1, r), (a, r - 1))
    ]
    values, weight = (np.array([part[votes] for votes in order]) for part in (cells, weights))
    weight = np.maximum(weight, 1e-4 * weight.max())
    best = minimize(
        lambda x: float(weight @ (x - values) ** 2),
        np.full(10, values.mean()),
        jac=lambda x: 2 * weight * (x - values),
        constraints=limits,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    ours = np.array([found[votes] for votes in order])
    assert float(weight @ (ours - values) ** 2) <= best.fun + 1e-6
    assert all(limit["fun"](ours) > -1e-9 for limit in limits)
    assert values.min() <= ours.min() and ours.max() <= values.max()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-300, 0)), min_size=66, max_size=66))
@settings(max_examples=25)
def test_votes_that_hardly_any_image_has_do_no_harm(drawn: list[tuple[float, float]]) -> None:
    order = [(a, r) for a, r in itertools.product(range(11), repeat=2) if a + r <= 10]
    cells = {votes: value for votes, (value, _) in zip(order, drawn, strict=True)}
    weights = {votes: 10**power for votes, (_, power) in zip(order, drawn, strict=True)}
    heaviest = max(weights, key=lambda votes: weights[votes])
    weights = {votes: weight * 1e-5 for votes, weight in weights.items()} | {heaviest: 1.0}
    found = monotone(cells, weights)
    assert all(min(cells.values()) <= value <= max(cells.values()) for value in found.values())
    # The other cells together weigh 66 x 1e-4 at most, so that the nearest table leaves the heaviest where it is.
    assert found[heaviest] == pytest.approx(cells[heaviest], abs=0.01)


def test_faults() -> None:
    with pytest.raises(ConfigurationError, match="bad image"):
        learn_confidence(judged("a", True, 1, 0))
    with pytest.raises(ConfigurationError, match="5 accepts"):
        learn_confidence([*judged("a", True, 1, 0), *judged("a", False, 0, 1)], 4).confidence("a", 5, 0)


def test_bounds_close_in_on_the_confidence() -> None:
    def width(images: int) -> tuple[float, float]:
        table = learn_confidence(MIXED.vote(images, 6, np.random.default_rng(3)).judged("beach"), most_votes=6)
        cells = [(3, 0), (2, 1), (1, 1), (0, 2)]
        least = np.array([table.at_least("beach", *cell) for cell in cells])
        middle = np.array([table.confidence("beach", *cell) for cell in cells])
        most = np.array([table.at_most("beach", *cell) for cell in cells])
        assert (least < middle).all() and (middle < most).all()
        return float((middle - least).max()), float((most - middle).max())

    assert max(width(5000)) < 0.02 < min(width(60))


def test_bounds_hold_the_exact_posterior_as_often_as_they_say() -> None:
    below, cells = 0, [(1, 0), (2, 0), (3, 0), (2, 1)]
    for seed in range(100):
        table = learn_confidence(
            MIXED.vote(300, 6, np.random.default_rng(seed)).judged("a"), most_votes=6, prior_images=0.01
        )
        below += sum(table.at_least("a", *cell) <= MIXED.posterior(*cell) for cell in cells)
    assert 0.84 < below / 400 < 0.96  # 0.9


def test_bounds_are_monotone_and_decide() -> None:
    table = learn_confidence(
        [*MIXED.vote(40, 6, np.random.default_rng(1)).judged("a"), *judged("b", False, 2, 4)], most_votes=5
    )
    for name in ("a", "b", "never judged"):
        assert_monotone({cell: table.at_least(name, *cell) for cell in table.others})
        assert_monotone({cell: table.at_most(name, *cell) for cell in table.others})
        needed = table.accepts_needed(name, 0.8)
        assert needed and table.at_least(name, needed, 0) >= 0.8 > table.at_least(name, needed - 1, 0)
        rejects = table.rejects_needed(name, 0.2)
        assert rejects and table.at_most(name, 0, rejects) <= 0.2 < table.at_most(name, 0, rejects - 1)
    plain = learn_confidence(MIXED.vote(40, 6, np.random.default_rng(1)).judged("a"), most_votes=5, certainty=0.5)
    assert all(plain.at_least("a", *cell) == value for cell, value in plain.cells("a").items())
    # A table that knows no better, as the one that is printed.
    printed = ConfidenceTable({"sea": {(1, 0): 0.9}}, {})
    assert printed.at_least("sea", 1, 0) == printed.at_most("sea", 1, 0) == 0.9
