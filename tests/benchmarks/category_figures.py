"""The figures of docs/curation-figures.md on categories that are unlike: python tests/benchmarks/category_figures.py

Twenty people who differ vote on 200 candidates of each of five categories; these differ in how many are bad, how often
bad ones are accepted, and how many images of known truth they have. Mean of twenty draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable, JudgedImage, VotedImage, learn_confidence

PEOPLE, CANDIDATES, DRAWS = 20, 200, 20
CATEGORIES = range(5)
UNLIKE = 0.4, 0.6, 0.8, 0.95, 0.99
ONE_WORSE = 0.5, 0.9, 0.9, 0.9, 0.9
RULES = Rules()


@dataclass(frozen=True, kw_only=True)
class Case:
    """How categories, people and images differ."""

    good: Sequence[float] = UNLIKE
    """Share of good candidates, by category."""
    judged: Sequence[int] = (30,) * 5
    """Images of known truth, half of them good, by category."""
    rejects_good: tuple[float, float] = (0.02, 0.3)
    """Between which error rates people lie."""
    accepts_bad: tuple[float, float] = (0.02, 0.3)
    first: float = 1.0
    """By how much bad images of the first category are accepted more often."""
    hard: float = 0.0
    """Share of images that all are mistaken about more often: by 0 to 70%."""
    accept_all: int = 0
    """People who accept whatever they see."""


CASES = {
    "bad are 60, 40, 20, 5 and 1%": Case(),
    "the same, a tenth hard": Case(hard=0.1),
    "half are bad": Case(good=(0.5,) * 5),
    "the same, a fifth hard": Case(good=(0.5,) * 5, hard=0.2),
    "bad ones accepted by 10 to 50%": Case(accepts_bad=(0.1, 0.5), rejects_good=(0.02, 0.1)),
    "three accept everything": Case(accept_all=3),
    "one category worse": Case(good=ONE_WORSE, rejects_good=(0.02, 0.15), accepts_bad=(0.02, 0.15), first=4),
    "the same, 5 judged images of each": Case(
        good=ONE_WORSE, rejects_good=(0.02, 0.15), accepts_bad=(0.02, 0.15), first=4, judged=(5,) * 5
    ),
    "one category worse, without judged images": Case(
        good=ONE_WORSE, rejects_good=(0.02, 0.15), accepts_bad=(0.02, 0.15), first=4, judged=(0, 30, 30, 30, 30)
    ),
}


def vote(
    case: Case, rates: npt.NDArray[np.float64], images: Sequence[int], good: Sequence[float], draw: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return category and truth of images, and how many of their first votes are accepts, (N, votes + 1)."""
    category = np.repeat(CATEGORIES, images)
    is_good = draw.random(len(category)) < np.array(good)[category]
    who = draw.permuted(np.tile(np.arange(PEOPLE), (len(category), 1)), axis=1)[:, : RULES.limit]
    misleads = (0.7 * draw.random(len(category)) * (draw.random(len(category)) < case.hard))[:, None]
    wrong = np.where(is_good[:, None], rates[0][who], rates[1][who] * np.where(category == 0, case.first, 1)[:, None])
    wrong = np.clip(wrong + misleads, 0, 0.95)
    accepts = np.where(who < case.accept_all, 1.0, np.where(is_good[:, None], 1 - wrong, wrong))
    counted = (draw.random(who.shape) < accepts).cumsum(axis=1)
    return category, is_good, np.hstack([np.zeros((len(category), 1), np.int64), counted])


def verdict(table: ConfidenceTable, category: str, votes: tuple[int, int]) -> tuple[int, int]:
    """Return 1 to keep, -1 not to, 0 and the number of further votes to ask for; see `rounds.decide`."""
    if table.at_least(category, *votes) >= RULES.threshold:
        return 1, 0
    accepts = table.accepts_needed(category, RULES.threshold, votes, RULES.limit)
    if table.at_most(category, *votes) <= RULES.remove_at or accepts is None or sum(votes) >= RULES.limit:
        return -1, 0
    rejects = table.rejects_needed(category, RULES.remove_at, votes, RULES.limit)
    return 0, max(accepts if rejects is None else min(accepts, rejects), 1)


def run(case: Case, seed: int) -> npt.NDArray[np.float64]:
    """Return images kept, good ones of these and good candidates, by category, and votes on each: (5, 4)."""
    draw = np.random.default_rng(seed)
    rates = np.array([draw.uniform(*case.rejects_good, PEOPLE), draw.uniform(*case.accepts_bad, PEOPLE)])
    known, known_good, known_accepts = vote(case, rates, case.judged, [0.5] * 5, draw)
    judged = [
        JudgedImage(category=str(name), is_good=bool(good), accepts=int(accepts), rejects=int(RULES.limit - accepts))
        for name, good, accepts in zip(known, known_good, known_accepts[:, -1], strict=True)
    ]
    category, is_good, accepts = vote(case, rates, [CANDIDATES] * 5, case.good, draw)
    votes, decided = np.full(len(category), RULES.first_votes), np.zeros(len(category), np.int64)
    while (decided == 0).any():
        counts = accepts[np.arange(len(votes)), votes]
        cells = [(str(name), (int(yes), int(n - yes))) for name, yes, n in zip(category, counts, votes, strict=True)]
        waiting = [VotedImage(category=name, accepts=yes, rejects=no) for name, (yes, no) in cells]
        table = learn_confidence(judged, RULES.limit, waiting)
        is_open = decided == 0
        said = {cell: verdict(table, *cell) for cell in {cells[i] for i in np.flatnonzero(is_open)}}
        for i in np.flatnonzero(is_open):
            decided[i], more = said[cells[i]]
            votes[i] += more
    kept = decided == 1
    return np.array(
        [
            [np.sum(kept & of), np.sum(kept & of & is_good), np.sum(of & is_good), votes[of].mean()]
            for of in (category == name for name in CATEGORIES)
        ]
    )


def main() -> None:
    """Print a line for each case."""
    for name, case in CASES.items():
        runs = np.array([run(case, seed) for seed in range(DRAWS)])
        kept, right, good, _ = runs.sum(axis=0).T
        each = runs[:, :, 1].sum(axis=1) / runs[:, :, 0].sum(axis=1)
        print(
            f"{name}: good among the kept {right.sum() / kept.sum():.3f} (worst draw {np.nanmin(each):.3f}), of the "
            f"first category {right[0] / kept[0]:.3f}, lost {1 - right.sum() / good.sum():.2f}, of the first "
            f"{1 - right[0] / good[0]:.2f}, votes {runs[:, :, 3].mean():.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
