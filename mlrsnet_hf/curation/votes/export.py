"""`mlrsnet curate export`: the kept images' labels in the release's layout, as Parquet and with a split."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.curation.config import ExportSetConfig
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.votes.event_log import Candidate, read_log
from mlrsnet_hf.curation.votes.folder import Curation
from mlrsnet_hf.curation.votes.rounds import LAST_STAGE, NO_CATEGORY, State, replay
from mlrsnet_hf.dataset.splits.protocols import draw_split
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.files import refuse_existing, whole_folder
from mlrsnet_hf.release.layout import LABELS

DATA, SPLITS, REMOVED = "data", "splits.csv", "removed.csv"
_SCHEMA = pa.schema(
    {"image": pa.string(), "scene": pa.string(), "labels": pa.list_(pa.string()), "confidence": pa.float64()}
)
"""Of all splits, one whose images have no labels too."""
_NO_SCENE = "images"
"""Stands for the scene where nothing says which."""


class KeptImage(NamedTuple):
    """An image of the set."""

    image: str
    scene: str
    labels: tuple[str, ...]
    confidence: float
    """The least of its labels'."""


class Removed(NamedTuple):
    """A claim that is none of the set, and why."""

    image: str
    category: str
    why: str
    accepts: int
    rejects: int
    confidence: float | None
    said: str
    """What annotators say of the image most often."""


def export_set(config: ExportSetConfig) -> str:
    """Write what the votes have made of the candidates, and return it in a few lines.

    Images that are still open are in neither table.

    Raises:
        MLRSNetError: The folder is no curation, no image is kept, or the output exists or cannot be written.
    """
    refuse_existing(config.output_dir)
    curation = Curation.open(config.folder)
    state = replay(read_log(curation.log))
    kept = kept_images(curation, state)
    if not kept:
        raise ConfigurationError(f"{config.folder}: no image is kept yet", "Go on with mlrsnet curate round.")
    removed = removed_claims(state)
    splits, lacking = _split(kept, config.seed)
    with whole_folder(config.output_dir) as folder:
        _write_labels(folder / LABELS, kept, curation.info.categories)
        _write_parquet(folder / DATA, kept, splits)
        write_table(
            folder / SPLITS,
            {
                "image": [one.image for one in kept],
                "scene": [one.scene for one in kept],
                "split": [splits[one.image] for one in kept],
            },
        )
        write_table(folder / REMOVED, {name: [one[i] for one in removed] for i, name in enumerate(Removed._fields)})
    return "\n".join(_summary(config, state, kept, removed, lacking))


def kept_images(curation: Curation, state: State) -> list[KeptImage]:
    """Return the images of the set with what they show, in the order of the candidates.

    Of scenes those whose category is kept, or is known to be right. Of labels all images of which every label is
    decided, with the labels that are kept or known.
    """
    found = []
    for image, claims in state.claims.items():
        candidates = [state.candidates[claim] for claim in claims]
        sure = {one.category: confidence for one in candidates if (confidence := _confidence(state, one)) is not None}
        scene = candidates[0].scene or _NO_SCENE
        if curation.task == "scene" and sure:
            category = candidates[0].category
            found.append(KeptImage(image, category, (category,), sure[category]))
        elif curation.task == "labels" and not any(_is_open(state, one) for one in candidates):
            found.append(KeptImage(image, scene, tuple(sorted(sure)), min(sure.values(), default=1.0)))
    return found


def removed_claims(state: State) -> list[Removed]:
    """Return the claims that somebody made, and that are none of the set, with the reason."""
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for (image, _, _), vote in state.votes.items():
        said[image].update(vote.answers or (NO_CATEGORY,))
    found = []
    for one in state.candidates.values():
        decision = state.decisions.get(one.claim)
        often = said[one.image].most_common(1)
        named = often[0][0] if often else ""
        if not one.collected:
            continue
        if one.truth is not None and one.category not in one.truth:
            known = ", ".join(one.truth) or "none of these"
            found.append(Removed(one.image, one.category, f"is known to show {known}", 0, 0, None, named))
        elif decision is not None and decision.verdict == "remove":
            why = _why(decision.confidence, decision.stage)
            found.append(
                Removed(one.image, one.category, why, decision.accepts, decision.rejects, decision.confidence, named)
            )
    return found


def _confidence(state: State, candidate: Candidate) -> float | None:
    """Return how sure it is that an image shows what it is said to; None where it is not kept."""
    if candidate.truth is not None:
        return 1.0 if candidate.category in candidate.truth else None
    decision = state.decisions.get(candidate.claim)
    return decision.confidence if decision is not None and decision.verdict == "keep" else None


def _is_open(state: State, candidate: Candidate) -> bool:
    decision = state.decisions.get(candidate.claim)
    return candidate.truth is None and (decision is None or decision.verdict in ("unsure", "second stage"))


def _why(confidence: float, stage: int) -> str:
    if confidence <= 0.5:
        return "votes speak against it" + (" in the second stage" if stage == LAST_STAGE else "")
    return "votes did not make it sure" + (" in the second stage" if stage == LAST_STAGE else "")


def _split(kept: Sequence[KeptImage], seed: int) -> tuple[dict[str, str], str]:
    """Return the split of each image by the paper's shares, and what is lacking where there are too few for it."""
    by_scene: dict[str, list[str]] = defaultdict(list)
    for one in kept:
        by_scene[one.scene].append(one.image)
    try:
        drawn = draw_split(dict(sorted(by_scene.items())), seed=seed)
    except ConfigurationError as error:
        return {one.image: "train" for one in kept}, error.found
    return {image: name for name, images in drawn.items() for image in images}, ""


def _write_labels(folder: Path, kept: Sequence[KeptImage], labels: Sequence[str]) -> None:
    """Write a file for each scene, with a row for each image and 1 or 0 for each label, as the release has them."""
    folder.mkdir()
    by_scene: dict[str, list[KeptImage]] = defaultdict(list)
    for one in kept:
        by_scene[one.scene].append(one)
    taken: set[str] = set()
    for scene, images in by_scene.items():
        name = plain = _file_name(scene)
        number = 1
        while name.casefold() in taken:  # a/b and a:b would be one file, on some disks Sea and sea
            number += 1
            name = f"{plain}_{number}"
        taken.add(name.casefold())
        with (folder / f"{name}.csv").open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", *map(for_csv, labels)])
            writer.writerows([for_csv(one.image), *(int(label in one.labels) for label in labels)] for one in images)


def _file_name(scene: str) -> str:
    """Return a scene's name without what no file may be called."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", scene).strip(". ") or "_"


def _write_parquet(folder: Path, kept: Sequence[KeptImage], splits: Mapping[str, str]) -> None:
    """Write a file for each split, which `datasets` and `mlrsnet train` take as it is."""
    folder.mkdir()
    for split in dict.fromkeys(splits.values()):
        rows = [one for one in kept if splits[one.image] == split]
        columns = {name: [getattr(one, name) for one in rows] for name in ("image", "scene", "labels", "confidence")}
        columns["labels"] = [list(one.labels) for one in rows]
        pq.write_table(pa.table(columns, schema=_SCHEMA), folder / f"{split}.parquet")


def _summary(
    config: ExportSetConfig, state: State, kept: Sequence[KeptImage], removed: Sequence[Removed], lacking: str
) -> Iterator[str]:
    undecided = len({one.image for one in state.candidates.values() if _is_open(state, one)})
    known = sum(state.candidates[state.claims[one.image][0]].truth is not None for one in kept)
    yield (
        f"{len(kept):,} images are kept ({known:,} of them of known truth), {len(removed):,} claims removed, "
        f"{undecided:,} images still open"
    )
    if lacking:
        yield f"all are for training: {lacking}"
    yield f"written to {config.output_dir}: {LABELS}, {DATA}, {SPLITS}, {REMOVED}"
