"""How much of the exact result an index finds, and the search effort with which it finds as much as is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.query import Filter
from mlrsnet_hf.retrieval.index import MOST_EFFORT
from mlrsnet_hf.retrieval.index.collection import ImageCollection, batch_rows, least_effort
from mlrsnet_hf.retrieval.index.description import IndexDescription, Recall
from mlrsnet_hf.retrieval.search.exact import Search
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

_QUERIES = 200
_DEPTH = 10
_TIE = 1e-5
"""Two images whose distances differ by less than this share of the larger are equally near."""
_CLOSE = 1.1
"""The search ends when the effort is known to this factor."""


def refuse_target(kind: str, target: float | None) -> None:
    """Refuse a recall that cannot be asked for.

    Raises:
        ConfigurationError: The index compares with every image.
    """
    if target is not None and kind == "flat":
        raise ConfigurationError(
            "recall is asked of a flat index, which compares with every image", "Leave --recall out: it finds all."
        )


def measured(
    images: ImageCollection,
    description: IndexDescription,
    vectors: Iterable[npt.NDArray[np.float32]],
    target: float | None,
) -> tuple[Recall, int | None]:
    """Return the recall of an index, and the least search effort that reaches `target`, if one is asked for.

    `vectors` are all (N, D) embeddings in batches, in the order of their rows.
    """
    trial = _Trial(images, description, vectors)
    if target is None:
        return trial.recall(None), None
    found = trial.recall(least_effort(_DEPTH))
    too_little, most = 0, min(MOST_EFFORT, max(least_effort(_DEPTH), description.info.rows))
    while found.value < target and _effort(found) < most:
        too_little = _effort(found)
        found = trial.recall(min(2 * too_little, most))
    if found.value < target:
        logger.warning(
            "recall %s is not reached: with the most effort (ef=%s) it is %.4f; an index of --kind flat is exact",
            target,
            f"{_effort(found):,}",
            found.value,
        )
        return found, _effort(found)
    while too_little and _effort(found) > too_little * _CLOSE:
        middle = trial.recall(round((too_little * _effort(found)) ** 0.5))
        if middle.value < target:
            too_little = _effort(middle)
        else:
            found = middle
    return found, _effort(found)


def _effort(recall: Recall) -> int:
    assert recall.ef is not None
    return recall.ef


@dataclass(slots=True, init=False)
class _Trial:
    """Queries, and what is nearest to them."""

    images: ImageCollection
    description: IndexDescription
    queries: npt.NDArray[np.float32]
    distances: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]

    def __init__(
        self, images: ImageCollection, description: IndexDescription, vectors: Iterable[npt.NDArray[np.float32]]
    ) -> None:
        self.images, self.description = images, description
        self.queries = sample_queries(images, description)
        self.distances, self.rows = _exact_nearest(vectors, self.queries, min(_DEPTH, description.info.rows))

    def recall(self, effort: int | None) -> Recall:
        """Search for all, and compare.

        An image that the index found counts if it is among the exact ones, or no farther than the last of these: of
        images at the same distance any may be found.
        """
        depth = self.rows.shape[1]
        info, kind = self.description.info, self.description.kind
        answers = self.images.search(self.queries, depth, Filter(), info, kind, effort)
        shares = [
            sum(hit.row in near or hit.distance <= last * (1 + _TIE) for hit in hits) / depth
            for hits, near, last in zip(answers, self.rows, self.distances[:, -1], strict=True)
        ]
        return Recall(value=float(np.mean(shares)), depth=depth, queries=len(self.queries), ef=effort)


def sample_queries(images: ImageCollection, description: IndexDescription) -> npt.NDArray[np.float32]:
    """Return (Q, D) queries as new pictures would give: none of them in the index, all as far from it as its images.

    An image of the index is found more easily than a new one, as the graph holds its way. So each of up to 200 images,
    evenly spread, is moved as another one differs from the image nearest to it, and then brought to its own distance
    from the middle of all: in clusters it stays in its own, and where vectors are random it is one more such vector.
    """
    info = description.info
    chosen = np.unique(np.linspace(0, info.rows - 1, min(_QUERIES, info.rows)).astype(np.int64))
    sample = _rows(images, chosen, info.dimension)
    if info.rows < 3:
        return sample
    found = images.search(sample, 2, Filter(), info, description.kind)
    others = [next((hit.row for hit in hits if hit.row != row), row) for row, hits in zip(chosen, found, strict=True)]
    rows, places = np.unique(others, return_inverse=True)
    differences = sample - _rows(images, rows, info.dimension)[places]
    middle = sample.mean(axis=0)
    centered = sample - middle
    moved = centered + np.roll(differences, 1, axis=0)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    scale = np.linalg.norm(centered, axis=1, keepdims=True) / np.where(lengths, lengths, 1)
    return (middle + moved * scale).astype(np.float32)


def _rows(images: ImageCollection, rows: npt.NDArray[np.int64], dimension: int) -> npt.NDArray[np.float32]:
    """Return the embeddings of ascending rows."""
    size = batch_rows(dimension)
    return np.concatenate([images.vectors(rows[start : start + size].tolist()) for start in range(0, len(rows), size)])


def _exact_nearest(
    batches: Iterable[npt.NDArray[np.float32]], queries: npt.NDArray[np.float32], depth: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return distances and rows, (Q, depth) each, of the exact neighbors, nearest first."""
    distances: npt.NDArray[np.float32] = np.empty((len(queries), 0), np.float32)
    rows: npt.NDArray[np.int64] = np.empty((len(queries), 0), np.int64)
    first = 0
    for batch in batches:
        found = Search(batch).top(queries, min(depth, len(batch)))
        distances = np.concatenate([distances, found.distances], axis=1)
        rows = np.concatenate([rows, found.indices + first], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :depth]
        distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
        first += len(batch)
    return distances, rows
