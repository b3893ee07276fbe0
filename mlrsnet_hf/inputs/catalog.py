"""A dataset to look through: which images have which labels and scene, at once; the images stay where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlrsnet_hf.dataset.statistics import LabelStatistics, count_labels
from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, ImageFiles
from mlrsnet_hf.inputs.task import ImageData

Rows = npt.NDArray[np.intp]
"""(R,) places in the catalog, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogImage:
    """An image of the catalog."""

    id: str
    row: int
    """Its place in the catalog."""
    split: str
    scene: str | None
    labels: tuple[str, ...]
    file: ImageFile
    """Undecoded."""


class Catalog:
    """The images of all splits, one after the other.

    Args:
        data: A dataset that is not streamed.
    """

    def __init__(self, data: ImageData) -> None:
        self.label_names = data.label_names
        self.scene_names = data.scene_names
        self.source = data.source
        self.split_names = tuple(data.splits)
        splits = list(data.splits.values())
        self._files = [ImageFiles(split) for split in splits]
        self._starts = np.cumsum([0, *map(len, splits)])
        self._ids = pa.chunked_array([_column(split, "id") for split in splits])
        self._labels = np.concatenate([_multi_hot(split, len(data.label_names)) for split in splits])
        self._scenes: npt.NDArray[np.int64] | None = None
        if data.scene_names:
            self._scenes = np.concatenate([_column(split, "scene").to_numpy() for split in splits])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def select(self, split: str | None = None, scene: str | None = None, labels: Sequence[str] = ()) -> Rows:
        """Return the places of the images of a split, and of a scene, that have all of some labels.

        Args:
            split: Name of the split; None for all.
            scene: Name of the scene; None for any.
            labels: Names of labels that all must be there.

        Raises:
            UnknownNameError: The data has no such split, scene or label.
        """
        passing = np.ones(len(self), bool)
        if split is not None:
            number = _place("split", split, self.split_names)
            passing[: self._starts[number]] = False
            passing[self._starts[number + 1] :] = False
        if scene is not None:
            place = _place("scene", scene, self.scene_names)
            passing &= self._scenes == place
        for label in labels:
            passing &= self._labels[:, _place("label", label, self.label_names)]
        return np.flatnonzero(passing)

    def count(self, rows: Rows) -> LabelStatistics:
        """Count the labels and scenes of some images."""
        scenes = None if self._scenes is None else self._scenes[rows]
        return count_labels(self._labels[rows], scenes, len(self.scene_names))

    def images(self, rows: Sequence[int] | Rows) -> list[CatalogImage]:
        """Return some images, in the order that is given."""
        return [self._image(int(row)) for row in rows]

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the places of images by id; None for one that is not there. Of two splits with an id the last has it.

        Args:
            ids: Of images of any split.
        """
        places = {name: row for row, name in enumerate(self._ids.to_pylist())}
        return [places.get(name) for name in ids]

    def _image(self, row: int) -> CatalogImage:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return CatalogImage(
            id=self._ids[row].as_py(),
            row=row,
            split=self.split_names[number],
            scene=None if self._scenes is None else self.scene_names[self._scenes[row]],
            labels=tuple(self.label_names[label] for label in np.flatnonzero(self._labels[row])),
            file=self._files[number][row - int(self._starts[number])],
        )


def _column(split: datasets.Dataset, name: str) -> pa.Array:
    """Return a column in the order of the rows."""
    column: Any = split.select_columns([name]).with_format("arrow")[:][name]
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _multi_hot(split: datasets.Dataset, labels: int) -> npt.NDArray[np.bool_]:
    """Return the (N, L) labels of a split."""
    column = _column(split, "labels")
    made = np.zeros((len(split), labels), bool)
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    made[np.repeat(np.arange(len(split)), lengths), column.flatten().to_numpy(zero_copy_only=False)] = True
    return made


def _place(kind: str, name: str, known: Sequence[str]) -> int:
    if name not in known:
        raise UnknownNameError(f"the data has no {kind} {name!r}", name_alternatives(name, known))
    return list(known).index(name)
