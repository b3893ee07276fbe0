"""From an embeddings folder to an index, and how much of the exact result it finds.

A local index is built under a temporary name, closed, and renamed; a collection on a server is built under a temporary
name too. What a build that was cut short has stored, the next one keeps.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings, refuse_not_finite, write_json
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE
from mlrsnet_hf.retrieval.embeddings.query import Filter
from mlrsnet_hf.retrieval.index import COLLECTION
from mlrsnet_hf.retrieval.index.collection import KINDS, ImageCollection, batch_rows, index_description
from mlrsnet_hf.retrieval.index.index import DATABASE, INDEX_FILE
from mlrsnet_hf.retrieval.index.milvus import is_server, milvus_client
from mlrsnet_hf.retrieval.index.stored_pca import refuse_taken, store_pca
from mlrsnet_hf.retrieval.search.exact import Search
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

logger = get_logger(__name__)

_BUILDING = "_building"
_STORED = (f"{DATABASE}/**/wal_data_*.arrow", f"{DATABASE}/**/data_*.parquet")
"""Where Milvus Lite has rows."""
_RECALL_QUERIES = 100
_RECALL_DEPTH = 10
_TIE = 1e-5
"""Two images whose distances differ by less than this share of the larger are equally near."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Mean share of each query's exact nearest images that the index finds."""

    value: float
    depth: int
    """Number of nearest images."""
    queries: int
    """Number of images of the index itself, evenly spread; each finds itself first."""

    def __str__(self) -> str:
        """Return it for the terminal."""
        return f"recall@{self.depth} against exact search: {self.value:.4f} ({self.queries} images as queries)"


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that is whole."""

    location: str
    rows: int
    resumed: int
    """Rows that an earlier run had stored."""
    recall: Recall

    def summary(self) -> str:
        """Return what was made, for the terminal."""
        earlier = f", {self.resumed:,} of them from an earlier run" if self.resumed else ""
        return f"{self.rows:,} images{earlier}\n{self.recall}\nindex: {self.location}"


def build_index(
    source: str | Path | EmbeddingFolder, location: str | Path, kind: str = "hnsw", collection: str = COLLECTION
) -> BuiltIndex:
    """Build an index from embeddings, in batches; memory does not grow with their number beyond what Milvus holds.

    A local build that is cut short leaves `.<name>.partial`, from which the next one goes on; on a server the
    collection `<name>_building` stays and is filled up. An id is never stored twice.

    Args:
        source: An embeddings folder, or the id of such a dataset on the Hub.
        location: The folder to create, or the URI of a Milvus server.
        kind: `hnsw`, a graph, approximate; or `flat`, which compares with every image, exact.
        collection: Its name on a server.

    Returns:
        What was built, with the recall that was measured against exact search.

    Raises:
        ConfigurationError: The target exists, ids are not unique, the disk is full, or the server cannot be reached.
        EmbeddingError: Embeddings are damaged or not finite.
    """
    if kind not in KINDS:
        raise UnknownNameError(f"kind {kind!r} is not known", name_alternatives(kind, KINDS))
    embeddings = source if isinstance(source, EmbeddingFolder) else open_embeddings(source)
    if is_server(location):
        return _build_on_server(embeddings, str(location), kind, collection)
    return _build_locally(embeddings, Path(location).expanduser().absolute(), kind)


def _build_locally(embeddings: EmbeddingFolder, target: Path, kind: str) -> BuiltIndex:
    origin = index_description(embeddings.info, kind)
    with resumable_folder(target, origin, _origin_of_whole, parts=_STORED) as folder:
        folder.keep([])
        _clear_damaged(folder)
        with milvus_client(folder.path / DATABASE) as client:
            resumed, recall = _fill(ImageCollection(client, COLLECTION), embeddings, kind)
        if (embeddings.path / PCA_FILE).exists():
            shutil.copyfile(embeddings.path / PCA_FILE, folder.path / PCA_FILE)
        local = LocalSources.read(embeddings.path)
        sources = local.to_json() if local else {}
        write_json(folder.path / INDEX_FILE, origin | {"recall": dataclasses.asdict(recall)} | sources)
    return BuiltIndex(str(target), embeddings.info.rows, resumed, recall)


def _origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what a folder was made of that is whole but did not get its name."""
    try:
        content = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        return [{name: content[name] for name in ("format", "kind", "embeddings")}]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _clear_damaged(folder: ResumableFolder) -> None:
    """Begin anew if the database that an earlier build left cannot be read, as after a power cut."""
    if not (folder.path / DATABASE).exists():
        return
    try:
        with milvus_client(folder.path / DATABASE) as client:
            images = ImageCollection(client, COLLECTION)
            if images.exists():
                images.count()
    except ConfigurationError as error:
        logger.info("what an earlier build left cannot be used, and is built anew: %s", error)
        folder.close()
        folder.clear()
        folder.keep([])


def _build_on_server(embeddings: EmbeddingFolder, uri: str, kind: str, collection: str) -> BuiltIndex:
    with milvus_client(uri) as client:
        if ImageCollection(client, collection).exists():
            raise ConfigurationError(
                f"{uri}: collection {collection!r} exists already", "Drop it, or choose another name."
            )
        pca = embeddings.path / PCA_FILE
        if pca.exists():
            refuse_taken(client, collection)
        images = ImageCollection(client, collection + _BUILDING)
        if images.exists() and images.description() != index_description(embeddings.info, kind):
            client.drop_collection(images.name)
        stored = f"What is stored is kept in collection {images.name}; give the same command again to go on."
        with kept_if_stopped(lambda: stored if images.exists() else None):
            resumed, recall = _fill(images, embeddings, kind)
        store_pca(client, collection, pca.read_bytes() if pca.exists() else None)
        client.rename_collection(images.name, collection)
    return BuiltIndex(f"{uri}, collection {collection}", embeddings.info.rows, resumed, recall)


def _fill(images: ImageCollection, embeddings: EmbeddingFolder, kind: str) -> tuple[int, Recall]:
    """Store what is missing, and measure; return how many rows were there, and the recall."""
    info, size = embeddings.info, batch_rows(embeddings.info.dimension)
    stored = 0
    if images.exists():
        # Rows go in by their order, a batch at a time; the last batch may have gone in by half.
        stored = max(0, images.count() - size)
    else:
        images.create(info, kind)
    for start in (stored, 0):
        done = start
        with progress_bar(description="indexing", total=info.rows, initial=start, unit="img") as bar:
            for rows in embeddings.batches(size, start):
                refuse_not_finite(rows.ids, rows.embeddings, "Make the embeddings again.")
                images.put(rows, done, info)
                done += len(rows)
                bar.update(len(rows))
        images.complete()
        found = images.count()
        if found == info.rows:
            return stored, _measure_recall(images, embeddings, kind)
    raise ConfigurationError(
        f"{embeddings.path}: {info.rows:,} rows, but {found:,} ids: some occur more than once", "Embed each image once."
    )


def _measure_recall(images: ImageCollection, embeddings: EmbeddingFolder, kind: str) -> Recall:
    """Search for some of the images, in the index and exactly, and compare.

    An image that the index found counts if it is among the exact ones, or no farther than the last of these: of images
    at the same distance any may be found. The embeddings are read in batches, twice.
    """
    rows = embeddings.info.rows
    chosen = np.unique(np.linspace(0, rows - 1, min(_RECALL_QUERIES, rows)).astype(np.int64))
    depth = min(_RECALL_DEPTH, rows)
    queries = _vectors(embeddings, chosen)
    distances, exact = _exact_nearest(embeddings, queries, depth)
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
        found.append(batch.embeddings[chosen[(chosen >= first) & (chosen < first + len(batch))] - first])
        first += len(batch)
    return np.concatenate(found)


def _exact_nearest(
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
