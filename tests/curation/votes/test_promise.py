"""0.97 on simulated annotators: kept where votes are as those that the table was learned from, else not."""

import numpy as np
import pytest

from mlrsnet_hf.curation.config import Rules
from tests.curation.votes.annotators import Annotators
from tests.curation.votes.promise import Promise, check_promise

RULES = Rules()
INDEPENDENT = Annotators(good_share=0.7, good=((1.0, 0.85),), bad=((1.0, 0.15),))
MIXED = Annotators(good_share=0.7, good=((0.7, 0.95), (0.3, 0.65)), bad=((0.8, 0.05), (0.2, 0.5)))
EASY = Annotators(good_share=0.7, good=((1.0, 0.95),), bad=((1.0, 0.05),))


def mean_good(annotators: Annotators, judged: int = 1000, **options: object) -> float:
    runs: list[Promise] = [
        check_promise(annotators, RULES, judged, 4000, np.random.default_rng(seed), **options)  # type: ignore[arg-type]
        for seed in range(4)
    ]
    assert all(run.kept > 0.2 and 1 <= run.votes <= RULES.limit for run in runs)
    return float(np.mean([run.good for run in runs]))


@pytest.mark.parametrize("annotators", [INDEPENDENT, MIXED], ids=["independent", "mixed"])
def test_kept(annotators: Annotators) -> None:
    assert mean_good(annotators) >= 0.97


def test_broken_by_what_the_table_does_not_know() -> None:
    assert mean_good(INDEPENDENT, copied=0.5) < 0.955
    assert mean_good(MIXED, judges=EASY) < 0.94


def test_the_exact_table_keeps_it_whatever_the_limit() -> None:
    # Optional stopping: a true posterior of 0.97 is one whenever the votes end.
    for limit in (3, 6, 10):
        run = check_promise(INDEPENDENT, Rules(limit=limit), 20_000, 20_000, np.random.default_rng(0))
        assert run.good >= 0.97


def test_copied_votes_are_alike() -> None:
    drawn = INDEPENDENT.vote(20_000, 2, np.random.default_rng(0), copied=0.5)
    good = drawn.accepted[drawn.is_good]
    # The second repeats the first in half of the cases, else is as likely as ever: 0.5 + 0.5 (.85^2 + .15^2).
    assert (good[:, 0] == good[:, 1]).mean() == pytest.approx(0.5 + 0.5 * (0.85**2 + 0.15**2), abs=0.01)
