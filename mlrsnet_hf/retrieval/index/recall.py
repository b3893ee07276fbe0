"""How much of the exact result an approximate index finds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.query import Filter
from mlrsnet_hf.retrieval.index.collection import ImageCollection
from mlrsnet_hf.retrieval.search.exact import Search

_QUERIES = 100
_DEPTH = 10
_TIE = 1e-5
"""Two images whose distances differ by less than this share of the larger are equally near."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Mean share of each query's exact nearest images that the index finds."""

    value: float
    depth: int
    """k: how many nearest images."""
    queries: int
    """Images of the index itself, evenly spread; each finds itself first."""

    def __str__(self) -> str:
        """Return it for the terminal."""
        return f"recall@{self.depth} against exact search: {self.value:.4f} ({self.queries} images as queries)"


def measure_recall(images: ImageCollection, embeddings: EmbeddingFolder, kind: str) -> Recall:
    """Search for some of the images, in the index and exactly, and compare.

    An image that the index found counts if it is among the exact ones, or no farther than the last of these: of images
    at the same distance any may be found. The embeddings are read in batches, twice.
    """
    rows = embeddings.info.rows
    chosen = np.unique(np.linspace(0, rows - 1, min(_QUERIES, rows)).astype(np.int64))
    depth = min(_DEPTH, rows)
    queries = _vectors(embeddings, chosen)
    distances, exact = _nearest(embeddings, queries, depth)
    answers = images.search(queries, depth, Filter(), embeddings.info, kind)
    shares = [
        sum(hit.row in near or hit.distance <= last * (1 + _TIE) for hit in hits) / depth
        for hits, near, last in zip(answers, exact, distances[:, -1], strict=True)
    ]
    return Recall(float(np.mean(shares)), depth, len(chosen))


def _vectors(embeddings: EmbeddingFolder, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (Q, D) embeddings of ascending rows."""
    found, first = [], 0
    for batch in embeddings.batches():
        places = chosen[(chosen >= first) & (chosen < first + len(batch))] - first
        found.append(batch.embeddings[places])
        first += len(batch)
    return np.concatenate(found)


def _nearest(
    embeddings: EmbeddingFolder, queries: npt.NDArray[np.float32], depth: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return distances and rows, (Q, depth) each, of the exact neighbors, nearest first."""
    distances = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    first = 0
    for batch in embeddings.batches():
        found = Search(batch.embeddings).top(queries, min(depth, len(batch)))
        distances = np.concatenate([distances, found.distances], axis=1)
        rows = np.concatenate([rows, found.indices + first], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :depth]
        distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
        first += len(batch)
    return distances, rows
