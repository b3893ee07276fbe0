"""Figures of docs/curation-figures.md on twenty people: python -m tests.benchmarks.crowd_figures PART.

crowd      whether they keep 0.97, in both stages
weighted   the same in one stage, beside annotators weighted by Dawid and Skene
named      whether those whose votes say nothing are named
labels     whether labels of images are kept and removed rightly (extension)
"""

import sys
from typing import Literal

import numpy as np

from mlrsnet_hf.curation.config import Rules as VoteRules
from mlrsnet_hf.curation.votes.agreement import Answer, people
from mlrsnet_hf.curation.votes.confidence import JudgedImage, VotedImage, learn_confidence
from mlrsnet_hf.curation.votes.reliability import Ballot, weighted_confidence
from mlrsnet_hf.curation.votes.rounds import moved
from tests.curation.votes.simulated_crowd import Collection, Person, curate, say

LIMIT = 10
RATES = np.array([0.03, 0.03, 0.05, 0.08, 0.12, 0.2, 0.2, 0.6])
"""How often images show each of eight labels."""


def crowd_of(categories: int, generator: np.random.Generator, bad: bool = True) -> list[Person]:
    """Twenty people with error rates of 2 to 30%, of whom two guess, one always and one in one category errs."""
    errors = generator.uniform(0.02, 0.3, 20).tolist()
    people = [Person(error=error) for error in errors]
    if bad:
        people[:3] = [Person(guesses=True), Person(guesses=True), Person(always=2 % categories)]
        people[3] = Person(error=errors[3], takes=(4 % categories, 3))
    return people


def curated(
    categories: int,
    candidates: int,
    judged: int,
    seed: int,
    *,
    agreed: float = 0.08,
    bad: bool = True,
    judged_good: float = 0.5,
    copied: float = 0.0,
    careful: bool = True,
) -> dict[str, float]:
    generator = np.random.default_rng(seed)
    collection = Collection(
        categories=categories,
        good=generator.uniform(0.7, 0.95, categories).tolist(),
        hard_share=0.1,
        blurry_pairs=1 if categories < 10 else 3,
        agreed=agreed,
    )
    people = crowd_of(categories, generator, bad)
    state, truth = curate(
        collection,
        people,
        candidates,
        judged,
        VoteRules(),
        generator,
        judged_good=judged_good,
        copied=copied,
        careful=careful,
    )
    kept = [(truth[image], one.stage) for (image, _), one in state.decisions.items() if one.verdict == "keep"]
    return {
        "good": float(np.mean([good for good, _ in kept])),
        "second": float(np.mean([good for good, stage in kept if stage == 2] or [np.nan])),
        "kept in second": sum(stage == 2 for _, stage in kept) / len(truth),
        "lost": 1 - sum(good for good, _ in kept) / sum(truth.values()),
        "votes": sum(image in truth for image, _, _ in state.votes) / len(truth),
    }


def crowd() -> None:
    for categories, candidates, draws in ((5, 200, 20), (46, 200, 4)):
        for judged in (10, 30, 100):
            cases: dict[str, dict] = {
                "by the confidence itself": {"careful": False},
                "by what it is at least": {},
                "judged images as good as candidates, by the confidence": {"careful": False, "judged_good": 0.82},
                "judged images as good as candidates, at least": {"judged_good": 0.82},
            }
            if judged == 30:
                cases["nobody bad"] = {"bad": False}
                cases |= {f"{copied:.0%} copied": {"copied": copied} for copied in (0.3, 0.5)}
            if judged != 100 and categories == 5:
                cases |= {f"{agreed:.0%} confused in the second stage": {"agreed": agreed} for agreed in (0.2, 0.35)}
            for name, options in cases.items():
                runs = [curated(categories, candidates, judged, seed, **options) for seed in range(draws)]
                values = {key: [run[key] for run in runs] for key in runs[0]}
                means = ", ".join(f"{key} {np.nanmean(found):.3f}" for key, found in values.items())
                print(
                    f"{categories} categories, {judged} judged, {name}: {means}; worst good {min(values['good']):.3f}, "
                    f"second {np.nanmin(values['second']):.3f}",
                    flush=True,
                )


def one_stage(
    seed: int, by: Literal["table", "weights"], hard: float, judged: int, guessing: int, good: tuple[float, float]
) -> tuple[float, float, float]:
    """Return the share of good ones among the kept, that of good ones that are lost, and votes per image."""
    generator = np.random.default_rng(seed)
    collection = Collection(categories=5, good=generator.uniform(*good, 5).tolist(), hard_share=hard)
    crowd = crowd_of(5, generator)
    crowd[4 : 4 + guessing] = [Person(guesses=True)] * guessing
    images, known = collection.draw(100, generator), collection.draw(judged, generator, [0.5] * 5)
    order, answers = say(crowd, images, 5, generator)
    known_order, known_answers = say(crowd, known, 5, generator)
    accepted, known_accepted = answers == images.collected[:, None], known_answers == known.collected[:, None]
    is_good, known_good = images.truth == images.collected, known.truth == known.collected
    names, known_names = images.collected.astype(str), known.collected.astype(str)
    told = [
        Ballot((f"known {i}", ""), str(known_order[i, v]), bool(known_accepted[i, v]))
        for i in range(len(known))
        for v in range(LIMIT)
    ]
    truth = {(f"known {i}", ""): bool(good) for i, good in enumerate(known_good)}
    counts = known_accepted[:, :LIMIT].sum(axis=1).tolist()
    judged_images = [
        JudgedImage(category=str(name), is_good=bool(good), accepts=count, rejects=LIMIT - count)
        for name, good, count in zip(known_names, known_good, counts, strict=True)
    ]
    votes, verdicts = np.full(len(images), 2), np.zeros(len(images))
    for _ in range(LIMIT - 1):
        given = [int(accepted[i, : votes[i]].sum()) for i in range(len(images))]
        cells = list(zip(names.tolist(), given, (votes - given).tolist(), strict=True))
        waiting = [VotedImage(category=name, accepts=a, rejects=r) for name, a, r in cells]
        table = learn_confidence(judged_images, LIMIT, waiting)
        least = np.array([table.at_least(*cell) for cell in cells])
        most = np.array([table.at_most(*cell) for cell in cells])
        if by == "weights":
            new = [
                Ballot((str(i), ""), str(order[i, v]), bool(accepted[i, v]))
                for i in range(len(images))
                for v in range(votes[i])
            ]
            claims = weighted_confidence(told + new, truth).claims
            sure = [(claims[str(i), ""], table.confidence(*cell)) for i, cell in enumerate(cells)]
            least, most = (
                np.array([moved(*pair, bound) for pair, bound in zip(sure, bounds.tolist(), strict=True)])
                for bounds in (least, most)
            )
        verdicts = np.where(verdicts == 0, np.where(least >= 0.97, 1, np.where(most <= 0.03, -1, 0)), verdicts)
        votes = np.where(verdicts == 0, np.minimum(votes + 1, LIMIT), votes)
    kept = verdicts == 1
    return float(is_good[kept].mean()), float(1 - (kept & is_good).sum() / is_good.sum()), float(votes.mean())


def weighted() -> None:
    most, half = (0.7, 0.95), (0.4, 0.6)
    for name, hard, judged, guessing, shares in (
        ("easy", 0.0, 30, 0, most),
        ("20% hard", 0.2, 30, 0, most),
        ("40% hard", 0.4, 30, 0, most),
        ("few judged", 0.2, 5, 0, most),
        ("ten of twenty guess", 0.2, 30, 8, most),
        ("half bad", 0.2, 30, 0, half),
    ):
        for by in ("table", "weights"):
            good, lost, votes = np.array([one_stage(seed, by, hard, judged, guessing, shares) for seed in range(5)]).T
            print(
                f"{name}, by {by}: good {good.mean():.3f} (worst {good.min():.3f}), lost {lost.mean():.2f}, "
                f"votes {votes.mean():.1f}",
                flush=True,
            )


def named() -> None:
    for categories in (5, 46):
        for votes in (20, 40, 100, 500):
            counts = np.zeros(5)
            for seed in range(50):
                generator = np.random.default_rng(seed)
                collection = Collection(categories=categories, good=[0.85] * categories, blurry_pairs=1)
                images = collection.draw(max(5 * votes // categories, 1), generator)
                order, answers = say(crowd_of(categories, generator), images, categories, generator)
                given = [
                    Answer(str(i), str(order[i, v]), str(answers[i, v])) for i in range(len(images)) for v in range(4)
                ]
                found = people(given)
                silent = {int(name) for name, one in found.items() if one.verdict == "says nothing"}
                takes = {int(name) for name, one in found.items() if one.takes and int(name) not in silent}
                counts += len(silent & {0, 1}) / 2, 2 in silent, len(silent - {0, 1, 2}), 3 in takes, len(takes - {3})
            print(f"{categories} categories, {votes} votes each: random, always, falsely, takes, falsely {counts / 50}")


def label_votes(
    seed: int, images: int, judged: int, known_rates: np.ndarray, hard: float
) -> tuple[float, float, float, float]:
    """Return the share of right ones among kept labels, of wrong ones among removed, lost ones, and votes an image."""
    generator = np.random.default_rng(seed)
    misses, adds = generator.uniform(0.1, 0.2, 20), generator.uniform(0.01, 0.03, 20)

    def drawn(count: int, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        truth = generator.random((count, len(rates))) < rates
        order = generator.permuted(np.tile(np.arange(20), (count, 1)), axis=1)[:, None, :LIMIT]
        is_hard = (generator.random(truth.shape) < hard)[:, :, None]
        chance = np.where(truth[:, :, None], 1 - misses[order] - 0.35 * is_hard, adds[order] + 0.25 * is_hard)
        return truth, generator.random(chance.shape) < chance

    truth, picked = drawn(images, RATES)
    known, known_picked = drawn(judged, known_rates)
    counts = known_picked.sum(axis=2)
    told = [
        JudgedImage(category=str(k), is_good=bool(known[i, k]), accepts=int(n), rejects=int(LIMIT - n))
        for (i, k), n in np.ndenumerate(counts)
    ]
    votes, verdicts = np.full(images, 2), np.zeros(truth.shape)
    for _ in range(LIMIT):
        given = np.array([picked[i, :, : votes[i]].sum(axis=1) for i in range(images)])
        waiting = [
            VotedImage(category=str(k), accepts=int(n), rejects=int(votes[i] - n))
            for (i, k), n in np.ndenumerate(given)
        ]
        table = learn_confidence(told, LIMIT, waiting)
        for (i, k), n in np.ndenumerate(given):
            if verdicts[i, k] == 0:
                cell = str(k), int(n), int(votes[i] - n)
                hopeless = votes[i] >= LIMIT or table.accepts_needed(cell[0], 0.97, cell[1:], LIMIT) is None
                keep, remove = table.at_least(*cell) >= 0.97, table.at_most(*cell) <= 0.03
                verdicts[i, k] = 1 if keep else -1 if remove else 2 if hopeless else 0
        is_open = (verdicts == 0).any(axis=1)
        if not is_open.any():
            break
        votes[is_open] += 1
    kept, removed = verdicts == 1, verdicts == -1
    return truth[kept].mean(), truth[removed].mean(), 1 - (kept & truth).sum() / truth.sum(), votes.mean()


def labels() -> None:
    half = np.full(len(RATES), 0.5)
    for name, images, judged, known, hard in (
        ("50 judged", 200, 50, RATES, 0.0),
        ("150 judged", 200, 150, RATES, 0.0),
        ("50 judged, half of the labels there", 200, 50, half, 0.0),
        ("50 judged, 10% hard", 200, 50, RATES, 0.1),
        ("150 judged, 10% hard", 200, 150, RATES, 0.1),
        ("50 judged, 10% hard, half there", 200, 50, half, 0.1),
        ("40 images, 50 judged, 10% hard, half there", 40, 50, half, 0.1),
    ):
        found = np.array([label_votes(seed, images, judged, known, hard) for seed in range(8)])
        kept, removed, lost, votes = found.T
        print(
            f"{name}: right among the kept {kept.mean():.3f} (worst {kept.min():.3f}), shown among the removed "
            f"{removed.mean():.3f} (worst {removed.max():.3f}), lost {lost.mean():.2f}, votes {votes.mean():.1f}"
        )


PARTS = {part.__name__: part for part in (crowd, weighted, named, labels)}

if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    PARTS[sys.argv[1]]()
