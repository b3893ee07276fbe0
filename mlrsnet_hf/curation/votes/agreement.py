"""How much annotators agree: Krippendorff's alpha of all and of each category, and whose votes say nothing.

Alpha is 1 where all agree, 0 where they agree as often as chance would have it (Krippendorff 2011); it is computed by
`krippendorff`, which the extra `curate` brings.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import binom

FEW_VOTES = 20
"""Fewest votes by which somebody is judged."""
SURE = 0.01
"""Probability that somebody who answers at random is not said to: that many of those who do are taken for others."""
_SHUFFLES = 999
_SHUFFLED = 10_000
"""Answers of a person by which that is judged: more take minutes, and say nothing else."""


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
    takes: Sequence[tuple[str, str]] = ()
    """Categories that they mostly give another name to, as others do not, and that name: a misunderstanding."""


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
    given = {(answer.image, answer.annotator): answer.category for answer in answers}
    rows = {image: row for row, image in enumerate(dict.fromkeys(image for image, _ in given))}
    names = sorted(set(given.values()))
    numbers = {name: number for number, name in enumerate(names)}
    counts: np.ndarray = np.zeros((len(rows), len(names)), np.int64)
    np.add.at(counts, ([rows[image] for image, _ in given], [numbers[category] for category in given.values()]), 1)
    counts = counts[counts.sum(axis=1) > 1]
    of_image = counts.sum(axis=1)
    alphas = {name: _alpha(np.stack([own, of_image - own], axis=1)) for name, own in zip(names, counts.T, strict=True)}
    # What is expected by chance of each category against all others, which sum to that of all categories. The library
    # would take a matrix of these for each image: 7 GB for those of the paper.
    given_to = counts.sum(axis=0).astype(np.float64)
    chance = given_to * (given_to.sum() - given_to)
    by_category = np.array([*alphas.values()], np.float64)
    overall = 1 - (chance * (1 - by_category))[chance > 0].sum() / chance.sum() if chance.any() else math.nan
    return Agreement(float(overall), alphas)


def _alpha(counts: np.ndarray) -> float:
    """Return alpha of (images, 2) numbers of answers."""
    import krippendorff

    if not counts.any(axis=0).all():  # without two values there is nothing to disagree on
        return math.nan
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


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
    order says nothing: always the same category, or any (a permutation test at `SURE`). Whoever seems to is compared
    again without the answers of the others who do, since with two votes an image the other one may be theirs.

    Args:
        answers: Of all annotators.
        truth: Categories of images that are known.
        seed: Of the orders.
    """
    by_annotator: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_annotator[answer.annotator].append(answer)
    generator = np.random.default_rng(seed)
    compared = _compared(by_annotator, by_annotator, truth or {})
    mistaken = _mistaken(compared)
    found = {name: _judged(len(by_annotator[name]), pairs, generator) for name, pairs in compared.items()}
    silent = {name for name, person in found.items() if person.verdict == "says nothing"}
    if others := by_annotator.keys() - silent:
        again = _compared(by_annotator, others, truth or {})
        found |= {name: _judged(len(by_annotator[name]), again[name], generator) for name in sorted(silent)}
    return {name: replace(person, takes=mistaken.get(name, ())) for name, person in found.items()}


def _compared(
    by_annotator: Mapping[str, Sequence[Answer]], by: Collection[str], truth: Mapping[str, str]
) -> dict[str, list[tuple[str, str]]]:
    """Return the answers of each annotator with what they are compared with: the truth, or what most of some say."""
    by_image: dict[str, Counter[str]] = defaultdict(Counter)
    for name in by:
        for answer in by_annotator[name]:
            by_image[answer.image][answer.category] += 1
    compared = {}
    for name, own in sorted(by_annotator.items()):
        references = [
            truth.get(answer.image)
            or _majority(by_image[answer.image] - Counter([answer.category] if name in by else []))
            for answer in own
        ]
        pairs = zip(own, references, strict=True)
        compared[name] = [(answer.category, said) for answer, said in pairs if said is not None]
    return compared


def _mistaken(compared: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Return which categories somebody takes for which, by name.

    Somebody does who says so on most images of the category, and more often than the rate at which the others say so
    explains: a binomial test at `SURE`, divided by the number of tests (Bonferroni).
    """
    said = Counter((name, reference, own) for name, pairs in compared.items() for own, reference in pairs)
    shown = Counter((name, reference) for name, pairs in compared.items() for _, reference in pairs)
    of_all = Counter((reference, own) for pairs in compared.values() for own, reference in pairs)
    shown_all = Counter(reference for pairs in compared.values() for _, reference in pairs)
    found: dict[str, list[tuple[str, str]]] = {}
    for (name, reference, own), count in sorted(said.items()):
        images = shown[name, reference]
        if own == reference or 2 * count <= images:
            continue
        rate = (of_all[reference, own] - count + 1) / (shown_all[reference] - images + 2)
        if binom.sf(count - 1, images, rate) <= SURE / len(said):
            found.setdefault(name, []).append((reference, own))
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
    if len(own) > _SHUFFLED:
        own, said = np.array([own, said])[:, generator.choice(len(own), _SHUFFLED, replace=False)]
    alike = (own == said).mean()
    as_good = sum((generator.permutation(own) == said).mean() >= alike for _ in range(_SHUFFLES))
    verdict: Literal["informative", "says nothing"] = (
        "informative" if (as_good + 1) / (_SHUFFLES + 1) <= SURE else "says nothing"
    )
    return Person(votes, len(pairs), agreed, by_chance, verdict)
