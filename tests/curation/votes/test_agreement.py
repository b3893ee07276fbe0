"""Agreement by hand and against Krippendorff's own example; people whose votes say nothing."""

import math

import numpy as np
import pytest

from mlrsnet_hf.curation.votes.agreement import Answer, agreement, ambiguous_pairs, confusions, people

# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: 4 observers, 12 units, 5 values; * is no
# answer. Nominal alpha is 0.743.
EXAMPLE = """
1 2 3 3 2 1 4 1 2 * * *
1 2 3 3 2 2 4 1 2 5 * 3
* 3 3 3 2 3 4 2 2 5 1 *
1 2 3 3 2 4 4 1 2 5 1 *
"""


def answers(table: str) -> list[Answer]:
    rows = [line.split() for line in table.strip().splitlines()]
    return [
        Answer(f"image {column}", f"annotator {row}", value)
        for row, cells in enumerate(rows)
        for column, value in enumerate(cells)
        if value != "*"
    ]


def by_hand(given: list[Answer], category: str | None = None) -> float:
    """Return alpha by its definition: 1 - (n - 1) D_o / D_e, over the pairs of answers to an image."""
    units: dict[str, list[object]] = {}
    for answer in given:
        units.setdefault(answer.image, []).append(answer.category if category is None else answer.category == category)
    kept = [values for values in units.values() if len(values) > 1]
    every = [value for values in kept for value in values]
    observed = sum(
        sum(a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j) / (len(values) - 1)
        for values in kept
    )
    expected = sum(a != b for i, a in enumerate(every) for j, b in enumerate(every) if i != j)
    return 1 - (len(every) - 1) * observed / expected


def test_alpha_of_krippendorffs_example() -> None:
    found = agreement(answers(EXAMPLE))
    assert found.overall == pytest.approx(0.743, abs=5e-4)
    assert found.overall == pytest.approx(by_hand(answers(EXAMPLE)))
    for category, alpha in found.categories.items():
        assert alpha == pytest.approx(by_hand(answers(EXAMPLE), category)), category


def test_without_two_values_there_is_nothing_to_say() -> None:
    assert math.isnan(agreement(answers("1 1 1\n1 1 1")).overall)
    assert math.isnan(agreement(answers("1 2 3")).overall)


def crowd(seed: int, images: int = 60) -> tuple[list[Answer], dict[str, str]]:
    """Five who are right nine times in ten, one who answers at random, one who always says beach, one who left."""
    generator = np.random.default_rng(seed)
    names = ["beach", "desert", "lake", "river"]
    truth = {f"{i}": names[generator.integers(4)] for i in range(images)}
    given = []
    for image, category in truth.items():
        for person in range(5):
            said = category if generator.random() < 0.9 else names[generator.integers(4)]
            given.append(Answer(image, f"careful {person}", said))
        given.append(Answer(image, "random", names[generator.integers(4)]))
        given.append(Answer(image, "beach lover", "beach"))
    given.append(Answer("0", "left", "beach"))
    return given, truth


@pytest.mark.parametrize("known", [True, False])
def test_votes_that_say_nothing(known: bool) -> None:
    taken = 0
    for seed in range(10):
        given, truth = crowd(seed)
        found = people(given, truth if known else None)
        assert {found[f"careful {i}"].verdict for i in range(5)} == {"informative"}
        assert found["beach lover"].verdict == "says nothing"
        assert found["left"].verdict == "too few votes"
        taken += found["random"].verdict == "informative"
    assert taken <= 1  # one in a hundred is expected


def test_counts_by_hand() -> None:
    given = [Answer("1", "a", "x"), Answer("1", "b", "x"), Answer("1", "c", "y"), Answer("2", "a", "y")]
    found = people(given)
    # a is compared on image 1 alone: b says x, c says y: divided. b: a x, c y: divided. c: a and b say x.
    assert (found["a"].votes, found["a"].compared) == (2, 0)
    assert (found["c"].compared, found["c"].agreed) == (1, 0.0)
    told = people(given, {"1": "x", "2": "y"})
    # a's answers x and y to x and y: both right; at random 1/2 x 1/2 + 1/2 x 1/2.
    assert (told["a"].compared, told["a"].agreed, told["a"].by_chance) == (2, 1.0, 0.5)


def test_confusions_by_hand() -> None:
    # Image 1: a a b, image 2: b b, image 3: a b, image 4: c alone. o(a, b) = 2 x 1 / 2 + 1 x 1 / 1 = 2; votes for a: 3,
    # for b: 4.
    given = [Answer("1", "x", "a"), Answer("1", "y", "a"), Answer("1", "z", "b"), Answer("2", "x", "b")]
    given += [Answer("2", "y", "b"), Answer("3", "x", "a"), Answer("3", "y", "b"), Answer("4", "x", "c")]
    (pair,) = confusions(given)
    assert (pair.first, pair.second, pair.images) == ("a", "b", 2)
    assert pair.share == pytest.approx(2 / 3)
    assert ambiguous_pairs([pair], share=0.6, images=2) == [pair]
    assert ambiguous_pairs([pair], share=0.7, images=2) == ambiguous_pairs([pair], images=3) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_category_that_somebody_misunderstands(known: bool) -> None:
    for seed in range(5):
        given, truth = crowd(seed, images=120)
        given = [
            answer._replace(category="lake")
            if answer.annotator == "careful 3" and truth[answer.image] == "river"
            else answer
            for answer in given
        ]
        found = people(given, truth if known else None)
        assert found["careful 3"].verdict == "informative"
        assert found["careful 3"].takes == [("river", "lake")]
        assert all(found[f"careful {i}"].takes == () for i in (0, 1, 2, 4))


def test_one_who_says_the_same_of_everything_takes_all_for_it() -> None:
    given, truth = crowd(0, images=120)
    assert people(given, truth)["beach lover"].takes == [("desert", "beach"), ("lake", "beach"), ("river", "beach")]


def test_of_very_many_votes_some_are_enough() -> None:
    generator = np.random.default_rng(0)
    truth = {f"{i}": ("beach", "lake")[i % 2] for i in range(12_000)}
    given = [Answer(image, "right", category) for image, category in truth.items()]
    given += [Answer(image, "any", str(generator.choice(["beach", "lake"]))) for image in truth]
    found = people(given, truth)
    assert (found["right"].verdict, found["right"].agreed) == ("informative", 1.0)
    assert (found["any"].verdict, found["any"].compared) == ("says nothing", 12_000)


def test_one_whose_images_others_have_guessed_is_not_named() -> None:
    generator = np.random.default_rng(0)
    names = ["beach", "desert", "lake", "river"]
    truth = {str(i): names[generator.integers(4)] for i in range(120)}
    # Two votes an image: on the first 60 careful 0 and somebody who guesses, on the others careful 1 and 2.
    first, second = list(truth)[:60], list(truth)[60:]
    given = [Answer(image, "careful 0", truth[image]) for image in first]
    given += [Answer(image, f"guesses {i % 2}", names[generator.integers(4)]) for i, image in enumerate(first)]
    given += [Answer(image, f"careful {i}", truth[image]) for i in (1, 2) for image in second]
    assert people(given)["careful 0"].verdict == "too few votes"
    assert people(given, {image: truth[image] for image in first})["careful 0"].verdict == "informative"
    guess = people(given, {image: truth[image] for image in first})["guesses 0"]
    assert guess.verdict == "says nothing" and guess.compared == 30
