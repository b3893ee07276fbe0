"""How sure a team is of an image: P(good | accepts, rejects), learned from images whose truth is known.

The confidence table of Qi et al. (2020, Table 3) is that of ImageNet (Deng et al. 2009, section 3.2): some images are
judged by many people, and each pair of numbers of accepts and rejects gets the share of good images among those that
had it. Three things are added, for tables of a few dozen images per category: every subset of an image's votes is
counted, not the first ones alone; cells with few images lean on all categories together, and these on a beta-binomial
distribution; and the table is monotone, more accepts never make an image less sure and more rejects never more.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import betabinom, hypergeom

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.paper_tables import CONFIDENCE_THRESHOLD, TABLE3_CONFIDENCE

Votes = tuple[int, int]
"""Accepts and rejects."""
Cells = Mapping[Votes, float]
"""Confidence by votes."""
Values = npt.NDArray[np.float64]

PRIOR_IMAGES = 20.0
"""Images that the prior counts as, in each category and among the good and the bad ones."""
_ROUNDS = 500
_CLOSE = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedImage:
    """The votes that an image has."""

    category: str
    """That which the image was collected for."""
    accepts: int
    rejects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedImage(VotedImage):
    """The votes on an image whose truth is known."""

    is_good: bool
    """Whether the image is of its category."""


@dataclass(frozen=True, slots=True)
class ConfidenceTable:
    """Confidence of each category by votes."""

    categories: Mapping[str, Cells]
    others: Cells
    """That of a category without images of known truth: of all categories together."""

    def cells(self, category: str) -> Cells:
        """Return the confidence by votes of one category."""
        return self.categories.get(category, self.others)

    def confidence(self, category: str, accepts: int, rejects: int) -> float:
        """Return P(good | accepts, rejects).

        Raises:
            ConfigurationError: The table does not go as far.
        """
        found = self.cells(category).get((accepts, rejects))
        if found is None:
            raise ConfigurationError(
                f"the confidence table has no row for {accepts} accepts and {rejects} rejects of {category!r}",
                "Learn it up to as many votes as images have.",
            )
        return found

    def accepts_needed(
        self, category: str, threshold: float = CONFIDENCE_THRESHOLD, after: Votes = (0, 0), limit: float = math.inf
    ) -> int | None:
        """Return the fewest further votes, all of them accepts, that make an image sure.

        Args:
            category: That of the image.
            threshold: Confidence that is wanted.
            after: Votes that the image has.
            limit: Votes that an image may have in all.

        Returns:
            0 where the votes will do; None where no number of accepts within table and limit will.
        """
        cells = self.cells(category)
        accepts, rejects = after
        further = 0
        while accepts + further + rejects <= limit:
            found = cells.get((accepts + further, rejects))
            if found is None and (accepts + further, rejects) != (0, 0):  # Table 3 has no row without votes
                return None
            if found is not None and found >= threshold:
                return further
            further += 1
        return None


def published_table() -> ConfidenceTable:
    """Return Table 3 as it is printed; it knows four categories, and at most three votes."""
    return ConfidenceTable(TABLE3_CONFIDENCE, {})


def learn_confidence(
    judged: Iterable[JudgedImage],
    most_votes: int = 10,
    candidates: Iterable[VotedImage] = (),
    prior_images: float = PRIOR_IMAGES,
) -> ConfidenceTable:
    r"""Return the confidence table of images whose truth is known.

    With L(a, r | good) the share of the good images of a category in whose votes a + r, drawn at random, are a accepts
    and r rejects, and s the share of good images among the category's candidates,

        P(good | a, r) = s L(a, r | good) / (s L(a, r | good) + (1 - s) L(a, r | bad)).

    Each share L is a mean of the category's images and of `prior_images` images that are distributed as those of all
    categories; these in turn lean on a beta-binomial distribution of the same mean and correlation between votes. The
    table is then made monotone (see `monotone`).

    Args:
        judged: Images of known truth, good ones and bad ones. How many votes each has must not depend on what they are.
        most_votes: Up to how many votes the table goes.
        candidates: Images of unknown truth. Where a category has some, s is estimated from their votes (by expectation
            maximization), because images of known truth are seldom good as often as candidates are; else s is the share
            among the judged.
        prior_images: How much the prior counts.

    Raises:
        ConfigurationError: No good image is judged, or no bad one.
    """
    by_category: dict[str, list[JudgedImage]] = {}
    for image in judged:
        by_category.setdefault(image.category, []).append(image)
    every = [image for images in by_category.values() for image in images]
    good = sum(image.is_good for image in every)
    for found, kind in ((good, "good"), (len(every) - good, "bad")):
        if not found:
            raise ConfigurationError(
                f"no image of known truth is a {kind} one",
                "Mix in images of the categories and images that are taken for them, and have them judged.",
            )
    shares = {is_good: _vote_shares(every, is_good, most_votes) for is_good in (True, False)}
    prior = {
        is_good: _mixed(shares[is_good], _beta_binomial(every, is_good, most_votes), prior_images)
        for is_good in (True, False)
    }
    waiting: dict[str, Counter[Votes]] = {}
    for candidate in candidates:
        waiting.setdefault(candidate.category, Counter())[candidate.accepts, candidate.rejects] += 1
    all_good = (good + 1) / (len(every) + 2)

    def cells(images: list[JudgedImage], likelihoods: Mapping[bool, "_Shares"], votes: Counter[Votes]) -> Cells:
        is_good = sum(image.is_good for image in images)
        expected = (is_good + prior_images * all_good) / (len(images) + prior_images)
        share = _good_share(likelihoods, votes, expected, prior_images) if votes else expected
        return _posterior(likelihoods, share, most_votes)

    categories: dict[str, Cells] = {}
    for name in sorted(by_category.keys() | waiting.keys()):
        images = by_category.get(name, [])
        own = {is_good: _vote_shares(images, is_good, most_votes) for is_good in (True, False)}
        likelihoods = {is_good: _mixed(own[is_good], prior[is_good].shares, prior_images) for is_good in (True, False)}
        categories[name] = cells(images, likelihoods, waiting.get(name, Counter()))
    return ConfidenceTable(categories, cells(every, prior, sum(waiting.values(), Counter())))


@dataclass(frozen=True, slots=True)
class _Shares:
    """How votes are distributed over some images, and how many images that is known from."""

    shares: Values
    """(most_votes + 1, most_votes + 1): of n votes, the share of a accepts at [n, a]; of each n they sum to 1, or 0."""
    images: Values
    """(most_votes + 1,): images that have n votes or more."""


def _vote_shares(images: Iterable[JudgedImage], is_good: bool, most: int) -> _Shares:
    """Return how votes are distributed, over all subsets of the votes of the good or of the bad images."""
    counts = Counter((image.accepts, image.rejects) for image in images if image.is_good == is_good)
    sums = np.zeros((most + 1, most + 1))
    known = np.zeros(most + 1)
    for (accepts, rejects), number in counts.items():
        sums[0, 0] += number  # of no votes all are nothing
        known[0] += number
        for drawn in range(1, min(most, accepts + rejects) + 1):
            sums[drawn] += number * hypergeom.pmf(np.arange(most + 1), accepts + rejects, accepts, drawn)
            known[drawn] += number
    return _Shares(np.divide(sums, known[:, None], out=np.zeros_like(sums), where=known[:, None] > 0), known)


def _mixed(own: _Shares, prior: Values, prior_images: float) -> _Shares:
    images = own.images + prior_images
    return _Shares((own.shares * own.images[:, None] + prior * prior_images) / images[:, None], images)


def _beta_binomial(images: Iterable[JudgedImage], is_good: bool, most: int) -> Values:
    """Return the distribution of votes that are accepted as often, and are as alike on an image, as those given."""
    counts = Counter((image.accepts, image.rejects) for image in images if image.is_good == is_good)
    votes = np.array([(accepts, rejects, number) for (accepts, rejects), number in counts.items()], np.float64)
    accepts, rejects, number = votes.T
    total = accepts + rejects
    rate = (number @ accepts + 1) / (number @ total + 2)
    pairs = number @ (total * (total - 1))
    # An accept and a reject on two images of their own: no table is ever sure without votes that say so.
    both = (number @ (accepts * (accepts - 1)) + rate**2) / (pairs + 1)
    alike = min(max((both - rate**2) / (rate * (1 - rate)), 1e-3), 0.95)
    spread = (1 - alike) / alike
    n, a = np.ogrid[: most + 1, : most + 1]
    return np.where(a <= n, betabinom.pmf(a, np.maximum(n, a), rate * spread, (1 - rate) * spread), 0.0)


def _good_share(likelihoods: Mapping[bool, _Shares], votes: Counter[Votes], expected: float, weight: float) -> float:
    """Return the share of good images among candidates, by expectation maximization from their votes.

    When an image gets no more votes depends on its votes alone, so that it counts for both alternatives alike.
    """
    cells = np.array(list(votes), np.int64)
    numbers = np.array(list(votes.values()), np.float64)
    most = len(likelihoods[True].images) - 1
    inside = cells.sum(axis=1) <= most
    cells, numbers = cells[inside], numbers[inside]
    good, bad = (likelihoods[is_good].shares[cells.sum(axis=1), cells[:, 0]] for is_good in (True, False))
    share = expected
    for _ in range(_ROUNDS):
        probable = share * good / (share * good + (1 - share) * bad)
        new = float((numbers @ probable + weight * expected) / (numbers.sum() + weight))
        if abs(new - share) < _CLOSE:
            break
        share = new
    return share


def _posterior(likelihoods: Mapping[bool, _Shares], share: float, most: int) -> Cells:
    good = share * likelihoods[True].shares
    bad = (1 - share) * likelihoods[False].shares
    cells: dict[Votes, float] = {}
    weights: dict[Votes, float] = {}
    for votes in range(most + 1):
        for accepts in range(votes + 1):
            cell = (accepts, votes - accepts)
            here = good[votes, accepts] + bad[votes, accepts]
            cells[cell] = float(good[votes, accepts] / here)
            weights[cell] = float(here * (likelihoods[True].images[votes] + likelihoods[False].images[votes]))
    return monotone(cells, weights)


def monotone(cells: Cells, weights: Cells) -> Cells:
    """Return the nearest table that never falls with another accept and never rises with another reject.

    Nearest is meant in weighted squares; isotonic regression along the accepts and along the rejects in turn, by
    Dykstra's algorithm (Dykstra and Robertson 1982), comes as near to it as anybody cares.

    Args:
        cells: Confidence by votes; with (a, r) the table has (a - 1, r) or not, as it likes.
        weights: Of the same votes, above 0.
    """
    order = sorted(cells)
    place = {votes: i for i, votes in enumerate(order)}
    values = np.array([cells[votes] for votes in order])
    weight = np.array([weights[votes] for votes in order])
    # Each line rises: more accepts with the rejects as they are, or fewer rejects with the accepts as they are.
    rising = sorted(order, key=lambda votes: (votes[0], -votes[1]))
    lines = [
        [
            np.array([place[votes] for votes in rising if votes[axis] == level])
            for level in {votes[axis] for votes in order}
        ]
        for axis in (1, 0)
    ]
    corrections = [np.zeros_like(values) for _ in lines]
    for _ in range(_ROUNDS):
        before = values
        for i, direction in enumerate(lines):
            asked = values + corrections[i]
            values = asked.copy()
            for line in direction:
                values[line] = isotonic_regression(asked[line], weights=weight[line]).x
            corrections[i] = asked - values
        if np.abs(values - before).max() < _CLOSE and all((np.diff(values[line]) > -_CLOSE).all() for line in lines[0]):
            break
    for line in (*lines[1], *lines[0]):  # what is left is less than the eye sees, but an order has no exceptions
        values[line] = np.maximum.accumulate(values[line])
    return dict(zip(order, values.tolist(), strict=True))
