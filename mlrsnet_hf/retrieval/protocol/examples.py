"""Queries that are shown with their first results (Qi et al. 2020, Figs. 13 and 14)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.protocol.measures import Measured
from mlrsnet_hf.retrieval.protocol.query_database import LabeledEmbeddings, QueryDatabase

PAPER_SCENES = ("airplane", "stadium")
SHOWN = 10
"""Results of a query."""


@dataclass(frozen=True, slots=True)
class ExampleQuery:
    """A query, and what was found; distances are to it."""

    query: Hit
    results: tuple[Hit, ...]

    def common(self, result: Hit) -> frozenset[str]:
        """Return the labels that a result has in common with the query."""
        return frozenset(self.query.labels or ()) & frozenset(result.labels or ())


def choose_queries(measured: Measured, wanted: Sequence[str] = ()) -> list[str]:
    """Return the ids of the queries to show, chosen without a look at their results.

    Args:
        measured: The queries.
        wanted: Ids; none for the paper's scenes, an airplane and a stadium, or others where these are missing. Of a
            scene's queries the one whose id has the least SHA-256 is taken, and of scenes those likewise.

    Raises:
        UnknownNameError: An id is no query.
    """
    ids = measured.data.queries.ids
    require_queries(ids, wanted)
    if wanted:
        return list(wanted)
    by_scene: dict[str, list[str]] = {}
    for image, scene in zip(ids, measured.scenes, strict=True):
        by_scene.setdefault(scene, []).append(image)
    others = sorted(by_scene.keys() - set(PAPER_SCENES), key=_lot)
    scenes = [*(scene for scene in PAPER_SCENES if scene in by_scene), *others][: len(PAPER_SCENES)]
    return [min(by_scene[scene], key=_lot) for scene in scenes]


def require_queries(ids: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse ids that are no queries.

    Raises:
        UnknownNameError: One is not.
    """
    for image in set(wanted) - set(ids):
        raise UnknownNameError(f"example {image!r} is no query of this split", name_alternatives(image, ids[:2000]))


def example_queries(measured: Measured, ids: Sequence[str]) -> list[ExampleQuery]:
    """Return queries with their first results."""
    data = measured.data
    row_of = {image: row for row, image in enumerate(data.queries.ids)}
    examples = []
    for image in ids:
        row = row_of[image]
        nearest = zip(measured.neighbors.indices[row], measured.neighbors.distances[row], strict=True)
        found = [_hit(data, data.database, int(item), float(distance)) for item, distance in list(nearest)[:SHOWN]]
        examples.append(ExampleQuery(_hit(data, data.queries, row, 0.0), tuple(found)))
    return examples


def _hit(data: QueryDatabase, part: LabeledEmbeddings, row: int, distance: float) -> Hit:
    labels = None
    if part.labels is not None:
        labels = tuple(name for name, is_there in zip(data.label_names, part.labels[row], strict=True) if is_there)
    scene = data.scene_names[part.scenes[row]]
    return Hit(id=part.ids[row], row=row, scene=scene, labels=labels, distance=distance)


def _lot(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
