"""How much annotators agree: Krippendorff's alpha of all and of each category, and whose votes say nothing.

Alpha is 1 where all agree, 0 where they agree as often as chance would have it (Krippendorff 2011); it is computed by
`krippendorff`, which the extra `curate` brings.
"""

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

FEW_VOTES = 20
"""Fewest votes by which somebody is judged."""
SURE = 0.01
"""Probability that somebody who answers at random is not said to: that many of those who do are taken for others."""
_SHUFFLES = 999


class Answer(NamedTuple):
    """The category that an annotator gave to an image."""

    image: str
    annotator: str
    category: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much the annotators of some images agree; NaN where nothing can be said."""

    overall: float
    """Alpha of the answers as they are."""
    categories: Mapping[str, float]
    """Alpha of whether the answer is a category, by category."""


@dataclass(frozen=True, slots=True)
class Person:
    """What one annotator's votes are worth."""

    votes: int
    compared: int
    """Votes on images whose truth is known or that others have judged too."""
    agreed: float
    """Share of these that are as the truth, or else as most others say; NaN without any."""
    by_chance: float
    """The share that the same answers would have, were they given to these images at random; NaN without any."""
    verdict: Literal["informative", "says nothing", "too few votes"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two categories that annotators give to the same images."""

    first: str
    second: str
    share: float
    """Of the votes for the rarer of the two, that meet a vote for the other on the same image."""
    images: int
    """That have votes for both."""


def agreement(answers: Iterable[Answer]) -> Agreement:
    """Return Krippendorff's alpha for nominal data; an image that one person alone has judged does not count."""
    given = list(answers)
    annotators = {name: row for row, name in enumerate(dict.fromkeys(answer.annotator for answer in given))}
    images = {name: column for column, name in enumerate(dict.fromkeys(answer.image for answer in given))}
    names = sorted({answer.category for answer in given})
    numbers = {name: number for number, name in enumerate(names)}
    table: np.ndarray = np.full((len(annotators), len(images)), np.nan)
    for answer in given:
        table[annotators[answer.annotator], images[answer.image]] = numbers[answer.category]
    table = table[:, np.isfinite(table).sum(axis=0) > 1]
    return Agreement(
        _alpha(table),
        {name: _alpha(np.where(np.isnan(table), np.nan, table == number)) for name, number in numbers.items()},
    )


def _alpha(table: np.ndarray) -> float:
    """Return alpha of (annotators, images) numbers, NaN where an answer is missing."""
    import krippendorff

    if len(np.unique(table[np.isfinite(table)])) < 2:  # without two values there is nothing to disagree on
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))


def confusions(answers: Iterable[Answer]) -> list[Confusion]:
    """Return the pairs of categories that annotators are divided about, the most divided first.

    With the coincidences of Krippendorff (2011), o(a, b) is the number of votes for a and for b on one image, each pair
    of an image's m votes counted 1 / (m - 1), so that each vote counts once. An image that was collected for the wrong
    category, and that all agree on, makes no confusion.
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        votes[answer.image][answer.category] += 1
    together: Counter[tuple[str, str]] = Counter()
    weighted: dict[tuple[str, str], float] = defaultdict(float)
    totals: Counter[str] = Counter()
    for counts in votes.values():
        given = counts.total()
        if given < 2:
            continue
        totals.update(counts)
        names = sorted(counts)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                together[first, second] += 1
                weighted[first, second] += counts[first] * counts[second] / (given - 1)
    found = [
        Confusion(first, second, weighted[first, second] / min(totals[first], totals[second]), images)
        for (first, second), images in together.items()
    ]
    return sorted(found, key=lambda pair: (-pair.share, pair.first, pair.second))


def ambiguous_pairs(pairs: Iterable[Confusion], share: float = 0.1, images: int = 5) -> list[Confusion]:
    """Return the pairs that annotators are divided about this often, on so many images."""
    return [pair for pair in pairs if pair.share >= share and pair.images >= images]


def people(answers: Iterable[Answer], truth: Mapping[str, str] | None = None, seed: int = 0) -> dict[str, Person]:
    """Return what each annotator's votes are worth.

    Each answer is compared with the truth where it is known, else with what most of the others say of the image; where
    they are divided it is not compared. Somebody whose answers agree no more often than the same answers in any other
    order says nothing: always the same category, or any (a permutation test at `SURE`).

    Args:
        answers: Of all annotators.
        truth: Categories of images that are known.
        seed: Of the orders.
    """
    given = list(answers)
    by_image: dict[str, Counter[str]] = defaultdict(Counter)
    by_annotator: dict[str, list[Answer]] = defaultdict(list)
    for answer in given:
        by_image[answer.image][answer.category] += 1
        by_annotator[answer.annotator].append(answer)
    generator = np.random.default_rng(seed)
    found = {}
    for name, own in sorted(by_annotator.items()):
        references = [
            (truth or {}).get(answer.image) or _majority(by_image[answer.image] - Counter([answer.category]))
            for answer in own
        ]
        pairs = [(answer.category, said) for answer, said in zip(own, references, strict=True) if said is not None]
        found[name] = _judged(len(own), pairs, generator)
    return found


def _majority(others: Counter[str]) -> str | None:
    """Return what most say, None where nobody says anything or two categories have as many."""
    ranked = others.most_common(2)
    return None if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]) else ranked[0][0]


def _judged(votes: int, pairs: Sequence[tuple[str, str]], generator: np.random.Generator) -> Person:
    if not pairs:
        return Person(votes, 0, math.nan, math.nan, "too few votes")
    names = {name: number for number, name in enumerate({name for pair in pairs for name in pair})}
    own, said = np.array([[names[name] for name in pair] for pair in pairs]).T
    agreed = float((own == said).mean())
    shares = [np.bincount(values, minlength=len(names)) / len(values) for values in (own, said)]
    by_chance = float(shares[0] @ shares[1])
    if len(pairs) < FEW_VOTES:
        return Person(votes, len(pairs), agreed, by_chance, "too few votes")
    as_good = sum((generator.permutation(own) == said).mean() >= agreed for _ in range(_SHUFFLES))
    verdict: Literal["informative", "says nothing"] = (
        "informative" if (as_good + 1) / (_SHUFFLES + 1) <= SURE else "says nothing"
    )
    return Person(votes, len(pairs), agreed, by_chance, verdict)
