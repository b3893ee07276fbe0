"""Whether 0.97 is kept: simulated annotators vote on simulated candidates, and the truth is looked up.

Of the images that are kept, the share of good ones should be the threshold or more. It is where the table's votes are
like those that it is used for: independent, or alike in the same way. It is not where they are alike in a way of which
the images of known truth say nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.confidence import ConfidenceTable, VotedImage, learn_confidence
from tests.curation.votes.annotators import Annotators, SimulatedVotes

_CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of candidates that were voted on one vote at a time."""

    kept: npt.NDArray[np.bool_]
    """(N,)."""
    removed: npt.NDArray[np.bool_]
    """(N,), the votes speaking against them; who is neither is unsure."""
    accepts: npt.NDArray[np.int64]
    """(N,) when it was decided."""
    votes: npt.NDArray[np.int64]
    """(N,) when it was decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the kept images are in truth."""

    kept: float
    """Share of the candidates."""
    good: float
    """Share of the kept that are good: what the threshold promises; NaN if none is kept."""
    lost: float
    """Share of the good candidates that are not kept."""
    votes: float
    """Mean number of votes on a candidate."""


def vote_until_sure(table: ConfidenceTable, category: str, rules: Rules, votes: SimulatedVotes) -> Outcome:
    """Return what the rules make of the votes of each image, taken in their order; see `rounds.decide`.

    Args:
        table: The confidence table.
        category: That of all images.
        rules: When an image is sure; their limit is at most the number of votes.
        votes: (N, V) votes.
    """
    images = len(votes.is_good)
    verdicts = {}
    for number in range(1, rules.limit + 1):
        for count in range(number + 1):
            after = (count, number - count)
            hopeless = table.accepts_needed(category, rules.threshold, after, rules.limit) is None
            verdicts[after] = (
                1
                if table.at_least(category, *after) >= rules.threshold
                else -1
                if table.at_most(category, *after) <= rules.remove_at
                else 0
                if hopeless
                else None
            )
    kept, removed = np.zeros(images, bool), np.zeros(images, bool)
    counted, used = np.zeros(images, np.int64), np.zeros(images, np.int64)
    is_open = np.ones(images, bool)
    accepts: npt.NDArray[np.int64] = np.zeros(images, np.int64)
    for number in range(1, rules.limit + 1):
        accepts = accepts + votes.accepted[:, number - 1]
        counted[is_open], used[is_open] = accepts[is_open], number
        for count in range(number + 1):
            verdict = verdicts[count, number - count]
            if verdict is not None:
                here = is_open & (accepts == count)
                kept |= here & (verdict == 1)
                removed |= here & (verdict == -1)
                is_open &= ~here
    return Outcome(kept, removed, counted, used)


def check_promise(
    annotators: Annotators,
    rules: Rules,
    judged: int,
    candidates: int,
    generator: np.random.Generator,
    *,
    judges: Annotators | None = None,
    copied: float = 0.0,
    copied_by_judges: float = 0.0,
) -> Promise:
    """Return what a team keeps of a category's candidates by a table that it has learned.

    Args:
        annotators: How candidates are voted on.
        rules: When an image is sure.
        judged: Images of known truth, each with as many votes as the limit.
        candidates: Images that are voted on until they are sure.
        generator: Of random numbers.
        judges: How the images of known truth are voted on, where otherwise than candidates, such as easier ones.
        copied: Share of the votes on candidates that repeat the one before.
        copied_by_judges: The same of the votes on images of known truth.
    """
    known = (judges or annotators).vote(judged, rules.limit, generator, copied_by_judges)
    voted = annotators.vote(candidates, rules.limit, generator, copied)
    table = learn_confidence(known.judged(_CATEGORY), rules.limit)
    outcome = vote_until_sure(table, _CATEGORY, rules, voted)
    # As in `rounds.learn_table`: what the votes on candidates say of how many are good counts too.
    waiting = [
        VotedImage(category=_CATEGORY, accepts=accepts, rejects=votes - accepts)
        for accepts, votes in zip(outcome.accepts.tolist(), outcome.votes.tolist(), strict=True)
    ]
    table = learn_confidence(known.judged(_CATEGORY), rules.limit, waiting)
    outcome = vote_until_sure(table, _CATEGORY, rules, voted)
    good_kept = int((outcome.kept & voted.is_good).sum())
    kept = int(outcome.kept.sum())
    return Promise(
        kept=kept / candidates,
        good=good_kept / kept if kept else float("nan"),
        lost=1 - good_kept / max(int(voted.is_good.sum()), 1),
        votes=float(outcome.votes.mean()),
    )
