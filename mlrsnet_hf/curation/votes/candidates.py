"""The table that a curation starts from: images, and what they are said to show."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from mlrsnet_hf.curation.config import Task
from mlrsnet_hf.curation.table_file import cell_name, cell_names, read_table
from mlrsnet_hf.curation.vocabulary.vocabulary import Vocabulary, folded, propose_merges
from mlrsnet_hf.curation.votes.event_log import Candidate
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted

IMAGE, CATEGORY, SCENE, LABELS, TRUTH = "image", "category", "scene", "labels", "truth"


def read_candidates(path: Path, task: Task, vocabulary: Vocabulary | None = None) -> list[Candidate]:
    """Return what images are said to show.

    Args:
        path: Table with a row for each image. For scenes the columns are `image`, `category` and, if there are images
            whose truth is known, `truth`: a category, `none` where it shows none of them, empty where nobody knows. For
            labels they are `image` and, as far as there are such, `scene`, `labels` and `truth`, these two with a
            semicolon between the names or, in Parquet, as lists; of an image whose truth is known that has no label, it
            is `none`.
        task: What is voted on.
        vocabulary: What scenes may carry: each label of its scene is a claim on an image whose labels are voted on;
            of an image without a scene every label is.

    Raises:
        ConfigurationError: The table cannot be read, lacks a column or names an image twice; or nothing can be learned
            from its images of known truth, because there is no good or no bad claim among them.
    """
    columns = read_table(path, (IMAGE, CATEGORY) if task == "scene" else (IMAGE,))
    rows: dict[str, int] = {}
    for row, value in enumerate(columns[IMAGE], 1):
        image = cell_name(path, row, IMAGE, value)
        if image in rows:
            raise ConfigurationError(
                f"{path}, row {row}: image {quoted(image)} stands in row {rows[image]} too", "Take one of them out."
            )
        rows[image] = row
    made = list((_scenes if task == "scene" else _labels)(path, list(rows), columns, vocabulary))
    _require_truth(path, made)
    return made


def categories_of(candidates: Sequence[Candidate], vocabulary: Vocabulary | None, task: Task) -> tuple[str, ...]:
    """Return all that annotators can say of an image, by name.

    Raises:
        ConfigurationError: Two names differ only in what a page does not show, or people do not look at.
    """
    names = {candidate.category for candidate in candidates}
    names |= {name for candidate in candidates for name in candidate.truth or ()}
    if vocabulary is not None:
        names |= set(vocabulary.scenes) if task == "scene" else set(vocabulary.labels)
    alike: dict[str, str] = {}
    for name in sorted(names):
        if (other := alike.setdefault(folded(name), name)) != name:
            raise ConfigurationError(
                f"{quoted(other)} and {quoted(name)} would be two choices", "Spell the name alike everywhere."
            )
    return tuple(sorted(names))


def little_known(candidates: Sequence[Candidate], least: int = 5) -> list[str]:
    """Return the categories of candidates that have fewer good images of known truth, or fewer bad ones, than `least`.

    What votes on these are worth is learned from other categories. That is right where they are as clear, and not where
    they are harder: of a category without any, a fifth of what is kept may be wrong.
    """
    known = Counter((one.category, one.category in one.truth) for one in candidates if one.truth is not None)
    waiting = {one.category for one in candidates if one.truth is None}
    return sorted(name for name in waiting if min(known[name, True], known[name, False]) < least)


def perhaps_misspelled(candidates: Sequence[Candidate], vocabulary: Vocabulary | None, task: Task) -> dict[str, str]:
    """Return names that differ by a few letters from another, which they may be meant to be.

    Those that the vocabulary has are right, and those that stand both among what images were collected for and among
    what they show.
    """
    claimed = Counter(candidate.category for candidate in candidates if candidate.collected)
    truths = Counter(name for candidate in candidates for name in candidate.truth or ())
    right = claimed.keys() & truths.keys()
    if vocabulary is not None:
        right |= set(vocabulary.scenes) if task == "scene" else set(vocabulary.labels)
    # The more frequent name is taken for the right one.
    _, near = propose_merges(claimed + truths + Counter(dict.fromkeys(right, claimed.total() + truths.total())))
    return {name: other for name, other in near.items() if name not in right}


def _scenes(
    path: Path, images: Sequence[str], columns: Mapping[str, Sequence[Any]], _: Vocabulary | None
) -> Iterator[Candidate]:
    truths = columns.get(TRUTH, [None] * len(images))
    for row, (image, category, truth) in enumerate(zip(images, columns[CATEGORY], truths, strict=True), 1):
        known = _truth(path, row, truth)
        if known is not None and len(known) > 1:
            raise ConfigurationError(f"{path}, row {row}: truth is {quoted(truth)}", "Give one category, or none.")
        named = " ".join(cell_name(path, row, CATEGORY, category).split())  # as names of truth are
        yield Candidate(image=image, category=named, truth=known)


def _labels(
    path: Path, images: Sequence[str], columns: Mapping[str, Sequence[Any]], vocabulary: Vocabulary | None
) -> Iterator[Candidate]:
    cells = [columns.get(name, repeat(None, len(images))) for name in (SCENE, LABELS, TRUTH)]
    read = []
    for row, (image, scene, labels, truth) in enumerate(zip(images, *cells, strict=True), 1):
        of_scene = None if scene is None or scene == "" else cell_name(path, row, SCENE, scene)
        if vocabulary is not None and of_scene is not None and of_scene not in vocabulary.scenes:
            raise ConfigurationError(
                f"{path}, row {row}: scene {quoted(of_scene)} is not in the vocabulary",
                "Mend its name, or build a vocabulary that has it.",
            )
        read.append((image, of_scene, cell_names(path, row, LABELS, labels), _truth(path, row, truth)))
    every = {name for _, _, labels, told in read for name in (*labels, *(told or ()))}
    every |= set(() if vocabulary is None else vocabulary.labels)
    if not every:
        raise ConfigurationError(
            f"{path}: there are no labels to vote on",
            "Give --vocabulary, or a column labels.",
        )
    for image, of_scene, labels, told in read:
        allowed = every if vocabulary is None or of_scene is None else vocabulary.allowed(of_scene)
        for label in sorted({*allowed, *labels, *(told or ())}):
            yield Candidate(image=image, category=label, truth=told, scene=of_scene, collected=label in labels)


def _truth(path: Path, row: int, value: object) -> tuple[str, ...] | None:
    """Return what an image shows: nothing where that is `none`, and None where nobody knows."""
    known = cell_names(path, row, TRUTH, value)
    return () if known == ("none",) else known or None


def _require_truth(path: Path, candidates: Sequence[Candidate]) -> None:
    known = [candidate.category in candidate.truth for candidate in candidates if candidate.truth is not None]
    for is_good, kind in ((True, "good"), (False, "bad")):
        if is_good not in known:
            raise ConfigurationError(
                f"{path}: there is no {kind} image among those whose truth is known",
                "Have somebody who knows look at some dozens of images of each category, as they were collected, and "
                "write what they show into the column truth; the confidence of all others is learned from these.",
            )
