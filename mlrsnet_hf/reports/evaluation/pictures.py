"""Images of a split with what a model says of them, small enough for a page of many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import datasets
import numpy as np

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.evaluation.decisions import Decisions
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_rgb
from mlrsnet_hf.reports.pages import thumbnail

SIDE = 160
"""Pixels of a thumbnail's longer side at most."""
MOST_CHARACTERS = 9_000_000
"""Of all thumbnails of a page."""


@dataclass(frozen=True, slots=True)
class SaidLabel:
    """A label that an image has, or that the model says of it."""

    label: int
    name: str
    score: float
    kind: str
    """`right`, `wrong`, `missed`."""
    of_both: bool = False
    """Whether a second model makes the same error."""


@dataclass(frozen=True, slots=True)
class ExampleImage:
    """An image and what the model says of it."""

    row: int
    id: str
    scene: str
    """Its scene; empty where none is known."""
    said_scene: str
    """The scene that the model says, if it is another."""
    labels: tuple[SaidLabel, ...]
    """Right ones, then wrong ones, then missed ones."""

    @property
    def errors(self) -> list[SaidLabel]:
        """The labels that are wrong or missed."""
        return [one for one in self.labels if one.kind != "right"]


def example_images(
    images: Iterable[int],
    ids: Sequence[str],
    decisions: Decisions,
    scenes: Decisions | None,
    compared: Decisions | None = None,
) -> list[ExampleImage]:
    """Return images with what the model says of them.

    Args:
        images: Rows.
        ids: (N,) of all images of the split.
        decisions: What the labels are compared by.
        scenes: The model's scenes beside its labels, if it has some.
        compared: A second model's decisions on the labels.
    """
    kinds = {"right": decisions.true & decisions.said, "wrong": decisions.wrong, "missed": decisions.missed}
    others = {} if compared is None else {"wrong": compared.wrong, "missed": compared.missed}
    found = []
    for row in images:
        labels = [
            SaidLabel(
                label,
                decisions.names[label],
                float(decisions.scores[row, label]),
                kind,
                kind in others and bool(others[kind][row, label]),
            )
            for kind, matrix in kinds.items()
            for label in np.flatnonzero(matrix[row]).tolist()
        ]
        scene, said = "", ""
        if scenes is not None:
            true, decided = int(scenes.true[row].argmax()), int(scenes.said[row].argmax())
            scene, said = scenes.names[true], "" if decided == true else scenes.names[decided]
        found.append(ExampleImage(int(row), ids[row], scene, said, tuple(labels)))
    return found


class PageThumbnails:
    """Thumbnails of a split's images, each made once, as far as a page has room for them.

    Args:
        rows: The split, with the column `image`.
        ids: (N,) its ids, for errors.
    """

    def __init__(self, rows: datasets.Dataset, ids: Sequence[str]) -> None:
        self._files = ImageFiles(rows)
        self._ids = ids
        self.addresses: dict[int, str | None] = {}
        """Address of each picture by row; None for one that cannot be read."""
        self._characters = 0

    def make(self, row: int) -> bool:
        """Make the thumbnail of an image; tell whether there was room for it."""
        if row not in self.addresses:
            if self._characters > MOST_CHARACTERS:
                return False
            try:
                address = thumbnail(decode_rgb(self._files[row], self._ids[row]), SIDE)
            except MLRSNetError:  # moved or removed since: a page without its picture still tells of the errors
                address = None
            self.addresses[row] = address
            self._characters += len(address or "")
        return True

    def fitting(self, rows: Iterable[int]) -> list[int]:
        """Return the images that there is room for, the first ones, each once."""
        return [row for row in dict.fromkeys(rows) if self.make(row)]


def typical_images(decisions: Decisions, of_each: int) -> tuple[list[int], dict[str, int]]:
    """Return images all right, images with labels missed but none wrong, images with wrong ones, as Fig. 9 shows them.

    They are taken at even distances in the order of the split: nobody chose them.

    Args:
        decisions: On the images of a split.
        of_each: Images of each sort.

    Returns:
        Rows, and the number of all images of each sort: `right`, `missed`, `wrong`.
    """
    wrong, missed = decisions.wrong.any(axis=1), decisions.missed.any(axis=1)
    known = decisions.known.any(axis=1)
    sorts = {
        "right": known & ~wrong & ~missed,
        "missed": missed & ~wrong,
        "wrong": wrong,
    }
    rows: list[int] = []
    for sort in sorts.values():
        there = np.flatnonzero(sort)
        places = np.unique(np.linspace(0, len(there) - 1, min(of_each, len(there))).round().astype(int))
        rows += there[places].tolist() if len(there) else []
    return rows, {name: int(sort.sum()) for name, sort in sorts.items()}
