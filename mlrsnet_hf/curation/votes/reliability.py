"""Annotators weighted by how reliable they are: the confidence of an image by the model of Dawid and Skene (1979).

The confidence table counts votes; here each annotator has a rate of accepting good images and one of accepting bad
ones, and a vote weighs as much as these differ. Needs `crowd-kit`, which the extra `curate` brings.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mlrsnet_hf.curation.votes.event_log import Claim
from mlrsnet_hf.errors import ConfigurationError

_ROUNDS = 200
_GOOD, _BAD = "good", "bad"
_PRIOR = ""
"""Stands for the image of the claims that everybody is held to have judged."""


class Ballot(NamedTuple):
    """Whether an annotator took an image for one of the category that it was collected for."""

    claim: Claim
    annotator: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Reliability:
    """How one annotator votes."""

    accepts_good: float
    """Probability of accepting a good image."""
    accepts_bad: float
    """Probability of accepting a bad one; with both alike the votes say nothing."""


@dataclass(frozen=True, slots=True)
class WeightedConfidence:
    """What votes say when annotators are weighted."""

    claims: Mapping[Claim, float]
    """P(good) of each claim that has votes."""
    annotators: Mapping[str, Reliability]


def weighted_confidence(ballots: Iterable[Ballot], truth: Mapping[Claim, bool] | None = None) -> WeightedConfidence:
    """Return the confidence of images, with annotators weighted by their agreement with the truth and with each other.

    Each annotator is held to have once accepted and once rejected a good and a bad image besides, so that nobody is
    infallible after three votes. The table's categories are not told apart here: an annotator who knows no airports
    but all else counts alike everywhere.

    Args:
        ballots: One for each annotator and claim.
        truth: Whether claims of known truth are good.

    Raises:
        ConfigurationError: There are no votes.
    """
    import pandas as pd
    from crowdkit.aggregation.classification.dawid_skene import DawidSkene

    rows = [(vote.claim, vote.annotator, _GOOD if vote.accepted else _BAD) for vote in ballots]
    if not rows:
        raise ConfigurationError("there are no votes to weigh", "Have images voted on first.")
    annotators = sorted({annotator for _, annotator, _ in rows})
    known = {claim: _GOOD if is_good else _BAD for claim, is_good in (truth or {}).items()}
    for is_good in (_GOOD, _BAD):
        for said in (_GOOD, _BAD):
            prior = _PRIOR, f"{is_good} said to be {said}"
            known[prior] = is_good
            rows += [(prior, annotator, said) for annotator in annotators]
    # crowd-kit asks for one value a task, and pandas would take a tuple for the levels of an index.
    names = {claim: number for number, claim in enumerate(dict.fromkeys(claim for claim, _, _ in rows))}
    votes = pd.DataFrame(
        {
            "task": [names[claim] for claim, _, _ in rows],
            "worker": [annotator for _, annotator, _ in rows],
            "label": [said for _, _, said in rows],
        }
    )
    truths = pd.Series({names[claim]: value for claim, value in known.items() if claim in names})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # crowd-kit 1.4 asks pandas 3 in words of pandas 2
        model = DawidSkene(n_iter=_ROUNDS).fit(votes, true_labels=truths)
    assert model.probas_ is not None and model.errors_ is not None, "it is fitted"
    sure = model.probas_[_GOOD]
    claims = {claim: float(sure[number]) for claim, number in names.items() if claim[0] != _PRIOR}
    errors = model.errors_
    return WeightedConfidence(
        claims,
        {name: Reliability(*(float(errors.loc[(name, _GOOD), good]) for good in (_GOOD, _BAD))) for name in annotators},
    )
