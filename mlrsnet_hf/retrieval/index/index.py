"""An index of embeddings on Milvus, as it is opened and asked; `build.py` makes it, `append.py` has it grow.

A local index is a folder: `index.json`, a Milvus Lite database `milvus.db`, the same in columns (`columns.py`), the
principal components if there are any, and `.local.json`, which alone holds paths. On a server it is a collection,
beside which a second one holds the principal components; one machine then no longer bounds it.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.pixels.pictures import Picture
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.config import Layer
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError, write_json
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, LocalSources
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE, Pca, load_pca, unit_length
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, ImageSearch, IndexedImage, Listing
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index import COLLECTION
from mlrsnet_hf.retrieval.index.collection import ImageCollection, least_effort
from mlrsnet_hf.retrieval.index.columns import read_columns
from mlrsnet_hf.retrieval.index.description import INDEX_FILE, IndexDescription, read_description
from mlrsnet_hf.retrieval.index.milvus import is_server, milvus_client
from mlrsnet_hf.retrieval.index.sources import read_sources
from mlrsnet_hf.retrieval.index.stored_pca import read_pca
from mlrsnet_hf.runtime.logs import get_logger

if TYPE_CHECKING:
    from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel

logger = get_logger(__name__)

DATABASE = "milvus.db"
_PICTURES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Embedder:
    """A network that embeds queries as the images of an index were embedded; made by `ImageIndex.embedder`."""

    network: "EmbeddingModel"
    layer: Layer
    normalized: bool
    pca: Pca | None

    def embed_pictures(self, pictures: Iterable[Picture]) -> npt.NDArray[np.float32]:
        """Return the (Q, D) embeddings of pictures.

        Args:
            pictures: Image files, which are read as those of the index, a few at a time; or in other forms that
                `picture_pixels` knows.

        Raises:
            ConfigurationError: The principal components are of another dimension.
            ImageError: A picture cannot be read, or has other bands or values.
        """
        rest = iter(pictures)
        batches = iter(lambda: list(itertools.islice(rest, _PICTURES_AT_ONCE)), [])
        return self._as_stored(np.concatenate([self.network.embed_images(batch, self.layer) for batch in batches]))

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the (Q, D) embeddings of texts, such as "harbor with ships".

        Raises:
            ConfigurationError: The network knows no text, a text is empty, or the principal components are of another
                dimension.
            WeightsError: The network's tokenizer cannot be had.
        """
        return self._as_stored(self.network.embed_texts(texts))

    def _as_stored(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what the network gave at length 1 and projected, as the index has it."""
        vectors = unit_length(vectors) if self.normalized else vectors
        if self.pca is None:
            return vectors
        if self.pca.components.shape[1] != vectors.shape[1]:
            raise ConfigurationError(
                f"principal components of {self.pca.components.shape[1]} dimensions for embeddings of "
                f"{vectors.shape[1]}",
                "Use the model and layer that they were fitted on.",
            )
        vectors = self.pca.project(vectors)
        return unit_length(vectors) if self.normalized else vectors


@dataclass(frozen=True, slots=True)
class ImageIndex(ImageSearch):
    """An index that is open; made by `open_index`."""

    location: str
    info: EmbeddingInfo
    local: LocalSources | None
    """Where model and images lie, if it was built where they are."""
    appended: tuple[LocalSources, ...]
    """The same of what was appended, as far as it is known, in that order."""
    _collection: ImageCollection
    _description: IndexDescription
    _columns: Callable[[], EmbeddingTable | None]
    """Returns the images of a local index for filters, read when the first one asks; None where Milvus is to filter."""
    _ef: int | None
    """Search effort that was asked for; None for what the index knows."""
    _pca_file: Path | None
    """File of the principal components of a local index; None without."""

    def __len__(self) -> int:
        return self.info.rows

    def find(self, image_id: str) -> tuple[Hit, npt.NDArray[np.float32]]:
        """Return an image of the index, at distance 0, with its (D,) embedding.

        Raises:
            ConfigurationError: It is not in the index.
        """
        found = self._collection.find(image_id, self.info)
        if found is None:
            raise ConfigurationError(
                f"{image_id!r}: no such file, and no image {image_id!r} in the index {self.location}",
                "Give the path of a picture or of a folder of pictures, or the id of an image of the index.",
            )
        return found

    def images_at(self, rows: Sequence[int]) -> list[IndexedImage]:
        """Return the images in ascending rows of the embeddings, those that are there."""
        return self._collection.images_at(rows, self.info)

    def embed_pictures(self, pictures: Iterable[Picture], model: ModelChoice | None = None) -> npt.NDArray[np.float32]:
        """Return the (Q, D) embeddings of pictures, made as those in the index; see `embedder`."""
        return self.embedder(model).embed_pictures(pictures)

    def embed_texts(self, texts: Sequence[str], model: ModelChoice | None = None) -> npt.NDArray[np.float32]:
        """Return the (Q, D) embeddings of texts among the images; see `embedder`, and there what else is raised.

        Raises:
            ConfigurationError: The network that made the index knows no text.
        """
        self.require_text()
        return self.embedder(model).embed_texts(texts)

    def require_text(self) -> None:
        """Raise `ConfigurationError` unless words can be looked for, before a network is loaded."""
        if not self.info.text:
            raise ConfigurationError(
                f"{self.location}: its images were embedded by {self.info.model}, which knows no text",
                "Embed them by a network that does, with `mlrsnet embed --model open_clip:NAME/WEIGHTS`.",
            )

    def embedder(self, model: ModelChoice | None = None) -> Embedder:
        """Load the network that embeds pictures as those in the index, once for any number of them.

        Args:
            model: The network; by default the one that the index was built with, from where it lay then.

        Raises:
            ConfigurationError: It is not known where the model lies, or the index lacks its principal components.
            EmbeddingError: The model is not the one that made the index.
            WeightsError: Its weights cannot be had.
        """
        from mlrsnet_hf.models.named_model import read_as
        from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model

        choice = model or (self.local.model if self.local else None)
        if choice is None:
            raise ConfigurationError(
                f"{self.location}: it is not known here where its model lies ({self.info.model})",
                "Name it with --model.",
            )
        pca = self.pca()
        made_by = self.local.model if self.local else choice
        # A query may be of other bands and values than the images of the index: it is read by itself.
        network = load_embedding_model(
            dataclasses.replace(choice, bands=made_by.bands, value_range=made_by.value_range)
        )
        if network.fingerprint != self.info.model_fingerprint:
            raise EmbeddingError(
                f"{choice.model} is not the model that made the index, {self.info.described()}",
                "Name that model with --model, --weights, --image-size, --crop-pct, --bands and --value-range, or "
                "build the index anew.",
            )
        if (choice.bands, choice.value_range) != (made_by.bands, made_by.value_range):
            network = read_as(network, choice)
        return Embedder(network, self.info.layer, self.info.normalized, pca)

    def pca(self) -> Pca | None:
        """Return the principal components that queries must be projected by; None if the embeddings are not projected.

        Raises:
            ConfigurationError: They are not there, damaged, or those of other embeddings.
        """
        if self.info.pca is None:
            return None
        if is_server(self.location):
            pca = read_pca(self._collection.client, self._collection.name)
        else:
            pca = load_pca(self._pca_file) if self._pca_file else None
        if pca is None:
            raise ConfigurationError(
                f"{self.location}: the principal components of its embeddings are not there",
                f"Search by id, or build the index anew from a folder that holds {PCA_FILE}.",
            )
        if (pca.to_json(), len(pca.components)) != (self.info.pca, self.info.dimension):
            raise ConfigurationError(
                f"{self.location}: the principal components are those of other embeddings", "Build the index anew."
            )
        return pca

    def _nearest(self, queries: npt.NDArray[np.float32], k: int, wanted: Filter) -> list[list[Hit]]:
        if wanted and (table := self._columns()) is not None:
            return table.nearest(queries, k, wanted)
        stored = self._description.ef
        effort = self._ef or (None if stored is None else max(stored, least_effort(k)))
        return self._collection.search(queries, k, wanted, self.info, self._description.kind, effort)

    def _listing(self, wanted: Filter, k: int, skip: int) -> Listing:
        if (table := self._columns()) is not None:
            return table.listing(wanted, k, skip)
        return self._collection.list_images(k, wanted, self.info, skip)


@contextmanager
def open_index(location: str | Path, collection: str = COLLECTION, ef: int | None = None) -> Iterator[ImageIndex]:
    """Open an index; a local one for this process alone.

    Args:
        location: The folder of a local index, or the URI of a Milvus server.
        collection: Its name on a server.
        ef: Candidates that a search keeps while it walks the graph, at least as many as images are asked for; None for
            what `mlrsnet index --recall` has stored, or else 128 or twice the images that are asked for.

    Raises:
        ConfigurationError: There is no index, it is of another format version, another process has it open, or the
            server cannot be reached; or a search effort is given to an index that compares with every image.
    """
    with opened_collection(location, collection) as (images, description):
        if ef is not None and description.kind == "flat":
            raise ConfigurationError(
                f"{location}: the index is flat and compares with every image", "Leave --ef out: it finds all."
            )
        info, growth = description.info, description.growth
        if growth:
            logger.info(
                "%s: an append was cut short, %s of its %s images are in; give its command again to go on",
                location,
                f"{growth.done:,}",
                f"{growth.embeddings.rows:,}",
            )
        folder = None if is_server(location) else Path(location).expanduser().absolute()
        local, appended = read_sources(folder) if folder else (None, ())
        pca = folder and folder / PCA_FILE
        yield ImageIndex(
            location=str(location),
            info=info,
            local=local,
            appended=appended,
            _collection=images,
            _description=description,
            _columns=functools.cache(lambda: read_columns(folder, description) if folder else None),
            _ef=ef,
            _pca_file=pca if pca and pca.exists() else None,
        )


@contextmanager
def opened_collection(location: str | Path, collection: str) -> Iterator[tuple[ImageCollection, IndexDescription]]:
    """Open the collection of an index, with what the index says of itself.

    Raises:
        ConfigurationError: See `open_index`.
    """
    server = is_server(location)
    folder = Path(location).expanduser().absolute()
    told = None if server else _read_index_file(folder)
    with milvus_client(location if server else folder / DATABASE) as client:
        images = ImageCollection(client, collection if server else COLLECTION)
        if not images.exists():
            raise ConfigurationError(
                f"{location}: no collection {images.name!r}", "Build it with `mlrsnet index`, or name another."
            )
        description = told or images.description()
        rows, growth = description.info.rows, description.growth
        found = images.count()
        if not (growth.before if growth else rows) <= found <= rows:
            # Milvus Lite may pass over a damaged file in silence.
            raise ConfigurationError(f"{location}: {found:,} images where {rows:,} are said to be", "Build it again.")
        yield images, description


def store_description(location: str | Path, images: ImageCollection, description: IndexDescription) -> None:
    """Have an index that is open say something else of itself.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if is_server(location):
        images.describe(description)
        return
    folder = Path(location).expanduser().absolute()
    with whole_file(folder / INDEX_FILE, "Make room, and give the same command again to go on.") as partial:
        write_json(partial, description.to_json())


def _read_index_file(folder: Path) -> IndexDescription:
    """Return what stands beside the database of a local index."""
    file = folder / INDEX_FILE
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder", "Give an index, or build one with `mlrsnet index`.")
    description = read_description(read_json(file, Any, "Give a folder that `mlrsnet index` wrote."), str(file))
    if not (folder / DATABASE).exists():  # Milvus Lite would make an empty one
        raise ConfigurationError(f"{folder}: not an index (no {DATABASE} in it)", "Build it with `mlrsnet index`.")
    return description
