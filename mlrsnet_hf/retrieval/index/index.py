"""A persistent index of embeddings on Milvus: built once, searched by image, id and filter.

A local index is a folder: `index.json`, a Milvus Lite database `milvus.db`, and the principal components if there are
any. It is built under a temporary name, closed, and renamed. On a server it is a collection, built under a temporary
name too, beside which a second one holds the principal components; one machine then no longer bounds it. A full server
was not available to test against: the tests ask Milvus Lite by its own URI, which speaks the same protocol.
"""

import dataclasses
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
from mlrsnet_hf.inputs.decoding import decode_rgb
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.retrieval.embeddings.config import ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import (
    EmbeddingError,
    EmbeddingFolder,
    open_embeddings,
    refuse_not_finite,
    write_json,
)
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, info_from_json
from mlrsnet_hf.retrieval.embeddings.local_sources import LocalSources, from_local, read_local, to_local
from mlrsnet_hf.retrieval.embeddings.model import finish, load_embedding_model
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE, Pca, load_pca
from mlrsnet_hf.retrieval.embeddings.query import Hit, Listing, check_listing, check_search, refuse_none_found
from mlrsnet_hf.retrieval.index.collection import KINDS, ImageCollection, batch_rows, describe, refuse_other_format
from mlrsnet_hf.retrieval.index.milvus import is_server, milvus_client
from mlrsnet_hf.retrieval.index.recall import Recall, measure_recall
from mlrsnet_hf.retrieval.index.stored_pca import read_projection, refuse_taken, store_projection

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
    _collection: ImageCollection
    _kind: str
    _pca_file: Path | None
    """Of a local index."""

    def __len__(self) -> int:
        return self.info.rows

    def projection(self) -> Pca | None:
        """Return the principal components that queries must be projected by; None if the embeddings are not projected.

        Raises:
            ConfigurationError: They are not there, damaged, or those of other embeddings.
        """
        if self.info.pca is None:
            return None
        if not is_server(self.location):
            pca = load_pca(self._pca_file) if self._pca_file else None
        else:
            pca = read_projection(self._collection.client, self._collection.name)
        if pca is None:
            raise ConfigurationError(
                f"{self.location}: the principal components of its embeddings are not there",
                "Search by id, or build the index anew from a folder that holds pca.npz.",
            )
        if (pca.to_json(), len(pca.components)) != (self.info.pca, self.info.dimension):
            raise ConfigurationError(
                f"{self.location}: the principal components are those of other embeddings", "Build the index anew."
            )
        return pca

    def find(self, image_id: str) -> tuple[Hit, npt.NDArray[np.float32]]:
        """Return an image of the index, at distance 0, with its (D,) embedding.

        Raises:
            ConfigurationError: It is not in the index.
        """
        found = self._collection.find(image_id, self.info)
        if found is None:
            raise ConfigurationError(
                f"{self.location}: no image {image_id!r} in this index",
                "Give the id of an image of the index, or the path of a picture.",
            )
        return found

    def search(
        self, queries: npt.ArrayLike, k: int = 12, labels: Sequence[str] = (), scene: str | None = None
    ) -> list[list[Hit]]:
        """Return the nearest images of each query by Euclidean distance, nearest first.

        Args:
            queries: (Q, D) or (D,) embeddings, made as those in the index.
            k: How many; with a filter, at most so many.
            labels: Names of labels that every image found must have; with MLRSNet's, in any spelling that `find_label`
                knows.
            scene: Name of the scene that every image found must show, likewise.

        Raises:
            EmbeddingError: The queries have another dimension, or are not finite.
            ConfigurationError: k is above the number of images, or no image has the labels and the scene.
            UnknownNameError: A label or scene is not known.
        """
        asked = check_search(queries, k, labels, scene, self.info, "the index")
        found = self._collection.search(asked.queries, asked.k, asked.wanted, self.info, self._kind)
        refuse_none_found(found[0], asked.wanted)
        return found

    def list_images(self, labels: Sequence[str] = (), scene: str | None = None, k: int = 12) -> Listing:
        """Return the images that have all labels and show the scene, in the order of the embeddings.

        Args:
            labels: Names of labels; with MLRSNet's, in any spelling that `find_label` knows.
            scene: Name of a scene, likewise.
            k: At most so many; `total` counts them all.

        Raises:
            ConfigurationError: No image has the labels and the scene, or neither is given.
            UnknownNameError: A label or scene is not known.
        """
        k, wanted = check_listing(k, labels, scene, self.info)
        listing = self._collection.list_images(k, wanted, self.info)
        refuse_none_found(listing.images, wanted)
        return listing


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
    if not server and not (folder / DATABASE).exists():  # Milvus Lite would make an empty one
        raise ConfigurationError(f"{folder}: not an index (no {DATABASE} in it)", "Build it with `mlrsnet index`.")
    with milvus_client(location if server else folder / DATABASE) as client:
        images = ImageCollection(client, collection if server else COLLECTION)
        if not images.exists():
            raise ConfigurationError(
                f"{location}: no collection {images.name!r}", "Build it with `mlrsnet index`, or name another."
            )
        description = images.description() if server else content
        info, kind = info_from_json(description["embeddings"], str(location)), description["kind"]
        found = images.count()
        if found != info.rows:  # Milvus Lite may pass over a damaged file in silence
            raise ConfigurationError(
                f"{location}: {found:,} images where {info.rows:,} are said to be", "Build the index again."
            )
        pca = folder / PCA_FILE if not server and (folder / PCA_FILE).exists() else None
        yield ImageIndex(str(location), info, from_local(content), images, kind, pca)


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
    origin = describe(embeddings.info, kind)
    with resumable_folder(target, origin, _origin_of_whole) as folder:
        folder.keep([])
        _clear_damaged(folder)
        with milvus_client(folder.path / DATABASE) as client:
            images = ImageCollection(client, COLLECTION)
            taken_up, recall = _fill(images, embeddings, kind)
        if (embeddings.path / PCA_FILE).exists():
            shutil.copyfile(embeddings.path / PCA_FILE, folder.path / PCA_FILE)
        local = read_local(embeddings.path)
        sources = to_local(local.model, local.images) if local else {}
        write_json(folder.path / INDEX_FILE, origin | {"recall": dataclasses.asdict(recall)} | sources)
    return BuiltIndex(str(target), embeddings.info.rows, taken_up, recall)


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
        print(f"what an earlier build left cannot be taken up, and is built anew: {error}")
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
        if images.exists() and images.description() != describe(embeddings.info, kind):
            client.drop_collection(images.name)
        taken_up, recall = _fill(images, embeddings, kind)
        store_projection(client, collection, pca.read_bytes() if pca.exists() else None)
        client.rename_collection(images.name, collection)
    return BuiltIndex(f"{uri}, collection {collection}", embeddings.info.rows, taken_up, recall)


def _fill(images: ImageCollection, embeddings: EmbeddingFolder, kind: str) -> tuple[int, Recall]:
    """Store what is missing, and measure; return how many rows were there, and the recall."""
    size = batch_rows(embeddings.info.dimension)
    if not images.exists():
        images.create(embeddings.info, kind)
        stored = 0
    else:
        # Rows go in by their order, a batch at a time; the last batch may have gone in by half.
        stored = max(0, images.count() - size)
    for start in (stored, 0):
        _put(images, embeddings, start, size)
        images.complete()
        found = images.count()
        if found == embeddings.info.rows:
            return stored, measure_recall(images, embeddings, kind)
    raise ConfigurationError(
        f"{embeddings.path}: {embeddings.info.rows:,} rows, but {found:,} ids: some occur more than once",
        "Embed each image once.",
    )


def _put(images: ImageCollection, embeddings: EmbeddingFolder, start: int, size: int) -> None:
    done, info = start, embeddings.info
    with tqdm(total=info.rows, initial=start, desc="indexing", unit="img") as bar:
        for rows in embeddings.batches(size, start):
            refuse_not_finite(rows.ids, rows.embeddings, "Make the embeddings again.")
            images.put(rows, done, info)
            done += len(rows)
            bar.update(len(rows))


def _read_index_file(folder: Path) -> dict[str, Any]:
    """Return what stands beside the database of a local index.

    Raises:
        ConfigurationError: There is none, or it is of another format version.
    """
    try:
        content: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        version = content["format"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"{folder}: not an index ({INDEX_FILE} cannot be read)", "Give a folder that `mlrsnet index` wrote."
        ) from error
    refuse_other_format(version, str(folder))
    if not {"kind", "embeddings"} <= content.keys():
        raise ConfigurationError(f"{folder}: {INDEX_FILE} is incomplete", "Build the index again with `mlrsnet index`.")
    return content


def _origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what a folder was made of that is whole but did not get its name."""
    try:
        content = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        return [{name: content[name] for name in ("format", "kind", "embeddings")}]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def embed_queries(
    paths: Sequence[str | Path], index: ImageIndex, model: ModelChoice | None = None
) -> npt.NDArray[np.float32]:
    """Return the (Q, D) embeddings of image files, made as those in the index.

    Args:
        paths: Of the pictures.
        index: What is searched.
        model: The network; by default the one that the index was built with, from where it lay then.

    Raises:
        ImageError: A picture cannot be read.
        ConfigurationError: It is not known where the model lies, or the index lacks its principal components.
        EmbeddingError: The model is not the one that made the index.
        WeightsError: Its weights cannot be had.
    """
    if model is None and index.local is None:
        raise ConfigurationError(
            f"{index.location}: it is not known here where its model lies ({index.info.model})", "Name it with --model."
        )
    pca = index.projection()
    choice = model or (index.local.model if index.local else ModelChoice())
    loaded = load_embedding_model(choice)
    if loaded.fingerprint != index.info.model_fingerprint:
        raise EmbeddingError(
            f"{choice.model} is not the model that made the index, {index.info.described()}",
            "Name that model with --model, --weights, --image-size and --crop-pct, or build the index anew.",
        )
    images = [decode_rgb({"bytes": None, "path": str(path)}, str(path)) for path in paths]
    vectors = loaded.embed_images(images, index.info.layer)
    return finish(vectors, index.info.normalized, pca)
