"""Where the protocols cut the images: the parts that a dataset repository stores as files of their own.

Two images belong to one part if every stored protocol puts both into one split. As all protocols cut one permutation
per scene, there are only eight parts, and each split of each protocol is a union of parts: no image is stored twice.

The repository has one order of its images: by scene, then by part, then by id. Every split keeps it.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from mlrsnet_hf.dataset.splits.protocols import cut_of_each, draw_stored

MIN_FILES = 8
"""Files that every split has if each scene has images for its share of them, so that eight workers find work."""


@dataclass(frozen=True, slots=True)
class Part:
    """The images that all protocols treat alike."""

    letter: str
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parts:
    """All images, cut into parts."""

    parts: tuple[Part, ...]
    splits: dict[str, dict[str, str]]
    """Protocol -> split -> the letters of its parts, ascending."""
    left_out: dict[str, str]
    """Protocols for which there are too few images, and what is lacking."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A Parquet file of the repository: some images of one part of one scene."""

    name: str
    """Sorted by name, the files are in the order of the repository."""
    letter: str
    ids: tuple[str, ...]
    """Ascending."""


def cut_parts(ids_by_scene: Mapping[str, Sequence[str]]) -> Parts:
    """Cut the images where the stored protocols, with seed 0, do; scenes by published name, in taxonomy order."""
    drawn, left_out = draw_stored(ids_by_scene)
    members: dict[tuple[int, ...], set[str]] = {}
    for image_id, cut in cut_of_each(ids_by_scene, drawn).items():
        members.setdefault(cut, set()).add(image_id)
    parts = tuple(
        Part(letter, frozenset(members[key])) for letter, key in zip(ascii_lowercase, sorted(members), strict=False)
    )
    assert len(parts) == len(members)
    return Parts(parts, {name: _letters(splits, parts) for name, splits in drawn.items()}, left_out)


def _letters(splits: Mapping[str, Iterable[str]], parts: Sequence[Part]) -> dict[str, str]:
    """Return the letters of the parts of each split."""
    letter = {image_id: part.letter for part in parts for image_id in part.ids}
    return {
        split: "".join(sorted({letter[image_id] for image_id in ids if image_id in letter}))
        for split, ids in splits.items()
    }


def plan_files(ids_by_scene: Mapping[str, Sequence[str]], names: Mapping[str, str], parts: Parts) -> list[PlannedFile]:
    """Return the files of the repository, in its order.

    Each scene gives each part a file; where there are fewer than eight scenes it gives several. `names` says how each
    scene is called in file names; in the order of the scenes, they ascend.
    """
    chunks = -(-MIN_FILES // len(ids_by_scene))
    files = []
    for scene, ids in ids_by_scene.items():
        for part in parts.parts:
            chosen = sorted(part.ids.intersection(ids))
            for number, chunk in enumerate(_even_chunks(chosen, chunks)):
                files.append(PlannedFile(f"{names[scene]}-{part.letter}-{number}.parquet", part.letter, chunk))
    assert files == sorted(files, key=lambda file: file.name)
    return files


def _even_chunks(ids: Sequence[str], chunks: int) -> list[tuple[str, ...]]:
    chunks = min(chunks, len(ids))
    cuts = [len(ids) * i // chunks for i in range(chunks + 1)] if chunks else []
    return [tuple(ids[start:end]) for start, end in itertools.pairwise(cuts)]


def repository_order(ids_by_scene: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return each scene's ids in the order in which a repository stores them: by part, then by id."""
    parts = cut_parts(ids_by_scene).parts
    return {
        scene: [image_id for part in parts for image_id in sorted(part.ids.intersection(ids))]
        for scene, ids in ids_by_scene.items()
    }
