"""Figures of docs/curation-figures.md on other mistakes: python tests/benchmarks/noise_figures.py PART [...].

kinds EMBEDDINGS [IMAGES]  a folder of `mlrsnet embed`, or so many of its images: each kind of mistake, found again
many LABELS                a folder of MLRSNet's label files: the same for its 60 labels, by embeddings that are drawn
copies EMBEDDINGS          a quarter of the images copied, with their labels or labeled anew: what groups are worth
networks EMBEDDINGS        networks of five folds that end at different places: what the curves of the folds are worth
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold

from mlrsnet_hf.curation.wrong_labels.calibration import calibrated
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, find_wrong_labels
from mlrsnet_hf.release import open_labels
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENE_NAMES

DRAWS = 3
Generator = np.random.Generator


@dataclass(frozen=True, eq=False)
class Set:
    """Images whose labels are taken for right."""

    ids: np.ndarray
    label_names: np.ndarray
    truth: np.ndarray
    scene_names: tuple[str, ...]
    scenes: np.ndarray
    embeddings: np.ndarray

    def part(self, rows: np.ndarray) -> "Set":
        chosen = {name: getattr(self, name)[rows] for name in ("ids", "truth", "scenes", "embeddings")}
        return replace(self, **chosen).of_labels(chosen["truth"].any(axis=0))

    def of_labels(self, kept: np.ndarray) -> "Set":
        return replace(self, truth=self.truth[:, kept], label_names=self.label_names[kept])

    def scene_scores(self) -> np.ndarray:
        """Return what find-errors makes of the scenes."""
        return out_of_fold_scores(self.embeddings, given_scenes(self.scenes, len(self.scene_names)) == 1)

    def labeled(self, labels: np.ndarray, scores: np.ndarray, scene_scores: np.ndarray | None) -> LabeledImages:
        """Return the images as find-errors has them; without scenes where these have no scores."""
        return LabeledImages(
            ids=self.ids.tolist(),
            label_names=self.label_names.tolist(),
            labels=labels,
            scores=scores,
            embeddings=self.embeddings,
            scene_names=self.scene_names if scene_scores is not None else (),
            scenes=self.scenes if scene_scores is not None else None,
            scene_scores=scene_scores,
        )


def opened(folder: str) -> Set:
    table = EmbeddingTable.load(Path(folder))
    truth = np.zeros((len(table.ids), len(table.info.label_names)), bool)
    for row, labels in zip(truth, table.labels or [], strict=True):
        row[labels] = True
    assert table.scenes is not None
    found = Set(
        ids=np.array(table.ids),
        label_names=np.array(table.info.label_names),
        truth=truth,
        scene_names=table.info.scene_names,
        scenes=table.scenes,
        embeddings=table.embeddings,
    )
    return found.of_labels(truth.any(axis=0))


def moved(images: Set, draw: Generator, share: float = 0.05) -> np.ndarray:
    labels, given = images.truth.copy(), np.argwhere(images.truth)
    for row, label in given[draw.choice(len(given), round(share * len(given)), replace=False)]:
        labels[row, label] = False
        labels[row, draw.choice(np.flatnonzero(~images.truth[row]))] = True
    return labels


def turned(images: Set, draw: Generator, of: np.ndarray, share: float, odds: np.ndarray | None = None) -> np.ndarray:
    """Return labels of which so many, in labels given, are turned among those that are meant."""
    labels, places = images.truth.copy(), np.argwhere(of)
    drawn = None if odds is None else odds[of] / odds[of].sum()
    chosen = places[draw.choice(len(places), round(share * images.truth.sum()), replace=False, p=drawn)]
    labels[tuple(chosen.T)] ^= True
    return labels


def left_out(images: Set, draw: Generator) -> np.ndarray:
    return turned(images, draw, images.truth, 0.1)


def added_as_usual(images: Set, draw: Generator) -> np.ndarray:
    usual = np.broadcast_to(images.truth.mean(axis=0), images.truth.shape)
    return turned(images, draw, ~images.truth, 0.1, usual)


@lru_cache
def _seen(images: Set) -> np.ndarray:
    return out_of_fold_scores(images.embeddings, images.truth, seed=99)


def hard_to_see(images: Set, draw: Generator) -> np.ndarray:
    seen = _seen(images)
    return turned(images, draw, np.ones_like(images.truth), 0.1, seen * (1 - seen))


def exchanged(images: Set, draw: Generator) -> np.ndarray:
    rows = draw.permutation(len(images.truth))[: 2 * round(0.05 * len(images.truth))]
    labels = images.truth.copy()
    labels[rows[::2]], labels[rows[1::2]] = images.truth[rows[1::2]], images.truth[rows[::2]]
    return labels


def filed_in_a_wrong_scene(images: Set, draw: Generator) -> tuple[Set, np.ndarray]:
    """Return images of which 10% have the scene and the labels of another, and it theirs."""
    rows = draw.permutation(len(images.truth))[: 2 * round(0.05 * len(images.truth))]
    other = np.arange(len(images.truth))
    other[rows[::2]], other[rows[1::2]] = rows[1::2], rows[::2]
    return replace(images, scenes=images.scenes[other]), images.truth[other]


def of_next_row(images: Set, draw: Generator, order: np.ndarray | None = None) -> np.ndarray:
    order = np.argsort(images.ids) if order is None else order
    count = round(0.2 * len(order))
    start = draw.integers(0, len(order) - count)
    labels = images.truth.copy()
    labels[order[start : start + count]] = images.truth[order[start + 1 : start + count + 1]]
    return labels


def of_next_row_in_any_order(images: Set, draw: Generator) -> np.ndarray:
    return of_next_row(images, draw, draw.permutation(len(images.ids)))


def of_a_rare_label(images: Set, draw: Generator) -> np.ndarray:
    counts = images.truth.sum(axis=0)
    often_enough = np.flatnonzero(counts >= min(20, np.sort(counts)[-3]))
    label = draw.choice(often_enough[np.argsort(counts[often_enough])][:3])
    labels, count = images.truth.copy(), round(0.3 * counts[label])
    for present in (True, False):
        rows = np.flatnonzero(images.truth[:, label] == present)
        labels[draw.choice(rows, count, replace=False), label] = not present
    return labels


def named_in_short(images: Set, draw: Generator) -> np.ndarray:
    labels, rates = images.truth.copy(), images.truth.mean(axis=0)
    for row in draw.permutation(len(labels))[: round(0.2 * len(labels))]:
        own = np.flatnonzero(labels[row])
        labels[row, own[np.argsort(-rates[own])][2:]] = False
    return labels


def of_scenes(images: Set, draw: Generator, present: bool, share: float) -> np.ndarray:
    """Return labels of which one is there, or missing, on a share of the images of each of three scenes."""
    labels = images.truth.copy()
    for scene in draw.permutation(np.unique(images.scenes))[:3]:
        rows = np.flatnonzero(images.scenes == scene)
        rates = images.truth[rows].mean(axis=0)
        label = draw.choice(np.flatnonzero(rates <= 0.1 if present else rates >= 0.5))
        labels[rows[draw.random(len(rows)) < share], label] = present
    return labels


def as_another_scene(images: Set, draw: Generator) -> np.ndarray:
    labels, order = images.truth.copy(), draw.permutation(np.unique(images.scenes))
    for scene, other in zip(order[:3], order[3:6], strict=False):
        rows, others = np.flatnonzero(images.scenes == scene), np.flatnonzero(images.scenes == other)
        labels[rows] = images.truth[draw.choice(others, len(rows))]
    return labels


def of_rare_labels(images: Set, draw: Generator) -> np.ndarray:
    counts, labels = images.truth.sum(axis=0), images.truth.copy()
    places = np.argwhere(images.truth & (counts <= np.median(counts)))
    labels[tuple(places[draw.choice(len(places), round(0.4 * len(places)), replace=False)].T)] = False
    return labels


def often_enough(images: Set, least: float, most: float) -> np.ndarray:
    shares = images.truth.mean(axis=0)
    return np.flatnonzero((shares > least) & (shares < most))


def of_one_label(images: Set, draw: Generator) -> np.ndarray:
    labels, label = images.truth.copy(), draw.choice(often_enough(images, 0.03, 0.5))
    rows = np.flatnonzero(labels[:, label])
    labels[rows[draw.random(len(rows)) < 0.5], label] = False
    return labels


def names_swapped(images: Set, draw: Generator) -> np.ndarray:
    labels, own = images.truth.copy(), often_enough(images, 0.03, 0.6)
    rows = draw.permutation(len(labels))[: round(0.25 * len(labels)), None]
    for _ in range(2):
        first, second = draw.choice(own, 2, replace=False)
        labels[rows, [first, second]] = labels[rows, [second, first]]
    return labels


def moved_on(images: Set, draw: Generator, rows: np.ndarray, share: float) -> np.ndarray:
    """Return labels of which that share is moved on some images."""
    labels = images.truth.copy()
    for row in rows:
        own = np.flatnonzero(images.truth[row])
        for label in own[draw.random(len(own)) < share]:
            labels[row, label] = False
            labels[row, draw.choice(np.flatnonzero(~labels[row]))] = True
    return labels


def of_one_annotator(images: Set, draw: Generator) -> np.ndarray:
    return moved_on(images, draw, draw.permutation(len(images.ids))[: round(0.15 * len(images.ids))], 0.4)


def of_one_annotator_in_a_run(images: Set, draw: Generator) -> np.ndarray:
    count = round(0.1 * len(images.ids))
    start = draw.integers(0, len(images.ids) - count)
    return moved_on(images, draw, np.argsort(images.ids)[start : start + count], 0.4)


def on_hard_images(images: Set, draw: Generator) -> np.ndarray:
    seen = _seen(images)
    hard = np.argsort(-(seen * (1 - seen)).sum(axis=1))[: round(0.2 * len(seen))]
    return moved_on(images, draw, draw.choice(hard, len(hard) // 2, replace=False), 0.5)


def as_usual_in_the_scene(images: Set, draw: Generator) -> np.ndarray:
    labels = images.truth.copy()
    for row in draw.permutation(len(labels))[: round(0.2 * len(labels))]:
        sets, counts = np.unique(images.truth[images.scenes == images.scenes[row]], axis=0, return_counts=True)
        labels[row] = sets[counts.argmax()]
    return labels


def filed_in_a_similar_scene(images: Set, draw: Generator) -> tuple[Set, np.ndarray]:
    present = np.unique(images.scenes)
    means = np.stack([images.embeddings[images.scenes == scene].mean(axis=0) for scene in present])
    means -= means.mean(axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    similar = dict(zip(present, present[np.argmax(means @ means.T - 3 * np.eye(len(present)), axis=1)], strict=True))
    labels, scenes = images.truth.copy(), images.scenes.copy()
    for row in draw.permutation(len(scenes))[: round(0.1 * len(scenes))]:
        scenes[row] = similar[images.scenes[row]]
        labels[row] = images.truth[draw.choice(np.flatnonzero(images.scenes == scenes[row]))]
    return replace(images, scenes=scenes), labels


def with_wrong_scenes(images: Set, draw: Generator) -> tuple[Set, np.ndarray]:
    labels, scenes = moved(images, draw), images.scenes.copy()
    rows = draw.permutation(len(scenes))[: round(0.1 * len(scenes))]
    scenes[rows] = draw.permutation(scenes[rows])
    return replace(images, scenes=scenes), labels


def beside_another(images: Set, draw: Generator) -> np.ndarray:
    labels, counts = images.truth.copy(), images.truth.sum(axis=0)
    for _ in range(2):
        first = draw.choice(np.flatnonzero(counts > 0.05 * len(labels)))
        second = draw.choice(np.flatnonzero((counts < 0.5 * len(labels)) & (np.arange(len(counts)) != first)))
        rows = np.flatnonzero(images.truth[:, first])
        labels[rows[draw.random(len(rows)) < 0.4], second] = True
    return labels


KINDS: dict[str, Callable[[Set, Generator], np.ndarray | tuple[Set, np.ndarray]]] = {
    "5% in the place of another": moved,
    "10% left out": left_out,
    "as many added, as often as they are": added_as_usual,
    "as many turned, where they are hard to see": hard_to_see,
    "all labels of 10% of the images exchanged": exchanged,
    "10% of the images filed in another's scene, with its labels": filed_in_a_wrong_scene,
    "those of the next row, on 20% of the rows in a run": of_next_row,
    "the same, rows in any order": of_next_row_in_any_order,
    "30% of one rare label moved": of_a_rare_label,
    "20% of the images with two labels at most": named_in_short,
    "40% left out": lambda images, draw: turned(images, draw, images.truth, 0.4),
    "1% in the place of another": lambda images, draw: moved(images, draw, 0.01),
    "30% in the place of another": lambda images, draw: moved(images, draw, 0.3),
    "10% of the images filed in the scene that looks most alike": filed_in_a_similar_scene,
    "40% moved, on 15% of the images": of_one_annotator,
    "40% moved, on 10% of the rows in a run": of_one_annotator_in_a_run,
    "half moved, on a tenth of the images, those hard to see": on_hard_images,
    "two pairs of names swapped, on 25% of the images": names_swapped,
    "40% of the rarer half of the labels left out": of_rare_labels,
    "half of one label left out": of_one_label,
    "a label added to 40% of another's images, twice": beside_another,
    "20% of the images with the commonest labels of their scene": as_usual_in_the_scene,
    "5% moved, and 10% of the scenes wrong without their labels": with_wrong_scenes,
    "one label added to half of three scenes": lambda images, draw: of_scenes(images, draw, True, 0.5),
    "one label added to all of three scenes": lambda images, draw: of_scenes(images, draw, True, 1.0),
    "one left out of all of three scenes": lambda images, draw: of_scenes(images, draw, False, 1.0),
    "three scenes labeled as three others": as_another_scene,
}


def precision(is_wrong: np.ndarray, wrong: np.ndarray) -> float:
    return float(average_precision_score(is_wrong.ravel(), wrong.ravel()))


def at_their_number(is_wrong: np.ndarray, wrong: np.ndarray) -> float:
    return float(is_wrong.ravel()[np.argsort(-wrong.ravel(), kind="stable")[: is_wrong.sum()]].mean())


def table(sets: list[Set]) -> None:
    """Print a row for each kind, over draws; of several sets each draw is of another."""
    header = ["find-errors", "without the scene", "the loss, cleanlab's score", "found", "found by cleanlab"]
    print("| | " + " | ".join(header) + " |\n|" + " --- |" * 6)
    made: dict[str, list[tuple[Set, np.ndarray]]] = {name: [] for name in KINDS}
    for seed in range(DRAWS):
        images = sets[seed % len(sets)]
        for name, kind in KINDS.items():
            found = kind(images, np.random.default_rng(seed))
            made[name].append(found if isinstance(found, tuple) else (images, found))
    # The probe learns each label by itself, so that all may be learned at once.
    scores: dict[int, np.ndarray] = {}
    for images in sets:
        mine = [labels for draws in made.values() for of, labels in draws if of.embeddings is images.embeddings]
        learned = out_of_fold_scores(images.embeddings, np.concatenate(mine, axis=1))
        parts = np.split(learned, len(mine), axis=1)
        scores |= {id(labels): part for labels, part in zip(mine, parts, strict=True)}
    of_scenes: dict[int, np.ndarray] = {}
    for name, draws in made.items():
        values: dict[str, list[tuple[float, float]]] = {part: [] for part in header}
        for images, labels in draws:
            if id(images.scenes) not in of_scenes:
                of_scenes[id(images.scenes)] = images.scene_scores()
            is_wrong, score = labels != images.truth, scores[id(labels)]
            result = find_wrong_labels(images.labeled(labels, score, of_scenes[id(images.scenes)]))
            without = find_wrong_labels(images.labeled(labels, score, None))
            given = [np.flatnonzero(row).tolist() for row in labels]
            alone = find_multilabel_issues_per_class(given, score, n_jobs=1)
            for part, wrong in zip(header, (result.wrong, without.wrong, np.abs(labels - score)), strict=False):
                values[part].append((precision(is_wrong, wrong), at_their_number(is_wrong, wrong)))
            for part, one in zip(header[3:], (result.found, alone), strict=True):
                hits = (one & is_wrong).sum()
                values[part].append((hits / max(one.sum(), 1), hits / is_wrong.sum()))
        cells = []
        for part in header:
            first, second = (np.array(column) for column in zip(*values[part], strict=True))
            spread = f" [{first.min():.2f} to {first.max():.2f}]" if part == header[0] else ""
            cells.append(f"{first.mean():.3f} ({second.mean():.3f}){spread}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def kinds(folder: str, count: str = "") -> None:
    images = opened(folder)
    if not count:
        return table([images])
    draws = [np.random.default_rng(seed).permutation(len(images.ids))[: int(count)] for seed in range(DRAWS)]
    return table([images.part(rows) for rows in draws])


def many(folder: str) -> None:
    entries = open_labels(folder, "as-published")
    by_scene: dict[int, list] = {}
    for entry in entries:
        by_scene.setdefault(entry.scene.id, []).append(entry)
    draw = np.random.default_rng(0)
    chosen = [entries_of[row] for entries_of in by_scene.values() for row in draw.permutation(len(entries_of))[:40]]
    truth = np.zeros((len(chosen), len(LABEL_NAMES)), bool)
    for row, entry in zip(truth, chosen, strict=True):
        row[list(entry.labels)] = True
    scenes = np.array([entry.scene.id for entry in chosen])
    # What a network sees: the labels, more of the scene than of them, and what is none of both.
    looks = draw.standard_normal((len(LABEL_NAMES), 300)), draw.standard_normal((len(SCENE_NAMES), 300))
    embeddings = truth @ looks[0] + 1.5 * looks[1][scenes] + 2.5 * draw.standard_normal((len(chosen), 300))
    table(
        [
            Set(
                ids=np.array([entry.id for entry in chosen]),
                label_names=np.array(LABEL_NAMES),
                truth=truth,
                scene_names=SCENE_NAMES,
                scenes=scenes,
                embeddings=embeddings.astype(np.float32),
            )
        ]
    )


def copies(folder: str) -> None:
    images = opened(folder)
    for kind in (moved, left_out):
        for how in ("copied with its labels", "labeled anew"):
            found: dict[str, list[float]] = {}
            for seed in range(DRAWS):
                draw = np.random.default_rng(seed)
                originals = draw.permutation(len(images.ids))[: len(images.ids) // 4]
                source = np.r_[np.arange(len(images.ids)), np.repeat(originals, draw.integers(1, 4, len(originals)))]
                both = replace(images, **{name: getattr(images, name)[source] for name in ("ids", "truth", "scenes")})
                noise = (
                    0.35
                    * images.embeddings.std(axis=0)
                    * draw.standard_normal((len(source), images.embeddings.shape[1]))
                )
                noise[: len(images.ids)] = 0
                both = replace(both, embeddings=(images.embeddings[source] + noise).astype(np.float32))
                labels = kind(images, draw)[source] if how == "copied with its labels" else kind(both, draw)
                scene_scores = both.scene_scores()
                for name, groups in (("groups", source), ("none", None)):
                    scores = out_of_fold_scores(both.embeddings, labels, groups=groups)
                    result = find_wrong_labels(replace(both.labeled(labels, scores, scene_scores), groups=groups))
                    found.setdefault(name, []).append(precision(labels != both.truth, result.wrong))
            print(kind.__name__, how, {name: round(float(np.mean(values)), 3) for name, values in found.items()})


def networks(folder: str) -> None:
    images = opened(folder)
    inputs = (images.embeddings - images.embeddings.mean(axis=0)) / (images.embeddings.std(axis=0) + 1e-6)
    scene_scores = images.scene_scores()
    for setup, epochs in (("20 epochs each", [20] * 5), ("3 to 80 epochs", [3, 8, 20, 40, 80])):
        for kind in (moved, left_out, hard_to_see):
            labels = kind(images, np.random.default_rng(0))
            scores, fold_of = np.empty(labels.shape), np.empty(len(labels), np.int64)
            for fold, (known, asked) in enumerate(KFold(5, shuffle=True, random_state=0).split(inputs)):
                scores[asked], fold_of[asked] = trained(inputs[known], labels[known], inputs[asked], epochs[fold]), fold
            told = {"as they are": scores, "with curves": calibrated(scores, labels, fold_of)}
            for name, score in told.items():
                is_wrong, result = (
                    labels != images.truth,
                    find_wrong_labels(images.labeled(labels, score, scene_scores)),
                )
                loss = precision(is_wrong, np.abs(labels - score))
                print(f"{setup}, {kind.__name__}, {name}: {loss:.3f} {precision(is_wrong, result.wrong):.3f}")


def trained(inputs: np.ndarray, labels: np.ndarray, asked: np.ndarray, epochs: int) -> np.ndarray:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], 256), torch.nn.ReLU(), torch.nn.Linear(256, labels.shape[1])
    )
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    known, targets = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)
    for _ in range(epochs):
        for batch in torch.randperm(len(known)).split(64):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(known[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        found: np.ndarray = torch.sigmoid(network(torch.tensor(asked, dtype=torch.float32))).numpy().astype(float)
    return found


PARTS = {part.__name__: part for part in (kinds, many, copies, networks)}

if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    PARTS[sys.argv[1]](*sys.argv[2:])
