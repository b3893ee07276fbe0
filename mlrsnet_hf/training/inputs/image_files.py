"""The encoded images of a split, read from Arrow's buffers."""

from typing import Any, TypedDict

import datasets
import numpy as np


class ImageFile(TypedDict):
    """An undecoded value of a `datasets.Image` column."""

    bytes: bytes | None
    path: str | None


class ImageFiles:
    """The image files of a split, by row.

    A row of a `datasets.Dataset` costs some 40 microseconds of Python before its image is there, a fifth of the time
    that decoding takes; a value of the Arrow array below it costs a few.

    Args:
        split: Rows with an `image`; other columns are not read.
    """

    def __init__(self, split: datasets.Dataset) -> None:
        self.split = split.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
        self._chunks = self.split.data.column("image").chunks
        self._starts = np.cumsum([0] + [len(chunk) for chunk in self._chunks])[:-1]
        # What `select` and `shuffle` set; there is no public way to it (datasets 3.6 to 4).
        indices = self.split._indices
        self._places = None if indices is None else indices.column(0).to_numpy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as the split does: by the path of its file, if it has one."""
        return ImageFiles, (self.split,)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, row: int) -> ImageFile:
        place = row if self._places is None else int(self._places[row])
        # The last chunk that starts here or before; empty chunks share their start with the next.
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        value: ImageFile | None = self._chunks[chunk][place - int(self._starts[chunk])].as_py()
        return value or {"bytes": None, "path": None}
