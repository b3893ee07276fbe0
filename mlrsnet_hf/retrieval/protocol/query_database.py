"""Queries and the images that they search, side by side with their scenes and labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable


@dataclass(frozen=True, slots=True, eq=False)
class LabeledEmbeddings:
    """Embeddings of N images, with what is known of them."""

    ids: list[str]
    embeddings: npt.NDArray[np.float32]
    """(N, D)."""
    scenes: npt.NDArray[np.int64]
    """(N,)."""
    labels: npt.NDArray[np.bool_] | None
    """(N, L), where the data has labels."""

    @classmethod
    def of(cls, table: EmbeddingTable) -> "LabeledEmbeddings":
        """Return all rows of a table.

        Raises:
            ConfigurationError: The table knows no scenes, which is what relevance is judged by.
        """
        if table.scenes is None:
            raise ConfigurationError(
                f"the embeddings of {table.info.described()} come without scenes, by which relevance is judged",
                "Embed a dataset that has a scene column (--scene-column).",
            )
        matrix = None
        if table.labels is not None:
            matrix = np.zeros((len(table), len(table.info.label_names)), dtype=bool)
            for row, ids in enumerate(table.labels):
                matrix[row, ids] = True
        return cls(table.ids, table.embeddings, table.scenes, matrix)

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: npt.NDArray[np.intp]) -> "LabeledEmbeddings":
        """Return some rows, in the order given."""
        labels = None if self.labels is None else self.labels[rows]
        return LabeledEmbeddings([self.ids[row] for row in rows], self.embeddings[rows], self.scenes[rows], labels)


@dataclass(frozen=True, slots=True, eq=False)
class QueryDatabase:
    """Queries and database of one split seed."""

    queries: LabeledEmbeddings
    database: LabeledEmbeddings
    scene_names: tuple[str, ...]
    label_names: tuple[str, ...]
    info: EmbeddingInfo
    """How the embeddings were made."""


def by_ids(table: EmbeddingTable, queries: Sequence[str], database: Sequence[str]) -> QueryDatabase:
    """Take queries and database out of one table.

    Args:
        table: Holds at least these images.
        queries: Their ids, in the order wanted.
        database: Likewise; the order decides among equal distances.

    Raises:
        ConfigurationError: An image is not there, is there twice, or is query and database at once.
    """
    row_of = {image: row for row, image in enumerate(table.ids)}
    if len(row_of) < len(table):
        raise ConfigurationError(
            f"the embeddings hold {len(table) - len(row_of):,} ids more than once", "Give every image an id of its own."
        )
    _refuse_shared(queries, database)
    missing = [image for image in (*queries, *database) if image not in row_of]
    if missing:
        raise ConfigurationError(
            f"{len(missing):,} of the {len(queries) + len(database):,} images of the protocol are not among the "
            f"{len(table):,} embeddings, such as {missing[0]!r}",
            "Embed the same protocol, split seed and labels: --split query+database.",
        )
    rows = LabeledEmbeddings.of(table)
    ours, searched = (np.array([row_of[image] for image in part], dtype=np.intp) for part in (queries, database))
    return QueryDatabase(
        rows.select(ours), rows.select(searched), table.info.scene_names, table.info.label_names, table.info
    )


def from_two(queries: EmbeddingTable, database: EmbeddingTable) -> QueryDatabase:
    """Take queries and database from a table each.

    Raises:
        EmbeddingError: They were made by two models or layers, or in two ways.
        ConfigurationError: Their scenes or labels have other names, or an image is in both.
    """
    info, other = queries.info, database.info
    ours, theirs = info.comparable(), other.comparable()
    differing = [name.replace("_", " ") for name in ours if ours[name] != theirs[name]]
    if differing:
        raise EmbeddingError(
            f"queries and database differ in {', '.join(differing)}: queries by {info.described()}; database by "
            f"{other.described()}",
            "Embed both with one model and the same settings.",
        )
    for kind in ("scene_names", "label_names"):
        if getattr(info, kind) != getattr(other, kind):
            raise ConfigurationError(
                f"queries and database have other {kind.replace('_', ' ')}", "Embed two splits of one dataset."
            )
    _refuse_shared(queries.ids, database.ids)
    parts = LabeledEmbeddings.of(queries), LabeledEmbeddings.of(database)
    return QueryDatabase(*parts, info.scene_names, info.label_names, info)


def _refuse_shared(queries: Sequence[str], database: Sequence[str]) -> None:
    shared = set(queries) & set(database)
    if shared:
        raise ConfigurationError(
            f"{len(shared):,} images are both query and database, such as {min(shared)!r}, and would find themselves",
            "Take the queries out of the database.",
        )
