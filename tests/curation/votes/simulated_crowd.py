"""A simulated crowd that curates simulated images from the first round to the last: is 0.97 kept on the whole path?

`annotators` simulates votes whose exact posterior is known. Here there are people, each with an error rate of their
own, some of whom say nothing or are wrong in one category, and images that are more or less hard, some of pairs of
categories whose boundary is blurry until it is agreed on (Fig. 4 of the paper). What they say goes through `rounds` as
the votes of a server do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import Rules
from mlrsnet_hf.curation.votes.agreement import ambiguous_pairs, confusions
from mlrsnet_hf.curation.votes.event_log import Candidate, Event, RoundOpened, Vote
from mlrsnet_hf.curation.votes.rounds import (
    LAST_STAGE,
    State,
    decide,
    learn_table,
    pairs_in_question,
    replay,
    second_stage,
    truth_votes_wanted,
    votes_wanted,
)
from mlrsnet_hf.curation.votes.second_stage import truth_of_second_stage

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """How somebody answers."""

    error: float = 0.1
    """Probability of a mistake on an easy image."""
    guesses: bool = False
    """Whether every answer is a random category."""
    always: int | None = None
    """The only category that they ever say."""
    takes: tuple[int, int] | None = None
    """A category, and the one that they say in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Simulated images, by number of category."""

    collected: Numbers
    """(N,): the category that each was collected for."""
    truth: Numbers
    """(N,)."""
    resembles: Numbers
    """(N,): another category that it may be taken for; that which it was collected for, of most that are not of it."""
    hard: npt.NDArray[np.float64]
    """(N,): probability of a mistake that is due to the image, before the boundaries are agreed on."""
    hard_later: npt.NDArray[np.float64]
    """(N,): the same after."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.truth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What was collected for some categories."""

    categories: int
    good: Sequence[float]
    """Share of good images, by category."""
    hard_share: float = 0.2
    """Share of hard images, outside of blurry pairs."""
    hard: float = 0.35
    """Probability of a mistake that is due to a hard image."""
    blurry_pairs: int = 0
    """The categories 0 and 1 are one, 2 and 3 the next."""
    blurry_share: float = 0.6
    """Share of the images of blurry pairs that show what may be either."""
    blurry: float = 0.35
    """Probability of taking one of these for the other category, before the boundary is agreed on."""
    agreed: float = 0.08
    """The same after."""

    def draw(self, per_category: int, generator: np.random.Generator, good: Sequence[float] | None = None) -> Images:
        """Return so many images of each category.

        Args:
            per_category: Number of images.
            generator: Of random numbers.
            good: Share of good images, where it is not that of the collection, as of images of known truth.
        """
        collected: Numbers = np.repeat(np.arange(self.categories), per_category)
        images = len(collected)
        is_good = generator.random(images) < np.array(good or self.good)[collected]
        is_blurry = collected < 2 * self.blurry_pairs
        partner = np.where(is_blurry, collected ^ 1, self._other(collected, generator))
        others = np.where(generator.random(images) < 0.7, partner, self._other(collected, generator))
        truth = np.where(is_good, collected, others)
        misleads = (is_blurry & (truth == partner)) | (generator.random(images) < 0.5)
        resembles = np.where(is_good, partner, np.where(misleads, collected, self._other(truth, generator)))
        share, hard = (
            np.where(is_blurry, *parts) for parts in ((self.blurry_share, self.hard_share), (self.blurry, self.hard))
        )
        is_hard = generator.random(images) < share
        return Images(
            collected=collected,
            truth=truth,
            resembles=resembles,
            hard=np.where(is_hard, hard, 0.0),
            hard_later=np.where(is_hard, np.where(is_blurry, self.agreed, hard), 0.0),
        )

    def _other(self, than: Numbers, generator: np.random.Generator) -> Numbers:
        return (than + generator.integers(1, self.categories, len(than))) % self.categories


def say(
    people: Sequence[Person],
    images: Images,
    categories: int,
    generator: np.random.Generator,
    *,
    agreed: bool = False,
    copied: float = 0.0,
) -> tuple[Numbers, Numbers]:
    """Return who is asked of each image one after the other, and what they say.

    Args:
        people: Each of whom is asked once at most.
        images: What they see.
        categories: Number of categories.
        generator: Of random numbers.
        agreed: Whether the boundaries are agreed on.
        copied: Share of the answers, behind an image's first, that repeat the one before.

    Returns:
        Numbers of people (N, P) in a random order for each image, and their answers (N, P).
    """
    shape = len(images), len(people)
    order = generator.permuted(np.tile(np.arange(len(people)), (len(images), 1)), axis=1)
    error = np.array([person.error for person in people])[order]
    hard = (images.hard_later if agreed else images.hard)[:, None]
    slips, misled = generator.random(shape) < error, generator.random(shape) < hard
    anything = (images.truth[:, None] + generator.integers(1, categories, shape)) % categories
    answers = np.where(slips, anything, images.truth[:, None])
    answers = np.where(misled | (slips & (generator.random(shape) < 0.5)), images.resembles[:, None], answers)
    for number, person in enumerate(people):
        if person.guesses:
            answers = np.where(order == number, generator.integers(0, categories, shape), answers)
        if person.always is not None:
            answers = np.where(order == number, person.always, answers)
        if person.takes is not None:
            answers = np.where((order == number) & (images.truth[:, None] == person.takes[0]), person.takes[1], answers)
    repeats = generator.random(shape) < copied
    for vote in range(1, len(people)):
        answers[:, vote] = np.where(repeats[:, vote], answers[:, vote - 1], answers[:, vote])
    return order, answers


def curate(
    collection: Collection,
    people: Sequence[Person],
    candidates: int,
    judged: int,
    rules: Rules,
    generator: np.random.Generator,
    *,
    judged_good: float = 0.5,
    copied: float = 0.0,
    careful: bool = True,
) -> tuple[State, dict[str, bool]]:
    """Return where a curation ends, and which candidates are good.

    Args:
        collection: What was collected.
        people: Who votes.
        candidates: Images of each category.
        judged: Images of known truth of each category, which all get `rules.limit` votes in a stage.
        rules: When an image is sure.
        generator: Of random numbers.
        judged_good: Share of the images of known truth that are good.
        copied: Share of the answers that repeat the one before on the image.
        careful: Whether images are decided on by what the table says at least and at most.
    """
    kinds = {"": collection.draw(candidates, generator)}
    kinds["known "] = collection.draw(judged, generator, [judged_good] * collection.categories)
    said: dict[tuple[str, int], tuple[Numbers, Numbers]] = {}
    log: list[Event] = []
    for kind, images in kinds.items():
        drawn = [
            say(people, images, collection.categories, generator, agreed=agreed, copied=copied)
            for agreed in (False, True)
        ]
        for i in range(len(images)):
            name = f"{kind}{i}"
            truth = (_name(images.truth[i]),) if kind else None
            log.append(Candidate(image=name, category=_name(images.collected[i]), truth=truth))
            for stage, (order, answers) in enumerate(drawn, 1):
                said[name, stage] = order[i], answers[i]

    given: dict[tuple[str, int], int] = {}

    def vote(stage: int, wanted: dict[str, int]) -> None:
        log.append(RoundOpened(round=len(log), stage=stage, votes=wanted))
        for image, votes in wanted.items():
            order, answers = said[image, stage]
            first = given.get((image, stage), 0)
            given[image, stage] = min(first + votes, len(order))
            log.extend(
                Vote(stage=stage, image=image, annotator=str(order[i]), answers=(_name(answers[i]),))
                for i in range(first, given[image, stage])
            )

    state = replay(log)
    for stage in (1, LAST_STAGE):
        known = truth_votes_wanted(state, rules.limit, stage)
        if stage == LAST_STAGE:
            pairs = pairs_in_question(state, ambiguous_pairs(confusions(state.answers(1))))
            again = truth_of_second_stage(state, learn_table(state, rules), rules, pairs)
            known = {image: known[image] for image in again}
            log += second_stage(state, pairs)
            state = replay(log)
        wanted = {candidate.image: rules.first_votes for candidate in state.open_claims()}
        while wanted:
            vote(stage, known | wanted)
            state, known = replay(log), {}
            table = learn_table(state, rules, stage)
            table = table if careful else replace(table, least={}, most={})
            log += decide(state, table, rules)
            state = replay(log)
            wanted = votes_wanted(state, table, rules)
    images = kinds[""]
    return state, {str(i): bool(images.truth[i] == images.collected[i]) for i in range(len(images))}


def _name(category: np.int64) -> str:
    return f"category {category}"
