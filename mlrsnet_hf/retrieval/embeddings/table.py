"""Embeddings in memory, and exact search in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError, EmbeddingFolder, open_embeddings, refuse_not_finite
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, ImageSearch, IndexedImage, Listing, label_names
from mlrsnet_hf.retrieval.search.exact import Search


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingTable(ImageSearch):
    """All embeddings of a split, in its order.

    Example:
        >>> from mlrsnet_hf.retrieval import EmbeddingTable
        >>> table = EmbeddingTable.load("embeddings")  # doctest: +SKIP
        >>> table.search(table.embeddings[:1], k=3)  # doctest: +SKIP
    """

    ids: list[str]
    embeddings: npt.NDArray[np.float32]
    """(N, D), C-contiguous."""
    scenes: npt.NDArray[np.int64] | None
    """(N,) scene ids, where the data names scenes; -1 for an image without one."""
    labels: list[list[int]] | None
    """Label ids of each image, where the data has labels."""
    scores: npt.NDArray[np.float32] | None
    """(N, L) sigmoid scores, if they were stored."""
    info: EmbeddingInfo

    @classmethod
    def load(cls, source: str | Path | EmbeddingFolder, revision: str | None = None) -> "EmbeddingTable":
        """Read an embeddings folder, local or on the Hub.

        One batch at a time goes straight to its place in one array: the peak is that array and a batch.

        Args:
            source: A folder that `mlrsnet embed` wrote, or the id of a dataset repository.
            revision: Of the repository.

        Raises:
            ConfigurationError: There are no embeddings there, or they are of another format version.
            EmbeddingError: A file is damaged or missing, or embeddings are not finite; ids are named.
        """
        folder = source if isinstance(source, EmbeddingFolder) else open_embeddings(source, revision)
        folder.refuse_other_size()
        info = folder.info
        ids: list[str] = []
        embeddings = np.empty((info.rows, info.dimension), np.float32)
        scores = np.empty((info.rows, len(info.scores)), np.float32) if info.scores else None
        scenes = np.empty(info.rows, np.int64) if info.scene_names else None
        labels: list[list[int]] | None = [] if info.label_names else None
        for rows in folder.batches():
            part = slice(len(ids), len(ids) + len(rows))
            if part.stop > info.rows:
                raise EmbeddingError(f"{folder.path}: more rows than {info.rows:,}", "Remove files of another run.")
            refuse_not_finite(rows.ids, rows.embeddings, "Make the embeddings again.")
            ids += rows.ids
            embeddings[part] = rows.embeddings
            if scores is not None and rows.scores is not None:
                scores[part] = rows.scores
            if scenes is not None and rows.scenes is not None:
                scenes[part] = rows.scenes
            if labels is not None and rows.labels is not None:
                labels += rows.labels
        return cls(ids, embeddings, scenes, labels, scores, info)

    def __len__(self) -> int:
        return len(self.ids)

    def vector(self, image_id: str) -> npt.NDArray[np.float32]:
        """Return the (D,) embedding of an image.

        Raises:
            ConfigurationError: There is no such image.
        """
        try:
            return self.embeddings[self.ids.index(image_id)]
        except ValueError:
            raise ConfigurationError(
                f"no image {image_id!r} among these {len(self):,} embeddings", f"Take an id such as {self.ids[0]!r}."
            ) from None

    def _nearest(self, queries: npt.NDArray[np.float32], k: int, wanted: Filter) -> list[list[Hit]]:
        rows = self._passing(wanted)
        if not len(rows):
            return [[] for _ in queries]
        passing = self.embeddings if len(rows) == len(self) else self.embeddings[rows]
        found = Search(passing).top(queries, min(k, len(rows)))
        return [
            [Hit(**self._known(int(rows[item])), distance=float(far)) for item, far in zip(*answer, strict=True)]
            for answer in zip(found.indices, found.distances, strict=True)
        ]

    def _listing(self, wanted: Filter, k: int, skip: int) -> Listing:
        rows = self._passing(wanted)
        chosen = rows[skip : skip + k]
        return Listing(images=[IndexedImage(**self._known(int(row))) for row in chosen], total=len(rows))

    def _passing(self, wanted: Filter) -> npt.NDArray[np.intp]:
        """Return the rows that pass a filter."""
        passing = np.ones(len(self), bool)
        if wanted.scene is not None and self.scenes is not None:
            passing &= self.scenes == self.info.scene_names.index(wanted.scene)
        if wanted.labels and self.labels is not None:
            needed = {self.info.label_names.index(name) for name in wanted.labels}
            passing &= np.array([needed <= set(ids) for ids in self.labels], bool)
        return np.flatnonzero(passing)

    def _known(self, row: int) -> dict[str, Any]:
        """Return the fields of `IndexedImage`."""
        return {
            "id": self.ids[row],
            "row": row,
            "scene": None if self.scenes is None or self.scenes[row] < 0 else self.info.scene_names[self.scenes[row]],
            "labels": None if self.labels is None else label_names(self.labels[row], self.info),
            "scores": None if self.scores is None else tuple(self.scores[row].tolist()),
        }
