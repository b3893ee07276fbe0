"""A persistent index of embeddings on Milvus: built once, searched by image, id and filter.

A local index is a folder: `index.json`, a Milvus Lite database `milvus.db`, and the principal components if there are
any. It is built under a temporary name, closed, and renamed. On a server it is a collection, built under a temporary
name too; one machine then no longer bounds it. A server was not available to test against.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.growing_folder import GrowingFolder, growing_folder
from mlrsnet_hf.retrieval.embedding_files import EmbeddingFolder, open_embeddings, write_json
from mlrsnet_hf.retrieval.embedding_info import EmbeddingInfo
from mlrsnet_hf.retrieval.embedding_table import query_matrix
from mlrsnet_hf.retrieval.hits import Filter, Hit, refuse_none_found, refuse_too_many
from mlrsnet_hf.retrieval.index_collection import FORMAT, KINDS, ImageCollection, batch_rows, refuse_other_format
from mlrsnet_hf.retrieval.index_recall import Recall, measure_recall
from mlrsnet_hf.retrieval.local_sources import LocalSources, from_local, read_local, to_local
from mlrsnet_hf.retrieval.milvus import is_server, milvus_client
from mlrsnet_hf.retrieval.projection import PCA_FILE

INDEX_FILE = "index.json"
DATABASE = "milvus.db"
COLLECTION = "mlrsnet_images"
_BUILDING = "_building"


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that is whole."""

    location: str
    rows: int
    taken_up: int
    """Rows that an earlier run had stored."""
    recall: Recall

    def summary(self) -> str:
        """Return what was made, for the terminal."""
        earlier = f", {self.taken_up:,} of them from an earlier run" if self.taken_up else ""
        return f"{self.rows:,} images{earlier}\n{self.recall}\nindex: {self.location}"


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """An index that is open; made by `open_index`."""

    location: str
    info: EmbeddingInfo
    """How the embeddings in it were made; queries must be made so too."""
    local: LocalSources | None
    """Where model and images lie, if it was built where they are."""
    pca_file: Path | None
    _collection: ImageCollection
    _kind: str

    def __len__(self) -> int:
        return self.info.rows

    def vector(self, image_id: str) -> npt.NDArray[np.float32]:
        """Return the (D,) embedding of an image.

        Raises:
            ConfigurationError: It is not in the index.
        """
        found = self._collection.vector(image_id)
        if found is None:
            raise ConfigurationError(f"{self.location}: no image {image_id!r} in this index", "Check the id.")
        return found

    def search(
        self, queries: npt.ArrayLike, k: int = 12, labels: Sequence[str] = (), scene: str | None = None
    ) -> list[list[Hit]]:
        """Return the nearest images of each query by Euclidean distance, nearest first.

        Args:
            queries: (Q, D) or (D,) embeddings, made as those in the index.
            k: How many; with a filter, at most so many.
            labels: Names of labels that every image found must have.
            scene: Name of the scene that every image found must show.

        Raises:
            EmbeddingError: The queries have another dimension, or are not finite.
            ConfigurationError: k is above the number of images, or no image has the labels and the scene.
            UnknownNameError: A label or scene is not known.
        """
        vectors = query_matrix(queries, self.info)
        wanted = Filter(labels=tuple(labels), scene=scene)
        wanted.check(self.info)
        refuse_too_many(k, len(self), "the index")
        found = self._collection.search(vectors, k, wanted, self.info, self._kind)
        refuse_none_found([hit for hits in found for hit in hits], wanted)
        return found


@contextmanager
def open_index(location: str | Path, collection: str = COLLECTION) -> Iterator[ImageIndex]:
    """Open an index; a local one for this process alone.

    Args:
        location: The folder of a local index, or the URI of a Milvus server.
        collection: Its name on a server.

    Raises:
        ConfigurationError: There is no index, it is of another format version, another process has it open, or the
            server cannot be reached.
    """
    server = is_server(location)
    folder = Path(location).expanduser().absolute()
    content = {} if server else _read_index_file(folder)
    with milvus_client(location if server else folder / DATABASE) as client:
        images = ImageCollection(client, collection if server else COLLECTION)
        if not images.exists():
            raise ConfigurationError(
                f"{location}: no collection {images.name!r}", "Build it with `mlrsnet index`, or name another."
            )
        info, kind = images.described(str(location))
        client.load_collection(images.name)
        pca = folder / PCA_FILE if not server and (folder / PCA_FILE).exists() else None
        yield ImageIndex(str(location), info, from_local(content), pca, images, kind)


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
    origin = {"format": FORMAT, "kind": kind, "embeddings": embeddings.info.to_json()}
    with growing_folder(target, origin, _origin_of_whole) as folder:
        noted = max((note["rows"] for note in folder.noted if "rows" in note), default=0)
        folder.keep([{"rows": noted}])
        with milvus_client(folder.path / DATABASE) as client:
            images = ImageCollection(client, COLLECTION)
            start = _begin(images, embeddings.info, kind, noted)
            _fill(images, embeddings, start, folder)
            recall = _finish(images, embeddings, kind)
        local = read_local(embeddings.path)
        content = origin | {"recall": recall.to_json()} | (to_local(local.model, local.images) if local else {})
        if (embeddings.path / PCA_FILE).exists():
            shutil.copyfile(embeddings.path / PCA_FILE, folder.path / PCA_FILE)
        write_json(folder.path / INDEX_FILE, content)
    return BuiltIndex(str(target), embeddings.info.rows, start, recall)


def _build_on_server(embeddings: EmbeddingFolder, uri: str, kind: str, collection: str) -> BuiltIndex:
    with milvus_client(uri) as client:
        if ImageCollection(client, collection).exists():
            raise ConfigurationError(
                f"{uri}: collection {collection!r} exists already", "Drop it, or choose another name."
            )
        images = ImageCollection(client, collection + _BUILDING)
        if images.exists() and images.described(uri) != (embeddings.info, kind):
            client.drop_collection(images.name)
        start = _begin(images, embeddings.info, kind, None)
        _fill(images, embeddings, start, None)
        recall = _finish(images, embeddings, kind)
        client.rename_collection(images.name, collection)
    return BuiltIndex(f"{uri}, collection {collection}", embeddings.info.rows, start, recall)


def _begin(images: ImageCollection, info: EmbeddingInfo, kind: str, noted: int | None) -> int:
    """Make the collection if it is not there; return the row to go on from."""
    if not images.exists():
        images.create(info, kind)
        return 0
    stored = _stored(images)
    # Rows go in by their order, so that so many are the first; where the two counts disagree, all go in again.
    return stored if noted in (None, stored) else 0
