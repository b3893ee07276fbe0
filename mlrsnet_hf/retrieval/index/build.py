"""From an embeddings folder to an index; `append.py` has it grow.

A local index is built under a temporary name, closed, and renamed; a collection on a server is built under a temporary
name too. What a build that was cut short has stored, the next one keeps.
"""

import dataclasses
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings, refuse_not_finite, write_json
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE
from mlrsnet_hf.retrieval.index import COLLECTION, Kind
from mlrsnet_hf.retrieval.index.collection import ImageCollection, batch_rows
from mlrsnet_hf.retrieval.index.columns import read_columns, write_columns
from mlrsnet_hf.retrieval.index.description import INDEX_FILE, KINDS, IndexDescription, Recall, read_description
from mlrsnet_hf.retrieval.index.index import DATABASE
from mlrsnet_hf.retrieval.index.milvus import is_server, milvus_client
from mlrsnet_hf.retrieval.index.recall import measured, refuse_target
from mlrsnet_hf.retrieval.index.sources import write_sources
from mlrsnet_hf.retrieval.index.stored_pca import refuse_taken, store_pca
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

logger = get_logger(__name__)

_BUILDING = "_building"
_STORED = (f"{DATABASE}/**/wal_data_*.arrow", f"{DATABASE}/**/data_*.parquet")
"""Where Milvus Lite has rows."""


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that is whole."""

    location: str
    rows: int
    resumed: int
    """Rows that an earlier run had stored."""
    recall: Recall | None
    """None where an index of version 0.1 is found that did not say it."""

    def summary(self) -> str:
        """Return what was made, for the terminal."""
        earlier = f", {self.resumed:,} of them from an earlier run" if self.resumed else ""
        recall = "" if self.recall is None else f"{self.recall}\n"
        return f"{self.rows:,} images{earlier}\n{recall}index: {self.location}"


def build_index(
    source: str | Path | EmbeddingFolder,
    location: str | Path,
    kind: Kind = "hnsw",
    collection: str = COLLECTION,
    recall: float | None = None,
) -> BuiltIndex:
    """Build an index from embeddings, in batches; memory does not grow with their number beyond what Milvus holds.

    A local build that is cut short leaves `.<name>.partial`, from which the next one goes on; on a server the
    collection `<name>_building` stays and is filled up. An id is never stored twice. If the index is there already, as
    these embeddings and this kind make it, it is left as it is.

    Args:
        source: An embeddings folder, or the id of such a dataset on the Hub.
        location: The folder to create, or the URI of a Milvus server.
        kind: `hnsw`, a graph, approximate; or `flat`, which compares with every image, exact.
        collection: Its name on a server.
        recall: Share of the exact result that searches are to find; the effort that reaches it is measured and stored.

    Returns:
        What was built, with the recall that was measured against exact search.

    Raises:
        ConfigurationError: The target exists, ids are not unique, the disk is full, or the server cannot be reached.
        EmbeddingError: Embeddings are damaged or not finite.
    """
    if kind not in KINDS:
        raise UnknownNameError(f"kind {kind!r} is not known", name_alternatives(kind, KINDS))
    refuse_target(kind, recall)
    embeddings = source if isinstance(source, EmbeddingFolder) else open_embeddings(source)
    description = IndexDescription(kind=kind, info=embeddings.info, digest=digest_of(embeddings), target=recall)
    if is_server(location):
        return _build_on_server(embeddings, str(location), description, collection)
    return _build_locally(embeddings, Path(location).expanduser().absolute(), description)


def digest_of(embeddings: EmbeddingFolder) -> str:
    """Return a hash of ids and vectors in their order, by which embeddings are known again.

    Raises:
        EmbeddingError: Embeddings are damaged or not finite.
    """
    digest = hashlib.blake2b(digest_size=16)
    for rows in embeddings.batches():
        refuse_not_finite(rows.ids, rows.embeddings, "Make the embeddings again.")
        digest.update(repr(rows.ids).encode())
        digest.update(np.ascontiguousarray(rows.embeddings).data)
    return digest.hexdigest()


def _build_locally(embeddings: EmbeddingFolder, target: Path, description: IndexDescription) -> BuiltIndex:
    if (target / INDEX_FILE).is_file() and (there := _read_whole(target)) and _same(there, description):
        if read_columns(target, there) is None:  # it was built by an earlier version
            write_columns(target, there, embeddings.batches())
        return _found(str(target), there)
    origin = _origin(description)
    with resumable_folder(target, origin, _origin_of_whole, parts=_STORED) as folder:
        folder.keep([])
        _clear_damaged(folder)
        with milvus_client(folder.path / DATABASE) as client:
            resumed, made = _fill(ImageCollection(client, COLLECTION), embeddings, description)
        write_columns(folder.path, made, embeddings.batches())
        if (embeddings.path / PCA_FILE).exists():
            shutil.copyfile(embeddings.path / PCA_FILE, folder.path / PCA_FILE)
        if local := LocalSources.read(embeddings.path):
            write_sources(folder.path, local)
        write_json(folder.path / INDEX_FILE, made.to_json())
    return BuiltIndex(str(target), embeddings.info.rows, resumed, made.recall)


def _origin(description: IndexDescription) -> dict[str, Any]:
    """Return what must be the same for a later build to go on."""
    return dataclasses.replace(description, target=None).to_json()


def _read_whole(folder: Path) -> IndexDescription | None:
    """Return what an index that is whole says of itself; None if there is none."""
    try:
        description = read_description(read_json(folder / INDEX_FILE, Any, ""), str(folder))
        return description if (folder / DATABASE).is_dir() else None
    except ConfigurationError:
        return None


def _origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what a folder was made of that is whole but did not get its name."""
    there = _read_whole(folder)
    return [_origin(dataclasses.replace(there, recall=None, ef=None))] if there else []


def _same(there: IndexDescription, wanted: IndexDescription) -> bool:
    """Say whether an index is what a build would make."""
    return (there.kind, there.info, there.digest, there.target) == (
        wanted.kind,
        wanted.info,
        wanted.digest,
        wanted.target,
    ) and not (there.appended or there.growth)


def _found(location: str, there: IndexDescription) -> BuiltIndex:
    logger.info("the index is there already, whole and of these embeddings: nothing is left to do")
    return BuiltIndex(location, there.info.rows, there.info.rows, there.recall)


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


def _build_on_server(
    embeddings: EmbeddingFolder, uri: str, description: IndexDescription, collection: str
) -> BuiltIndex:
    location = f"{uri}, collection {collection}"
    with milvus_client(uri) as client:
        there = ImageCollection(client, collection)
        if there.exists():
            if _is_whole(there, description):
                return _found(location, there.description())
            raise ConfigurationError(
                f"{uri}: collection {collection!r} exists already",
                "Drop it, choose another name, or add to it with --append.",
            )
        pca = embeddings.path / PCA_FILE
        if pca.exists():
            refuse_taken(client, collection)
        images = ImageCollection(client, collection + _BUILDING)
        if images.exists() and _origin(images.description()) != _origin(description):
            client.drop_collection(images.name)
        stored = f"What is stored is kept in collection {images.name}; give the same command again to go on."
        with kept_if_stopped(lambda: stored if images.exists() else None):
            resumed, made = _fill(images, embeddings, description)
        images.describe(made)
        store_pca(client, collection, pca.read_bytes() if pca.exists() else None)
        client.rename_collection(images.name, collection)
    return BuiltIndex(location, embeddings.info.rows, resumed, made.recall)


def _is_whole(images: ImageCollection, wanted: IndexDescription) -> bool:
    """Say whether a collection is what a build would make of it."""
    try:
        return _same(images.description(), wanted) and images.count() == wanted.info.rows
    except ConfigurationError:  # it is somebody else's
        return False


def _fill(
    images: ImageCollection, embeddings: EmbeddingFolder, description: IndexDescription
) -> tuple[int, IndexDescription]:
    """Store what is missing, and measure; return how many rows were there, and what the index says of itself then."""
    info, size = embeddings.info, batch_rows(embeddings.info.dimension)
    stored = 0
    if images.exists():
        # Rows go in by their order, a batch at a time; the last batch may have gone in by half.
        stored = max(0, images.count() - size)
    else:
        images.create(dataclasses.replace(description, target=None))
    for start in (stored, 0):
        done = start
        with progress_bar(description="indexing", total=info.rows, initial=start, unit="img") as bar:
            for rows in embeddings.batches(size, start):
                images.put(rows, done, info)
                done += len(rows)
                bar.update(len(rows))
        images.complete()
        found = images.count()
        if found == info.rows:
            vectors = (rows.embeddings for rows in embeddings.batches())
            recall, ef = measured(images, description, vectors, description.target)
            return stored, dataclasses.replace(description, recall=recall, ef=ef)
    raise ConfigurationError(
        f"{embeddings.path}: {info.rows:,} rows, but {found:,} ids: some occur more than once", "Embed each image once."
    )
