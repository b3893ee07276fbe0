"""Table 3 of Qi et al. (2020): which annotators would give it, and how near any can come.

The paper does not say how the table came about. Were it the posterior of votes that are independent given good or bad,
three numbers would tell all seven of its rows: the share of good images and how often either kind is accepted. Were the
votes merely exchangeable (no vote is apart from another, images may be easy or hard), the table would be that of some
mixture (de Finetti). How far each misses the printed numbers is computed here.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize

from mlrsnet_hf.curation.votes.confidence import Cells
from tests.curation.votes.annotators import Annotators

ROUNDED = 0.005
"""What the print hides: two decimals."""
_LEVELS = 101
"""Levels of difficulty that a mixture is made of, from never accepted to always."""
_STARTS = ((0.5, 0.9, 0.3), (0.4, 0.8, 0.1), (0.3, 0.95, 0.2), (0.6, 0.7, 0.3))


@dataclass(frozen=True, slots=True)
class Fit:
    """Annotators whose posterior comes nearest to a table."""

    annotators: Annotators
    furthest: float
    """Largest difference of a cell."""


def nearest_independent(cells: Cells) -> Fit:
    """Return the annotators with independent votes whose posterior misses a table least, by its worst cell."""

    def annotators(numbers: np.ndarray) -> Annotators:
        share, good, bad = 1 / (1 + np.exp(-numbers))
        return Annotators(good_share=float(share), good=((1.0, float(good)),), bad=((1.0, float(bad)),))

    def furthest(numbers: np.ndarray) -> float:
        made = annotators(numbers)
        return max(abs(made.posterior(*votes) - value) for votes, value in cells.items())

    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-9, "fatol": 1e-12}
    found = []
    for start in _STARTS:
        numbers = np.log(np.array(start) / (1 - np.array(start)))
        for _ in range(3):  # the simplex collapses on the ridges of a maximum; a new one goes on
            numbers = minimize(furthest, numbers, method="Nelder-Mead", options=options).x
        found.append(numbers)
    best = min(found, key=furthest)
    return Fit(annotators(best), furthest(best))


def nearest_exchangeable(cells: Cells, precision: float = 1e-4) -> Fit:
    """Return the annotators with exchangeable votes whose posterior misses a table least, by its worst cell.

    A mixture gives each level of difficulty a mass of good and one of bad images. That its posterior is within a
    distance of a cell is linear in the masses, so that whether a distance can be had is a linear program; the smallest
    is found by bisection.
    """
    levels = np.linspace(0, 1, _LEVELS)
    low, high = 0.0, 1.0
    found = None
    while high - low > precision or found is None:
        middle = (low + high) / 2
        masses = _masses(cells, levels, middle)
        if masses is None:
            low = middle
        else:
            found, high = masses, middle
    good, bad = found[:_LEVELS], found[_LEVELS:]
    share = float(good.sum() / (good.sum() + bad.sum()))
    annotators = Annotators(good_share=share, good=_as_levels(good, levels), bad=_as_levels(bad, levels))
    return Fit(annotators, max(abs(annotators.posterior(*votes) - value) for votes, value in cells.items()))


def _masses(cells: Cells, levels: np.ndarray, distance: float) -> np.ndarray | None:
    """Return masses of good and bad images by level whose posterior is within a distance of every cell."""
    rows = []
    for (accepts, rejects), value in cells.items():
        chance = levels**accepts * (1 - levels) ** rejects
        chance = chance / chance.max()  # scale of a row: none is too small for the program's tolerance
        rows.append(np.concatenate([chance * (1 - value - distance), -chance * (value + distance)]))
        rows.append(np.concatenate([-chance * (1 - value + distance), chance * (value - distance)]))
    answer = linprog(
        np.zeros(2 * len(levels)),
        A_ub=np.array(rows),
        b_ub=np.zeros(len(rows)),
        A_eq=np.ones((1, 2 * len(levels))),
        b_eq=[1.0],
        method="highs",
    )
    return answer.x if answer.status == 0 else None


def _as_levels(masses: np.ndarray, levels: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(mass / masses.sum()), float(level)) for mass, level in zip(masses, levels, strict=True) if mass > 0
    )
