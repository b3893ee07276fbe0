"""How labels get wrong: how often they are left out and added, on which labels, and on which images.

What a kind of evidence says of a label is not yet how probably the label is wrong: that depends on how mistakes are
made. In a set whose annotators left a tenth out, a label that is missing is wrong where the same evidence against one
that is given means nothing; whoever was careless with an image was with all its labels; and an image that got the
labels of another has none of its own. All of this is learned from the labels as they are.

A label is there by what an image shows with the probability s, a logistic function of the weighed evidence. It is given
with the probability a + (1 - a - m) s, where m is the share that is left out and a the share that is added (as in noisy
logistic regression, Raykar et al. 2010): evidence that is right nearly always, and a share of labels that contradict it
all the same, are told from evidence that is unsure. Each label has its own curve and shares, drawn to those of all
labels. Each image is of one of several sorts, whose shares are learned too (expectation maximization): those on which
mistakes are as frequent as in the whole, or more or less so by a factor, and those whose labels come from elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from mlrsnet_hf.curation.wrong_labels.label_patterns import label_rates

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

_FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""How much more frequent mistakes are on an image than in the whole."""
_CAREFUL = 3.0
"""Factor up to which an image teaches what evidence is worth."""
_USUAL = 0.01
"""Share of labels that are left out, and that are added, where the labels do not say."""
_LEAST, _MOST = 1e-3, 0.5
"""Shares, at the least and at the most."""
_SPREAD = 2.0
"""Standard deviation of the logit of a share around the usual one."""
_ROUNDS, _STEPS = 2, 40
_TAUGHT = 10_000
"""Images that are learned from, at the most: more change nothing but the time."""
_STEEPEST = 30.0
"""Logit of a probability, at the most."""
_RAREST = 1e-3
"""Share of images with a label, where labels come from elsewhere, at the least."""
_FIRST_ELSEWHERE = 0.05
"""Share of images whose labels come from elsewhere, to begin with."""
_NONE_LESS = 0.01
"""Images of each sort, at the least."""


@dataclass(frozen=True, slots=True)
class _Freedom:
    """How far a label may be from all labels: standard deviations."""

    share: float
    """Of the logits of the shares that are left out and added."""
    slope: float
    """Of the logarithm of the slope of its curve."""
    offset: float
    """Of the curve's offset."""
    least: float
    """The least share."""


_FREEDOMS = (_Freedom(0.3, 0.05, 0.05, 3 * _LEAST), _Freedom(1.5, 0.3, 0.5, _LEAST))
"""Mistakes may be of all labels alike or of single ones: each serves where the other does not, and both count."""


@dataclass(frozen=True, slots=True)
class Misfiled:
    """What is known of images that may be filed in a wrong scene, whose labels are that scene's."""

    rates: Scores
    """(N, L), how often the other images of the given scene carry each label."""
    odds: Scores
    """(N,), logarithm of how much better an image looks like all other scenes than like the one that it is given."""


def find_mistakes(
    logits: Scores,
    labels: Labels,
    judged: Labels,
    teaching: Scores | None = None,
    misfiled: Misfiled | None = None,
    changed: Callable[[Scores], Scores] | None = None,
    seed: int = 0,
) -> Scores:
    """Return how probably each label is wrong.

    Args:
        logits: (N, L, K), of each kind of evidence that the label is there.
        labels: (N, L), as given.
        judged: (N, L), false where nothing is known of a label.
        teaching: (N, L, K), evidence that the weights are learned with; that which judges if unset.
        misfiled: What is known of images in a wrong scene; None where scenes are not doubted.
        changed: What becomes of the probabilities of being there, before the images are told apart.
        seed: Of the images that are learned from, if there are very many.

    Returns:
        (N, L), of labels that are given and of those that are not; of what is not judged it says nothing.
    """
    teaching = logits if teaching is None else teaching
    count, width, kinds = logits.shape
    taught: npt.NDArray[np.int64] = np.arange(count)
    if count > _TAUGHT:
        taught = np.sort(np.random.default_rng(seed).permutation(count)[:_TAUGHT])
    trust: Scores = np.ones(count)
    learned = np.r_[np.full(kinds, 1 / kinds), 0.0, np.full(2, logit(2 * _USUAL))]
    for _ in range(_ROUNDS):
        learned = _fit_all(teaching[taught], labels[taught], judged[taught] * trust[taught, None], learned)
        weights, offset = learned[:kinds], learned[kinds]
        shares = np.maximum(0.5 * expit(learned[kinds + 1 :]), _LEAST)
        values, seen = logits @ weights + offset, _there(teaching @ weights + offset)
        of_all = np.tile(shares, (width, 1))
        trust = _by_images(_there(values, changed), seen, labels, judged, of_all, misfiled)[1]
    wrong = np.zeros(labels.shape)
    for freedom in _FREEDOMS:
        own, own_shares = np.empty_like(values), np.empty((width, 2))
        for label in range(width):
            taught_by = teaching[taught, label] @ weights + offset
            known = judged[taught, label] * trust[taught]
            slope, shift, own_shares[label] = _fit_label(taught_by, labels[taught, label], known, shares, freedom)
            own[:, label] = slope * values[:, label] + shift
        wrong += _by_images(_there(own, changed), seen, labels, judged, own_shares, misfiled)[0] / len(_FREEDOMS)
    return wrong


def _there(values: Scores, changed: Callable[[Scores], Scores] | None = None) -> Scores:
    """Return the probability that a label is there."""
    there = expit(np.clip(values, -_STEEPEST, _STEEPEST))
    return there if changed is None else changed(there)


def _fit_all(logits: Scores, labels: Labels, known: Scores, first: Scores) -> Scores:
    """Return the weights, the offset, and the logits of twice the shares that are left out and added."""
    kinds = logits.shape[-1]
    rows = np.flatnonzero(known.ravel() > 0)
    inputs, given, counts = logits.reshape(-1, kinds)[rows], labels.ravel()[rows], known.ravel()[rows]
    total, usual = max(counts.sum(), 1.0), logit(2 * _USUAL)

    def cost(values: Scores) -> tuple[float, Scores]:
        lost, of_values, of_shares = _loss(inputs @ values[:kinds] + values[kinds], given, counts, *values[kinds + 1 :])
        off = (values[kinds + 1 :] - usual) / _SPREAD
        slope = np.r_[of_values @ inputs, of_values.sum(), of_shares + off / _SPREAD]
        return (lost + 0.5 * float(off @ off)) / total, slope / total

    bounds = [(0, None)] * kinds + [(None, None)] + [(-9, 5)] * 2
    found: Scores = minimize(cost, first, jac=True, bounds=bounds, method="L-BFGS-B").x
    return found


def _fit_label(
    values: Scores, labels: Labels, known: Scores, shares: Scores, freedom: _Freedom
) -> tuple[float, float, Scores]:
    """Return the slope and the offset of a label's curve, and the shares of it that are left out and added."""
    means = np.array([0.0, 0.0, *(logit(2 * min(max(share, freedom.least), 0.49)) for share in shares)])
    spreads = np.array([freedom.slope, freedom.offset, freedom.share, freedom.share])

    def cost(of: Scores) -> tuple[float, Scores]:
        slope = np.exp(of[0])
        lost, of_values, of_shares = _loss(slope * values + of[1], labels, known, of[2], of[3])
        off = (of - means) / spreads
        found = np.r_[of_values @ values * slope, of_values.sum(), of_shares] + off / spreads
        return lost + 0.5 * float(off @ off), found

    bounds = [(-2, 2), (-6, 6), (-9, 5), (-9, 5)]
    # A label that is left out on half of its images looks like one that evidence is unsure of: it is tried as well.
    starts = (means, np.array([0.0, 1.0, 1.0, means[3]]), np.array([0.0, -1.0, means[2], -1.0]))
    tried = [minimize(cost, start, jac=True, bounds=bounds, method="L-BFGS-B") for start in starts]
    best = min(tried, key=lambda result: float(result.fun)).x
    return float(np.exp(best[0])), float(best[1]), np.maximum(0.5 * expit(best[2:]), freedom.least)


def _loss(
    values: Scores, labels: Labels, counts: Scores, left_out: float, added: float
) -> tuple[float, Scores, Scores]:
    """Return the negative log-likelihood of labels, and its slopes in the values and in the logits of the shares."""
    missing, more = 0.5 * expit(left_out), 0.5 * expit(added)
    there = expit(np.clip(values, -60, 60))
    given = more + (1 - more - missing) * there
    told = np.where(labels, given, 1 - given)
    by_given = -counts * np.where(labels, 1, -1) / told
    of_shares = np.array(
        [
            -(by_given @ there) * missing * (1 - 2 * missing),
            (by_given @ (1 - there)) * more * (1 - 2 * more),
        ]
    )
    return -float(counts @ np.log(told)), by_given * (1 - more - missing) * there * (1 - there), of_shares


def _by_images(
    present: Scores,
    seen: Scores,
    labels: Labels,
    judged: Labels,
    shares: Scores,
    misfiled: Misfiled | None,
) -> tuple[Scores, Scores]:
    """Return how probably labels are wrong, and how probably images are careful.

    The sorts of images are those with each factor, those whose labels are of any image, and those in a wrong scene.
    """
    overall = np.broadcast_to(label_rates(labels, judged), labels.shape)
    from_any = len(_FACTORS)
    count = from_any + 1 + (misfiled is not None)

    def sort(place: int) -> tuple[Scores, Scores]:
        """Return how probable each label is as it is given, and how probably it is wrong, on images of a sort."""
        if place < from_any:
            left_out, added = np.minimum(_FACTORS[place] * shares.T, _MOST)
            given = added + (1 - added - left_out) * present
            told = np.where(labels, given, 1 - given)
            return told, np.where(labels, added * (1 - present), left_out * present) / told
        there = present if place == from_any or misfiled is None else seen
        rates = overall if place == from_any or misfiled is None else misfiled.rates
        rates = np.clip(rates, _RAREST, 1 - _RAREST)
        return np.where(labels, rates, 1 - rates), np.where(labels, 1 - there, there)

    told = np.stack([np.where(judged, np.log(sort(place)[0]), 0).sum(axis=1) for place in range(count)], axis=1)
    if misfiled is not None:
        told[:, -1] += misfiled.odds
    often = np.full(count, _FIRST_ELSEWHERE)
    often[:from_any] = (1 - _FIRST_ELSEWHERE) / from_any
    for _ in range(_STEPS):
        of_sort = told + np.log(often)
        of_sort = np.exp(of_sort - of_sort.max(axis=1, keepdims=True))
        of_sort /= of_sort.sum(axis=1, keepdims=True)
        often = (of_sort.sum(axis=0) + _NONE_LESS) / (len(labels) + _NONE_LESS * count)
    wrong = np.zeros(labels.shape)
    for place in range(count):
        wrong += of_sort[:, [place]] * sort(place)[1]
    return wrong, of_sort[:, : int(np.searchsorted(_FACTORS, _CAREFUL, side="right"))].sum(axis=1)
