"""Embeddings that are added to an index: new images get the next rows, those of a known id take the place of it.

All goes into the collection itself, a batch at a time, and the index says how far it has come: it can be searched
meanwhile, and an append that was cut short is completed by the next. At the end the index is what one would be that was
built at once, of all images in this order.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, EmbeddingRows, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, LocalSources
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE, Pca, load_pca
from mlrsnet_hf.retrieval.index import COLLECTION
from mlrsnet_hf.retrieval.index.build import digest_of
from mlrsnet_hf.retrieval.index.collection import ImageCollection, batch_rows
from mlrsnet_hf.retrieval.index.columns import write_columns
from mlrsnet_hf.retrieval.index.description import Appended, Growth, IndexDescription, Recall
from mlrsnet_hf.retrieval.index.index import opened_collection, store_description
from mlrsnet_hf.retrieval.index.milvus import is_server
from mlrsnet_hf.retrieval.index.recall import measured, refuse_target
from mlrsnet_hf.retrieval.index.sources import read_sources, write_sources
from mlrsnet_hf.retrieval.index.stored_pca import read_pca
from mlrsnet_hf.runtime.logs import get_logger, progress_bar

logger = get_logger(__name__)

Store = Callable[[IndexDescription], None]


@dataclass(frozen=True, slots=True)
class GrownIndex:
    """An index to which images were added."""

    location: str
    rows: int
    added: int
    replaced: int
    resumed: int
    """Images of these that an earlier run had stored."""
    recall: Recall

    def summary(self) -> str:
        """Return what was done, for the terminal."""
        earlier = f", {self.resumed:,} of them by an earlier run" if self.resumed else ""
        done = f"{self.added:,} images added, {self.replaced:,} replaced{earlier}"
        return f"{done}\n{self.rows:,} images\n{self.recall}\nindex: {self.location}"


def append_to_index(
    source: str | Path | EmbeddingFolder,
    location: str | Path,
    collection: str = COLLECTION,
    recall: float | None = None,
) -> GrownIndex:
    """Add embeddings to an index, in batches; an id that is there is replaced, in its row.

    An append that is cut short leaves an index that can be searched, with the images that are in; the next append of
    the same embeddings goes on from there, and one of others is refused until then.

    Args:
        source: An embeddings folder, or the id of such a dataset on the Hub, made as those of the index were.
        location: The folder of a local index, or the URI of a Milvus server.
        collection: Its name on a server.
        recall: As in `build_index`; by default what the index was built with, and measured anew.

    Returns:
        What was done, with the recall that was measured against exact search in the whole index.

    Raises:
        ConfigurationError: There is no index; the embeddings are of another model, layer, projection or type, which
            the message names; an id occurs twice; or another append was cut short.
        EmbeddingError: Embeddings are damaged or not finite.
    """
    embeddings = source if isinstance(source, EmbeddingFolder) else open_embeddings(source)
    digest = digest_of(embeddings)
    with opened_collection(location, collection) as (images, description):
        if recall is not None:
            refuse_target(description.kind, recall)
            description = dataclasses.replace(description, target=recall)

        def store(changed: IndexDescription) -> None:
            store_description(location, images, changed)

        _refuse_others(embeddings, description.info, _pca_of(location, images), str(location))
        description = _begun(description, embeddings, digest, images, str(location))
        assert description.growth is not None
        resumed = description.growth.done
        folder = None if is_server(location) else Path(location).expanduser().absolute()
        if folder:
            _keep_sources(folder)
        kept = "The index can be searched, with the images that are in; give the same command again to go on."
        with kept_if_stopped(lambda: kept):
            store(description)
            _put(images, embeddings, description, store)
            vectors = (rows.embeddings for rows in images.batches(description.info))
            measure, ef = measured(images, description, vectors, description.target)
        entry: Appended = {
            "rows": embeddings.info.rows,
            "dataset": dict(embeddings.info.dataset),
            "dataset_fingerprint": embeddings.info.dataset_fingerprint,
        }
        if folder and (local := LocalSources.read(embeddings.path)):
            _keep_sources(folder, local)
        appended = (*description.appended, entry)
        grown = dataclasses.replace(description, growth=None, appended=appended, recall=measure, ef=ef)
        if folder:
            write_columns(folder, grown, images.batches(grown.info))
        store(grown)
    added = description.growth.after - description.growth.before
    place = f"{location}, collection {collection}" if is_server(location) else str(location)
    return GrownIndex(
        location=place,
        rows=description.info.rows,
        added=added,
        replaced=embeddings.info.rows - added,
        resumed=resumed,
        recall=measure,
    )


def _keep_sources(folder: Path, added: LocalSources | None = None) -> None:
    """Store where the images of an index lie, those of earlier versions too, whose file is about to be replaced."""
    built, appended = read_sources(folder)
    write_sources(folder, built, [*(one for one in appended if one != added), *([added] if added else [])])


def _pca_of(location: str | Path, images: ImageCollection) -> Pca | None:
    """Return the principal components of an index; None without."""
    if is_server(location):
        return read_pca(images.client, images.name)
    file = Path(location).expanduser() / PCA_FILE
    return load_pca(file) if file.exists() else None


def _refuse_others(embeddings: EmbeddingFolder, of_index: EmbeddingInfo, pca: Pca | None, location: str) -> None:
    """Refuse embeddings that were made otherwise than those of the index."""
    new = embeddings.info
    compared = {
        "model": lambda info: f"{info.model} ({info.model_fingerprint[:8]})",
        "layer": lambda info: info.layer,
        "projection": lambda info: _words(info.pca),
        "dimensions": lambda info: f"{info.dimension:,}",
        "normalization": lambda info: "to length 1" if info.normalized else "none",
        "dtype": lambda info: info.dtype,
        "scores": lambda info: f"of {len(info.scores)} labels" if info.scores else "none",
    }
    differing = {
        "model": new.model_fingerprint != of_index.model_fingerprint,
        "layer": new.layer != of_index.layer,
        "projection": new.pca != of_index.pca or (new.pca is not None and not _equal(pca, embeddings.path / PCA_FILE)),
        "dimensions": new.dimension != of_index.dimension,
        "normalization": new.normalized != of_index.normalized,
        "dtype": new.dtype != of_index.dtype,
        "scores": new.scores != of_index.scores,
    }
    if any(differing.values()):
        found = ", ".join(
            f"another {name} ({compared[name](new)}, where the index has {compared[name](of_index)})"
            for name, differs in differing.items()
            if differs
        )
        raise ConfigurationError(
            f"{embeddings.path}: cannot be appended to {location}: {found}",
            "Embed the images as those of the index were, or build an index of their own.",
        )


def _words(pca: Mapping[str, Any] | None) -> str:
    if pca is None:
        return "none"
    whitened = ", whitened" if pca["whitened"] else ""
    return f"{pca['components']} components of {pca['fitted_on']:,} images, {pca['explained']:.6%} explained{whitened}"


def _equal(pca: Pca | None, file: Path) -> bool:
    """Say whether the components of the index are those of a file, as far as both are there."""
    if pca is None or not file.exists():
        return True
    other = load_pca(file)
    return np.array_equal(pca.mean, other.mean) and np.array_equal(pca.components, other.components)


def _begun(
    description: IndexDescription, embeddings: EmbeddingFolder, digest: str, images: ImageCollection, location: str
) -> IndexDescription:
    """Return what the index says of itself from now on: the append that was cut short, or a new one."""
    new, old = embeddings.info, description.info
    if description.growth:
        if (description.growth.digest, description.growth.embeddings) == (digest, new):
            return description
        begun = description.growth.embeddings
        raise ConfigurationError(
            f"{location}: an append of other embeddings ({begun.dataset_name}, {begun.rows:,} images) was cut short",
            "Complete it first, by its own command.",
        )
    added = _count_new(images, embeddings)
    info = dataclasses.replace(
        old,
        rows=old.rows + added,
        label_names=tuple(dict.fromkeys((*old.label_names, *new.label_names))),
        scene_names=tuple(dict.fromkeys((*old.scene_names, *new.scene_names))),
    )
    growth = Growth(embeddings=new, digest=digest, before=old.rows, after=info.rows)
    return dataclasses.replace(description, info=info, growth=growth)


def _count_new(images: ImageCollection, embeddings: EmbeddingFolder) -> int:
    """Return how many images the index does not know, and refuse ids that occur twice."""
    seen: set[str] = set()
    known = 0
    for rows in embeddings.batches(batch_rows(embeddings.info.dimension)):
        if len(seen) + len(rows) != len(seen | set(rows.ids)):
            twice = next(name for i, name in enumerate(rows.ids) if name in seen or name in rows.ids[:i])
            raise ConfigurationError(f"{embeddings.path}: the id {twice!r} occurs more than once", "Embed it once.")
        seen.update(rows.ids)
        known += len(images.rows_of(rows.ids))
    return len(seen) - known


def _put(images: ImageCollection, embeddings: EmbeddingFolder, description: IndexDescription, store: Store) -> None:
    """Store what is missing; what is noted as done is there."""
    growth, info = description.growth, embeddings.info
    assert growth is not None
    for begin in (growth, dataclasses.replace(growth, done=0, placed=0)):
        growth = begin
        with progress_bar(description="appending", total=info.rows, initial=growth.done, unit="img") as bar:
            for rows in embeddings.batches(batch_rows(info.dimension), growth.done):
                numbers, placed = _numbers(images, rows, growth)
                images.put_at(rows, numbers, info)
                growth = dataclasses.replace(growth, done=growth.done + len(rows), placed=placed)
                store(dataclasses.replace(description, growth=growth))
                bar.update(len(rows))
        images.complete()
        if images.count() == growth.after:
            return
    raise ConfigurationError(
        f"{embeddings.path}: {images.count():,} images are in the index after it, and not {growth.after:,}",
        "Build the index again.",
    )


def _numbers(images: ImageCollection, rows: EmbeddingRows, growth: Growth) -> tuple[list[int], int]:
    """Return the row of each image, its own if the index had it before, and how many new ones are placed then.

    A batch that was stored and not noted gets the same rows again.
    """
    known = images.rows_of(rows.ids)
    numbers, placed = [], growth.placed
    for name in rows.ids:
        row = known.get(name, growth.before)
        if row >= growth.before:
            row = growth.before + placed
            placed += 1
        numbers.append(row)
    return numbers, placed
