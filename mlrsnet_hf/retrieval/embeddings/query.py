"""What a search may find, and its typed results."""

import contextlib
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics.arguments import to_array, whole_number
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError, refuse_not_finite
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.taxonomy import LABELS, SCENES, Label, Scene, find_label, find_scene


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedImage:
    """One image of the embeddings, and what is known of it."""

    id: str
    row: int
    """Position in the embeddings."""
    scene: str | None
    labels: tuple[str, ...] | None
    """Names; None where the data has no labels."""
    scores: tuple[float, ...] | None = None
    """The model's sigmoid score of each label, if they were stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(IndexedImage):
    """One image that a search found."""

    distance: float
    """Euclidean distance to the query, as long as the embeddings' unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The first of the images that pass a filter, in the order of the embeddings."""

    images: list[IndexedImage]
    total: int
    """How many pass it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which images a search may find."""

    labels: tuple[str, ...] = ()
    """Names of labels that all must be there."""
    scene: str | None = None

    def __bool__(self) -> bool:
        return bool(self.labels) or self.scene is not None

    def __str__(self) -> str:
        parts = [f"labels {', '.join(self.labels)}"] if self.labels else []
        return " and ".join(parts + ([f"scene {self.scene}"] if self.scene is not None else []))


def known_filter(labels: Sequence[str], scene: str | None, info: EmbeddingInfo) -> Filter:
    """Return a filter by the names that the data has.

    Where these are MLRSNet's, every spelling of the taxonomy is accepted (`habor`, `harbor&port`); other data knows
    its own names alone.

    Raises:
        UnknownNameError: A name is not known; the message lists near ones.
    """
    names = [labels] if isinstance(labels, str) else labels
    return Filter(
        labels=tuple(dict.fromkeys(_own_name("label", name, info.label_names, find_label, LABELS) for name in names)),
        scene=None if scene is None else _own_name("scene", scene, info.scene_names, find_scene, SCENES),
    )


def _own_name(
    kind: str, name: str, known: Sequence[str], find: Callable[[str], Label | Scene], entries: Iterable[Label | Scene]
) -> str:
    """Return the name by which the data knows what is called `name`."""
    if name in known:
        return name
    if not isinstance(name, str):
        raise UnknownNameError(f"{kind} {name!r} is no name", f"Give the {kind} by its name, not by its number.")
    if set(known) <= {spelling for entry in entries for spelling in (entry.name, entry.published)}:
        with contextlib.suppress(UnknownNameError):
            entry = find(name)
            spellings = [spelling for spelling in (entry.name, entry.published) if spelling in known]
            if spellings:
                return spellings[0]
    remedy = name_alternatives(name, known) if known else f"Leave the {kind}s out."
    raise UnknownNameError(f"{kind} {name!r} is not known to these embeddings", remedy)


def refuse_none_found(found: Sized, wanted: Filter) -> None:
    """Refuse an empty result of a filter.

    Raises:
        ConfigurationError: Nothing was found.
    """
    if not len(found):
        raise ConfigurationError(f"no image has {wanted}", "Ask for fewer labels, or for another scene.")


def names_of(ids: Sequence[int] | None, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of label ids."""
    return None if ids is None else tuple(names[i] for i in ids)


@dataclass(frozen=True, slots=True, eq=False)
class SearchArguments:
    """A question that can be answered."""

    queries: npt.NDArray[np.float32]
    """(Q, D), finite."""
    k: int
    wanted: Filter
    """By the names that the data has."""


def check_search(
    queries: npt.ArrayLike, k: int, labels: Sequence[str], scene: str | None, info: EmbeddingInfo, what: str
) -> SearchArguments:
    """Check what is asked.

    Args:
        queries: (Q, D) or (D,) embeddings.
        k: How many results.
        labels: Names of labels that every image found must have.
        scene: Name of the scene that every image found must show.
        info: What is searched.
        what: Its name in errors, such as "the index".

    Raises:
        EmbeddingError: The queries have another dimension, or are not finite.
        ConfigurationError: k is no whole number from 1 to the number of images.
        UnknownNameError: A label or scene is not known.
    """
    vectors = _query_matrix(queries, info)
    wanted = known_filter(labels, scene, info)
    number = whole_number("k", k)
    if number > info.rows:
        raise ConfigurationError(
            f"k={number:,} where {what} holds {info.rows:,} images", f"Ask for 1 to {info.rows:,}."
        )
    return SearchArguments(vectors, number, wanted)


def check_listing(k: int, labels: Sequence[str], scene: str | None, info: EmbeddingInfo) -> tuple[int, Filter]:
    """Check what a listing asks for: like `check_search`, but without queries; k may exceed the images.

    Raises:
        ConfigurationError: k is no whole number of at least 1, or there is neither label nor scene.
        UnknownNameError: A label or scene is not known.
    """
    wanted = known_filter(labels, scene, info)
    if not wanted:
        raise ConfigurationError(
            "nothing to search for: neither a query nor a filter",
            "Give a picture, the id of an image, labels or a scene.",
        )
    return whole_number("k", k), wanted


def _query_matrix(queries: npt.ArrayLike, info: EmbeddingInfo) -> npt.NDArray[np.float32]:
    array = to_array(queries)
    if array.dtype.kind not in "fiub":
        raise EmbeddingError(f"queries have dtype {array.dtype}", "Pass real numbers.")
    with np.errstate(over="ignore"):  # told of below
        vectors = np.atleast_2d(array.astype(np.float32, copy=False))
    if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != info.dimension:
        raise EmbeddingError(
            f"queries of shape {vectors.shape} for embeddings of {info.dimension} dimensions",
            f"Embed the queries as the database was: {info.described()}.",
        )
    refuse_not_finite([f"query {i}" for i in range(len(vectors))], vectors, "Embed the queries again.")
    return vectors
