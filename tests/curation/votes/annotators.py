"""Simulated annotators, whose exact posterior is known: what a learned table and the promise of 0.97 are checked on.

An image is good or bad, and easy or hard: its level has a probability with which each annotator accepts it. Given the
level, votes are independent; over images of several levels they are not, since a hard image is hard for all.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.votes.confidence import Cells, JudgedImage, Values

Levels = tuple[tuple[float, float], ...]
"""Share of the images, and the probability that an annotator accepts one of them, level by level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVotes:
    """Votes on images of known truth."""

    is_good: npt.NDArray[np.bool_]
    """(N,)."""
    accepted: npt.NDArray[np.bool_]
    """(N, V), in the order in which the votes were given."""

    def judged(self, category: str) -> list[JudgedImage]:
        """Return what all votes say of each image."""
        accepts = self.accepted.sum(axis=1).tolist()
        votes = self.accepted.shape[1]
        return [
            JudgedImage(category=category, is_good=good, accepts=count, rejects=votes - count)
            for good, count in zip(self.is_good.tolist(), accepts, strict=True)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotators:
    """How annotators judge the candidates of a category.

    Example:
        >>> careful = Annotators(good_share=0.5, good=((1.0, 0.9),), bad=((1.0, 0.2),))
        >>> round(careful.posterior(1, 0), 4)  # 0.9 / (0.9 + 0.2)
        0.8182
    """

    good_share: float
    """Share of the candidates that are of their category."""
    good: Levels
    """Of the good images; the shares sum to 1."""
    bad: Levels
    """Of the bad ones."""

    def posterior(self, accepts: int, rejects: int) -> float:
        """Return the exact P(good | accepts, rejects), in whichever order the votes came."""
        good, bad = (
            sum(share * accepted**accepts * (1 - accepted) ** rejects for share, accepted in levels)
            for levels in (self.good, self.bad)
        )
        return self.good_share * good / (self.good_share * good + (1 - self.good_share) * bad)

    def table(self, most_votes: int) -> Cells:
        """Return the exact posterior of up to so many votes."""
        return {
            (accepts, votes - accepts): self.posterior(accepts, votes - accepts)
            for votes in range(most_votes + 1)
            for accepts in range(votes + 1)
        }

    def vote(self, images: int, votes: int, generator: np.random.Generator, copied: float = 0.0) -> SimulatedVotes:
        """Return so many votes on each of so many images.

        Args:
            images: Number of images.
            votes: Votes on each.
            generator: Of random numbers.
            copied: Share of the votes, behind an image's first, that repeat the one before: annotators who sit side by
                side. Their votes are no longer independent given the image, and no table knows.
        """
        is_good = generator.random(images) < self.good_share
        accepted_at = np.where(is_good, _levels(self.good, images, generator), _levels(self.bad, images, generator))
        accepted = generator.random((images, votes)) < accepted_at[:, None]
        repeats = generator.random((images, votes)) < copied
        for vote in range(1, votes):
            accepted[:, vote] = np.where(repeats[:, vote], accepted[:, vote - 1], accepted[:, vote])
        return SimulatedVotes(is_good=is_good, accepted=accepted)


def _levels(levels: Levels, images: int, generator: np.random.Generator) -> Values:
    shares, accepted = np.array(levels, np.float64).T
    return accepted[generator.choice(len(levels), images, p=shares / shares.sum())]
