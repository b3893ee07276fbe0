"""The figures of docs/curation-figures.md: python -m tests.benchmarks.curation_figures PART [ARGUMENTS].

table3                  how near simulated annotators come to Table 3
learned                 how far a learned table is from the exact posterior
promise                 whether 0.97 is kept, with independent and with correlated votes
diversity               how often the intervals hold the true diversity
vocabulary 2020 2021    two folders of MLRSNet's label files: the published vocabulary, found again
patterns 2020 2021      the same two: the wrong rows of 2021, by the labels alone
errors EMBEDDINGS       a folder of `mlrsnet embed`: wrong labels that were put in, found again
next_labels EMBEDDINGS  the same: what a linear probe gains by 200 suggested images, and by 200 random ones
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from sklearn.linear_model import RidgeCV
from sklearn.metrics import average_precision_score

from mlrsnet_hf.curation.config import Rules as VoteRules
from mlrsnet_hf.curation.diversity.relative import relative_diversity
from mlrsnet_hf.curation.suggestions.choice import entropy, suggest_tiles
from mlrsnet_hf.curation.vocabulary.vocabulary import Described, build_vocabulary, recovery
from mlrsnet_hf.curation.votes.confidence import learn_confidence, published_table
from mlrsnet_hf.curation.wrong_labels.label_patterns import (
    Labels,
    Rules,
    co_occurrence,
    vocabulary_rules,
    wrong_by_vocabulary,
)
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, find_wrong_labels
from mlrsnet_hf.release import Entry, open_labels
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENE_NAMES, SCENES
from tests.curation.diversity.simulated_observers import simulated_choices
from tests.curation.votes.annotators import Annotators
from tests.curation.votes.promise import check_promise
from tests.curation.votes.table3 import nearest_exchangeable, nearest_independent

INDEPENDENT = Annotators(good_share=0.7, good=((1.0, 0.85),), bad=((1.0, 0.15),))
MIXED = Annotators(good_share=0.7, good=((0.7, 0.95), (0.3, 0.65)), bad=((0.8, 0.05), (0.2, 0.5)))
EASY = Annotators(good_share=0.7, good=((1.0, 0.95),), bad=((1.0, 0.05),))


def table3() -> None:
    published = published_table()
    for name, cells in published.categories.items():
        independent, exchangeable = nearest_independent(cells), nearest_exchangeable(cells)
        print(
            f"{name}: needs {published.accepts_needed(name)} accepts; independent votes miss by "
            f"{independent.furthest:.3f} {independent.annotators}, exchangeable ones by {exchangeable.furthest:.4f}"
        )


def learned() -> None:
    for name, annotators in (("independent", INDEPENDENT), ("mixed", MIXED)):
        exact = annotators.table(10)
        for images in (50, 200, 1000):
            off = []
            for seed in range(20):
                votes = annotators.vote(images, 10, np.random.default_rng(seed))
                cells = learn_confidence(votes.judged("a")).cells("a")
                fresh = annotators.vote(500, 10, np.random.default_rng([seed, 1])).accepted.cumsum(axis=1)
                places = [(int(a), n + 1 - int(a)) for row in fresh for n, a in enumerate(row[:5])]
                off.append(np.mean([abs(cells[place] - exact[place]) for place in places]))
            print(
                f"{name}, {images} judged: {np.mean(off):.4f} off on average, in the worst of 20 draws {max(off):.4f}"
            )


def promise() -> None:
    cases: dict[str, tuple[Annotators, dict]] = {
        "independent": (INDEPENDENT, {}),
        "easy and hard": (MIXED, {}),
        "easy and hard, judged images easy": (MIXED, {"judges": EASY}),
        "0.3 copied": (INDEPENDENT, {"copied": 0.3}),
        "0.5 copied": (INDEPENDENT, {"copied": 0.5}),
        "0.5 copied, of judged images too": (INDEPENDENT, {"copied": 0.5, "copied_by_judges": 0.5}),
    }
    for judged in (50, 200, 1000):
        for name, (annotators, options) in cases.items():
            runs = [
                check_promise(annotators, VoteRules(), judged, 5000, np.random.default_rng(seed), **options)
                for seed in range(10)
            ]
            good, kept, lost, votes = (
                [getattr(run, part) for run in runs] for part in ("good", "kept", "lost", "votes")
            )
            print(
                f"{judged} judged, {name}: good {np.nanmean(good):.3f} (worst of 10 {np.nanmin(good):.3f}), kept "
                f"{np.mean(kept):.2f}, good ones lost {np.mean(lost):.2f}, votes {np.mean(votes):.1f}"
            )


def diversity() -> None:
    true = {"ours": 0.8, "theirs": 0.5, "another": 0.7}
    clustered = independent = 0
    for seed in range(300):
        choices = simulated_choices("beach", true, seed=seed)
        found = relative_diversity(choices, tuple(true), draws=300, seed=seed).average["theirs"]
        clustered += found.low <= 0.5 <= found.high
        half = 1.96 * np.sqrt(found.value * (1 - found.value) / len(choices))
        independent += abs(found.value - 0.5) <= half
    print(
        f"holds the truth: cluster bootstrap {clustered / 300:.2f}, choices as if independent {independent / 300:.2f}"
    )


def opened(folder: str) -> tuple[list[Entry], Labels]:
    entries = list(open_labels(folder, "as-published"))
    labels = np.zeros((len(entries), len(LABEL_NAMES)), bool)
    for row, entry in zip(labels, entries, strict=True):
        row[list(entry.labels)] = True
    return entries, labels


def described(entries: Iterable[Entry]) -> list[Described]:
    return [Described(one.id, one.scene.name, tuple(LABEL_NAMES[label] for label in one.labels)) for one in entries]


def vocabulary(*folders: str) -> None:
    known = {(scene.name, LABEL_NAMES[label]) for scene in SCENES for label in scene.vocabulary}
    for folder in folders:
        entries, labels = opened(folder)
        scenes = np.array([entry.scene.id for entry in entries])
        for per_scene in (50, 100, 200):
            precision, recall, labels_found, covered = [], [], [], []
            for seed in range(50):
                found = build_vocabulary(described(entries), per_scene=per_scene, seed=seed).vocabulary
                pairs = recovery(found.pairs(), known)
                rules = vocabulary_rules(found, SCENE_NAMES, LABEL_NAMES)
                precision.append(pairs.precision)
                recall.append(pairs.recall)
                labels_found.append(len(found.labels))
                covered.append((labels & ~rules.outside[scenes]).sum() / labels.sum())
            print(folder, per_scene, "labels", min(labels_found), end=" ")
            for name, part in (("precision", precision), ("recall", recall), ("labels of images", covered)):
                print(f"{name} {np.mean(part):.3f} ({min(part):.3f} to {max(part):.3f})", end=" ")
            print()


def patterns(right: str, damaged: str) -> None:
    (entries, truth), (_, labels) = opened(right), opened(damaged)
    scenes = np.array([entry.scene.id for entry in entries])
    is_wrong = (truth != labels).any(axis=1)
    sampled = vocabulary_rules(build_vocabulary(described(entries)).vocabulary, SCENE_NAMES, LABEL_NAMES)

    def outside_or_lacking(rules: Rules) -> None:
        always = (rules.carried == rules.sampled[:, None]) & (rules.sampled[:, None] > 0)
        for name, found in (
            ("outside", rules.outside[scenes] & labels),
            ("lacking what all carry", always[scenes] & ~labels),
            ("both", (rules.outside[scenes] & labels) | (always[scenes] & ~labels)),
        ):
            rows = found.any(axis=1)
            hit = (rows & is_wrong).sum()
            print(f"{name}: recall {hit / is_wrong.sum():.3f}, precision {hit / rows.sum():.3f} of {rows.sum():,} rows")

    def ranked(name: str, wrong: np.ndarray) -> None:
        order = np.argsort(-wrong.max(axis=1), kind="stable")
        shares = [is_wrong[order[:depth]].sum() / is_wrong.sum() for depth in (1000, 5000, is_wrong.sum(), 20_000)]
        print(f"{name}: found at depth 1000, 5000, {is_wrong.sum()}, 20000: {np.round(shares, 3)}")

    outside_or_lacking(sampled)
    ruled = wrong_by_vocabulary(labels, scenes, sampled)
    alone = np.abs(labels - co_occurrence(labels))
    with_scene = np.abs(labels - co_occurrence(labels, scenes, len(SCENES)))
    ranked("vocabulary", ruled)
    ranked("co-occurrence", alone)
    ranked("co-occurrence and scene", with_scene)
    ranked("vocabulary and co-occurrence", 1 - (1 - ruled) * (1 - with_scene))


def errors(folder: str) -> None:
    table = EmbeddingTable.load(Path(folder))
    names = table.info.label_names
    truth = np.zeros((len(table.ids), len(names)), bool)
    for row, ids in zip(truth, table.labels or [], strict=True):
        row[ids] = True
    # What is taken for a label: that whose images look most alike on average.
    centers = np.array([table.embeddings[column].mean(axis=0) for column in truth.T]) - table.embeddings.mean(axis=0)
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    near = np.argsort(-(centers @ centers.T - 3 * np.eye(len(names))), axis=1)
    assert table.scenes is not None
    scene_scores = out_of_fold_scores(table.embeddings, given_scenes(table.scenes, len(table.info.scene_names)) == 1)
    for kind in ("at random", "by pairs"):
        for share in (0.05, 0.2):
            generator = np.random.default_rng(0)
            labels = truth.copy()
            given = np.argwhere(truth)
            for image, label in given[generator.choice(len(given), round(share * len(given)), replace=False)]:
                labels[image, label] = False
                free = [other for other in near[label] if not truth[image, other]]
                labels[image, free[0] if kind == "by pairs" else generator.choice(free)] = True
            is_wrong = labels != truth
            scores = out_of_fold_scores(table.embeddings, labels)
            made = LabeledImages(
                ids=table.ids,
                label_names=names,
                labels=labels,
                scene_names=table.info.scene_names,
                scenes=table.scenes,
                scene_scores=scene_scores,
                scores=scores,
                embeddings=table.embeddings,
            )
            result = find_wrong_labels(made)
            given_ids = [np.flatnonzero(row).tolist() for row in labels]
            alone = find_multilabel_issues_per_class(given_ids, scores, n_jobs=1)
            print(f"{kind}, {share:.0%} of the labels given: {is_wrong.sum():,} wrong of {labels.size:,}")
            sure = is_wrong[result.wrong >= 0.5].mean()
            print(f"  weights {result.weights}; of those that are said to be wrong with 0.5 or more {sure:.3f} are")
            ranks = {name: np.abs(labels - part) for name, part in result.evidence.items()}
            for name, wrong in {"all together": result.wrong, **ranks}.items():
                hits = is_wrong.ravel()[np.argsort(-wrong.ravel(), kind="stable")]
                depths = [hits[: int(part * is_wrong.sum())].sum() for part in (0.5, 1, 2)]
                print(
                    f"  {name}: average precision {average_precision_score(is_wrong.ravel(), wrong.ravel()):.3f}, "
                    f"precision at half as many and at as many {depths[0] / (0.5 * is_wrong.sum()):.3f} "
                    f"{depths[1] / is_wrong.sum():.3f}, recall at twice as many {depths[2] / is_wrong.sum():.3f}"
                )
            for name, found in (("cleanlab on the model alone", alone), ("find-errors", result.found)):
                hit = (found & is_wrong).sum()
                print(f"  found by {name}: precision {hit / found.sum():.3f}, recall {hit / is_wrong.sum():.3f}")


def next_labels(folder: str) -> None:
    table = EmbeddingTable.load(Path(folder))
    truth = np.zeros((len(table.ids), len(table.info.label_names)), bool)
    for row, ids in zip(truth, table.labels or [], strict=True):
        row[ids] = True
    vectors = table.embeddings

    def scores(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return scores by ridge regression; a fixed curve makes probabilities of them."""
        center, spread = vectors[known].mean(axis=0), vectors[known].std(axis=0) + 1e-6
        ridge = RidgeCV(np.logspace(2, 5, 4), alpha_per_target=True)
        ridge.fit((vectors[known] - center) / spread, truth[known].astype(float))
        found: np.ndarray = 1 / (1 + np.exp(-8 * (ridge.predict((vectors[asked] - center) / spread) - 0.5)))
        return found

    def precision(known: np.ndarray, asked: np.ndarray) -> float:
        there, found = np.flatnonzero(truth[asked].any(axis=0)), scores(known, asked)
        return float(np.mean([average_precision_score(truth[asked, label], found[:, label]) for label in there]))

    gains: dict[str, list[float]] = {}
    for seed in range(10):
        drawn = np.random.default_rng(seed).permutation(len(vectors))
        asked, known, pool = drawn[:500], drawn[500:600], drawn[600:]
        plain = precision(np.r_[known, pool[:200]], asked)
        gains.setdefault("the first 100", []).append(precision(known, asked))
        gains.setdefault("200 more at random", []).append(plain)
        uncertainty = entropy(scores(known, pool))
        for weight in (0, 0.5, 1):
            found = suggest_tiles(
                vectors[pool], 200, labeled=vectors[known], uncertainty=uncertainty, weight=weight
            ).rows
            gains.setdefault(f"weight {weight}", []).append(precision(np.r_[known, pool[found]], asked))
    for name, values in gains.items():
        better = sum(one > other for one, other in zip(values, gains["200 more at random"], strict=True))
        print(f"{name}: mean average precision {np.mean(values):.4f}, better than random in {better} of 10")


PARTS = {
    part.__name__: part for part in (table3, learned, promise, diversity, vocabulary, patterns, errors, next_labels)
}

if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    PARTS[sys.argv[1]](*sys.argv[2:])
