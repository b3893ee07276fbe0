"""How sure a team is of an image: P(good | accepts, rejects), learned from images whose truth is known.

The confidence table of Qi et al. (2020, Table 3) is that of ImageNet (Deng et al. 2009, section 3.2): some images are
judged by many people, and each pair of numbers of accepts and rejects gets the share of good images among those that
had it. Four things are added, for tables of a few dozen images per category: every subset of an image's votes is
counted, not the first ones alone; cells with few images lean on all categories together, and these on a beta-binomial
distribution; the table is monotone, more accepts never make an image less sure and more rejects never more; and it
knows how far it can be trusted.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
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
CERTAINTY = 0.9
"""Share of the tables that might as well have been learned, by which an image is to be sure."""
_TABLES = 50
_HALVINGS = 30
_LIGHTEST = 1e-4
"""Of the heaviest cell's weight: from 1e-5 on rounding decides of all cells (tried), by votes that no image has."""


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
    least: Mapping[str, Cells] = field(default_factory=dict)
    """What the confidence of these categories is at least, and at "" that of all others; see `at_least`."""
    most: Mapping[str, Cells] = field(default_factory=dict)
    """What it is at most."""

    def cells(self, category: str) -> Cells:
        """Return the confidence by votes of one category."""
        return self.categories.get(category, self.others)

    def confidence(self, category: str, accepts: int, rejects: int) -> float:
        """Return P(good | accepts, rejects).

        Raises:
            ConfigurationError: The table does not go as far.
        """
        return self._found(self.cells(category), category, accepts, rejects)

    def at_least(self, category: str, accepts: int, rejects: int) -> float:
        """Return what P(good | accepts, rejects) is at least, with the certainty that the table was learned with.

        Images are kept by this. The cells of a table of few images are too high as often as too low, but those that are
        too high keep images, so that by the confidence itself more bad ones are kept than it says. A table that
        knows no better, such as Table 3 as it is printed, gives the confidence.

        Raises:
            ConfigurationError: The table does not go as far.
        """
        return self._found(self._bound(self.least, category), category, accepts, rejects)

    def at_most(self, category: str, accepts: int, rejects: int) -> float:
        """Return what P(good | accepts, rejects) is at most: images are removed early by this; see `at_least`."""
        return self._found(self._bound(self.most, category), category, accepts, rejects)

    def _bound(self, bounds: Mapping[str, Cells], category: str) -> Cells:
        return bounds.get(category if category in self.categories else "", self.cells(category))

    @staticmethod
    def _found(cells: Cells, category: str, accepts: int, rejects: int) -> float:
        found = cells.get((accepts, rejects))
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
            threshold: Confidence that is wanted at least; see `at_least`.
            after: Votes that the image has.
            limit: Votes that an image may have in all.

        Returns:
            0 where the votes will do; None where no number of accepts within table and limit will.
        """
        cells = self._bound(self.least, category)
        return _further(cells, after, limit, (1, 0), lambda confidence: confidence >= threshold)

    def rejects_needed(
        self, category: str, threshold: float, after: Votes = (0, 0), limit: float = math.inf
    ) -> int | None:
        """Return the fewest further votes, all of them rejects, that bring the confidence down to a threshold.

        The arguments and what is returned are those of `accepts_needed`, the confidence being that of `at_most`.
        """
        cells = self._bound(self.most, category)
        return _further(cells, after, limit, (0, 1), lambda confidence: confidence <= threshold)


def _further(cells: Cells, after: Votes, limit: float, step: Votes, is_sure: Callable[[float], bool]) -> int | None:
    votes = after
    further = 0
    while sum(votes) <= limit:
        found = cells.get(votes)
        if found is None and votes != (0, 0):  # Table 3 has no row without votes
            return None
        if found is not None and is_sure(found):
            return further
        votes = votes[0] + step[0], votes[1] + step[1]
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
    certainty: float = CERTAINTY,
) -> ConfidenceTable:
    r"""Return the confidence table of images whose truth is known.

    With L(a, r | good) the share of the good images of a category in whose votes a + r, drawn at random, are a accepts
    and r rejects, and s the share of good images among the category's candidates,

        P(good | a, r) = s L(a, r | good) / (s L(a, r | good) + (1 - s) L(a, r | bad)).

    Each share L is a mean of the category's images and of `prior_images` images that are distributed as those of all
    categories; these in turn lean, as heavily, on a beta-binomial distribution of the same mean and correlation between
    votes (one accept and one reject besides, each on an image of its own). The table is then made monotone (see
    `monotone`), a cell weighing as the images that it is learned from, those of the prior among them.

    How far the table can be trusted is seen from tables of the same images in other proportions, as if others of their
    like had been judged (the Bayesian bootstrap, Rubin 1981): nine of ten are between `at_least` and
    one, and nine of ten between zero and `at_most`.

    Args:
        judged: Images of known truth, good ones and bad ones. How many votes each has must not depend on what they are.
        most_votes: Up to how many votes the table goes.
        candidates: Images of unknown truth. Where a category has some, s is estimated from their votes (the most
            probable one), because images of known truth are seldom good as often as candidates are; the share among the
            judged, which leans on that of all categories, counts as `prior_images` of them. Without candidates it is s.
        prior_images: How much the prior counts.
        certainty: That share of the tables, in place of nine of ten; 0.5 makes both bounds the confidence.

    Raises:
        ConfigurationError: No good image is judged, or no bad one.
    """
    images = Counter((image.category, image.is_good, image.accepts, image.rejects) for image in judged)
    for kind in (True, False):
        if not any(is_good == kind for _, is_good, _, _ in images):
            raise ConfigurationError(
                f"nobody has voted on a {'good' if kind else 'bad'} image of known truth, and nothing can be learned",
                "Wait for votes on such images; if there are none, mix some in.",
            )
    waiting = Counter((image.category, image.accepts, image.rejects) for image in candidates)
    names = sorted({category for category, *_ in images} | {category for category, *_ in waiting})
    rows = {name: row for row, name in enumerate(names)}

    order = sorted(images)  # the same images give the same table, in whichever order they come
    numbers = np.array([images[key] for key in order], np.float64)
    draws = np.random.default_rng(0).gamma(numbers, size=(_TABLES, len(order))) if certainty > 0.5 else numbers[:0]
    weights = np.vstack([numbers, draws.reshape(-1, len(order))])
    # Categories are drawn as well as images, for what thin ones lean on: another category might be like a few of these.
    drawn = np.vstack([np.ones((1, len(names))), np.random.default_rng(1).exponential(size=(len(draws), len(names)))])
    likelihoods = {
        kind: _likelihoods(order, weights, drawn, kind, rows, most_votes, prior_images) for kind in (True, False)
    }

    is_good = np.array([good for _, good, _, _ in order])
    of = np.array([[rows[category] == row for row in range(len(names))] + [True] for category, *_ in order], np.float64)
    every_good = (weights[:, is_good].sum(axis=1) + 1) / (weights.sum(axis=1) + 2)
    share = ((weights * is_good) @ of + prior_images * every_good[:, None]) / (weights @ of + prior_images)
    if waiting:
        votes = np.zeros((len(names) + 1, most_votes + 1, most_votes + 1))
        for (category, accepts, rejects), number in waiting.items():
            if accepts + rejects <= most_votes:
                votes[[rows[category], -1], accepts + rejects, accepts] += number
        share = _good_share({kind: found.shares for kind, found in likelihoods.items()}, votes, share, prior_images)

    good = share[:, :, None, None] * likelihoods[True].shares
    bad = (1 - share[:, :, None, None]) * likelihoods[False].shares
    both = good + bad
    posterior = np.divide(good, both, out=np.zeros_like(both), where=both > 0)
    weight = both[0] * (likelihoods[True].images + likelihoods[False].images)[0, :, :, None]
    low, high = (
        np.quantile(posterior[1:], [1 - certainty, certainty], axis=0) if len(draws) else (posterior[0], posterior[0])
    )
    categories, least, most = {}, {}, {}
    for row, name in enumerate((*names, "")):
        cells = _monotone_cells(posterior[0, row], weight[row])
        categories[name] = cells
        least[name] = {c: min(value, cells[c]) for c, value in _monotone_cells(low[row], weight[row]).items()}
        most[name] = {c: max(value, cells[c]) for c, value in _monotone_cells(high[row], weight[row]).items()}
    return ConfidenceTable({name: categories[name] for name in names}, categories[""], least, most)


@dataclass(frozen=True, slots=True)
class _Likelihoods:
    """How votes are distributed over good or over bad images, in T tables, by C categories and then by all together."""

    shares: Values
    """(T, C + 1, most_votes + 1, most_votes + 1): of n votes, the share of a accepts at [..., n, a]."""
    images: Values
    """(T, C + 1, most_votes + 1): images that have n votes or more, and those of the prior."""


def _likelihoods(
    order: Sequence[tuple[str, bool, int, int]],
    weights: Values,
    drawn_categories: Values,
    kind: bool,
    rows: Mapping[str, int],
    most: int,
    prior_images: float,
) -> _Likelihoods:
    """Return the distribution of votes over all subsets of the votes of the good or of the bad images."""
    here = [i for i, (_, is_good, _, _) in enumerate(order) if is_good == kind]
    weights = weights[:, here]
    accepts = np.array([order[i][2] for i in here], np.int64)
    votes = accepts + np.array([order[i][3] for i in here], np.int64)
    n, a = np.ogrid[: most + 1, : most + 1]
    inside = (n <= votes[:, None, None]) & (a <= n)
    drawn = hypergeom.pmf(a, votes[:, None, None], accepts[:, None, None], np.minimum(n, votes[:, None, None]))
    drawn = np.where(inside, np.where(n == 0, 1.0, drawn), 0.0)  # of no votes all are nothing
    sums = np.zeros((len(weights), len(rows) + 1, most + 1, most + 1))
    known = np.zeros(sums.shape[:3])
    counted = (np.arange(most + 1) <= votes[:, None]).astype(np.float64)
    categories = np.array([rows[order[i][0]] for i in here])
    for row in np.unique(categories):
        those = categories == row
        sums[:, row] = np.tensordot(weights[:, those], drawn[those], 1)
        known[:, row] = weights[:, those] @ counted[those]
    of_all = weights * drawn_categories[:, categories]
    of_all *= (weights.sum(axis=1) / of_all.sum(axis=1))[:, None]
    sums[:, -1] = np.tensordot(of_all, drawn, 1)
    known[:, -1] = of_all @ counted
    spread = _beta_binomial(accepts, votes, of_all, most)
    prior = (sums[:, -1] + prior_images * spread) / (known[:, -1] + prior_images)[:, :, None]
    images = known + prior_images
    shares = (sums + prior_images * prior[:, None]) / images[..., None]
    shares[:, -1] = prior
    return _Likelihoods(shares, images)


def _beta_binomial(accepts: npt.NDArray[np.int64], votes: npt.NDArray[np.int64], weights: Values, most: int) -> Values:
    """Return the distribution of votes that are accepted as often, and are as alike on an image, as those given."""
    rate = (weights @ accepts + 1) / (weights @ votes + 2)
    pairs = weights @ (votes * (votes - 1))
    # An accept and a reject on two images of their own: no table is ever sure without votes that say so.
    both = (weights @ (accepts * (accepts - 1)) + rate**2) / (pairs + 1)
    alike = np.clip((both - rate**2) / (rate * (1 - rate)), 1e-3, 0.95)
    spread = (1 - alike) / alike
    n, a = np.ogrid[: most + 1, : most + 1]
    good, bad = ((part * spread)[:, None, None] for part in (rate, 1 - rate))
    return np.where(a <= n, betabinom.pmf(np.minimum(a, n), n, good, bad), 0.0)


def _good_share(likelihoods: Mapping[bool, Values], votes: Values, expected: Values, weight: float) -> Values:
    """Return the most probable share of good images among candidates.

    When an image gets no more votes depends on its votes alone, so that it counts for both alternatives alike. The
    logarithm of the probability is concave in the share, so that its slope has one root, which is found by bisection.

    Args:
        likelihoods: (T, C, most_votes + 1, most_votes + 1) of good and of bad images.
        votes: (C, most_votes + 1, most_votes + 1): candidates with n votes, a of them accepts, at [n, a].
        expected: (T, C): the share that the images of known truth make likely.
        weight: Images that this counts as.
    """
    somewhere = votes.any(axis=0)
    good, bad = (likelihoods[kind][:, :, somewhere] for kind in (True, False))
    numbers = votes[:, somewhere]
    low, high = np.zeros_like(expected), np.ones_like(expected)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        here = share[..., None] * good + (1 - share[..., None]) * bad
        slope = (numbers * (good - bad) / here).sum(axis=2)
        slope += weight * (expected / share - (1 - expected) / (1 - share))
        low, high = np.where(slope > 0, share, low), np.where(slope > 0, high, share)
    return (low + high) / 2


def _monotone_cells(posterior: Values, weight: Values) -> Cells:
    places = [(n, a) for n in range(len(posterior)) for a in range(n + 1)]
    return monotone(
        {(a, n - a): float(posterior[n, a]) for n, a in places}, {(a, n - a): float(weight[n, a]) for n, a in places}
    )


def monotone(cells: Cells, weights: Cells) -> Cells:
    """Return the nearest table that never falls with another accept and never rises with another reject.

    Nearest is meant in weighted squares. Of the least distance from v to x under A x >= 0 the dual is a least-squares
    problem of multipliers that are not negative (Lawson and Hanson 1974, chapter 23).

    Args:
        cells: Confidence by votes; with (a, r) the table has (a - 1, r) or not, as it likes.
        weights: Of the same votes, above 0; below a ten-thousandth of the largest they count as that.
    """
    order = sorted(cells, key=lambda votes: (votes[0], -votes[1]))  # from the least sure on
    place = {votes: i for i, votes in enumerate(order)}
    values = np.array([cells[votes] for votes in order])
    heavy = np.array([weights[votes] for votes in order])
    root = np.sqrt(np.maximum(heavy, _LIGHTEST * heavy.max()))
    pairs = [
        (place[lower], place[higher])
        for higher in order
        for lower in ((higher[0] - 1, higher[1]), (higher[0], higher[1] + 1))
        if lower in place
    ]
    rises = np.zeros((len(pairs), len(order)))
    for row, (low, high) in enumerate(pairs):
        rises[row, low], rises[row, high] = -1, 1
    multipliers, _ = nnls(rises.T / root[:, None], -root * values, maxiter=100 * len(pairs))
    values = np.clip(values + multipliers @ rises / root**2, values.min(), values.max())
    for low, high in pairs:  # what rounding leaves is less than the eye sees, but an order has no exceptions
        values[high] = max(values[high], values[low])
    return dict(zip(order, values.tolist(), strict=True))
