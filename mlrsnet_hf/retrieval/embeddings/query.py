"""What a search of embeddings may find, its typed results, and what every search of embeddings has in common."""

import contextlib
import difflib
import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
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
    """Number of all images that pass it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which images a search may find, by the names that the data has; made by `ImageSearch.filter`."""

    labels: tuple[str, ...] = ()
    """Names of labels that all must be there."""
    scene: str | None = None

    def __bool__(self) -> bool:
        return bool(self.labels) or self.scene is not None

    def __str__(self) -> str:
        parts = [f"labels {', '.join(self.labels)}"] if self.labels else []
        return " and ".join(parts + ([f"scene {self.scene}"] if self.scene is not None else []))


class ImageSearch(ABC):
    """Embeddings that can be searched and filtered, in memory or in an index."""

    __slots__ = ()
    info: EmbeddingInfo
    """How the embeddings were made; queries must be made so too."""

    def search(
        self, queries: npt.ArrayLike, k: int = 12, labels: Sequence[str] = (), scene: str | None = None
    ) -> list[list[Hit]]:
        """Return the nearest images of each query by Euclidean distance, nearest first; ties by row.

        Args:
            queries: (Q, D) or (D,) embeddings, made as these were.
            k: How many; with a filter, at most so many.
            labels: Names of labels that every image found must have; with MLRSNet's, in any spelling that `find_label`
                knows.
            scene: Name of the scene that every image found must show, likewise.

        Raises:
            EmbeddingError: The queries have another dimension, or are not finite.
            ConfigurationError: k is no whole number from 1 to the number of images, or no image has the labels and the
                scene.
            UnknownNameError: A label or scene is not known.
        """
        return self.nearest(queries, k, self.filter(labels, scene))

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
        return self.listing(self.filter(labels, scene), k)

    def filter(self, labels: Sequence[str] = (), scene: str | None = None) -> Filter:
        """Return a filter for `nearest` and `listing`.

        Where the data's names are MLRSNet's, every spelling of the taxonomy is accepted (`habor`, `harbor&port`); other
        data knows its own names alone.

        Raises:
            UnknownNameError: A name is not known; the message lists near ones.
        """
        given = [labels] if isinstance(labels, str) else labels
        known = (_own_name("label", name, self.info.label_names, find_label, LABELS) for name in given)
        return Filter(
            labels=tuple(dict.fromkeys(known)),
            scene=None if scene is None else _own_name("scene", scene, self.info.scene_names, find_scene, SCENES),
        )

    def labels_in(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the labels that texts of a command line name: each text one, or several with commas between them.

        Names may hold commas: of the ways to cut a text into known names the one of the longest first names is taken,
        and a text that is a name is that. Double quotes around a name are taken off if it is not known with them.

        Raises:
            UnknownNameError: A name is not known; the message lists near ones.
            ConfigurationError: A text names nothing.
        """
        return tuple(itertools.chain.from_iterable(_cut_at_commas(text, self.info.label_names) for text in texts))

    def nearest(self, queries: npt.ArrayLike, k: int, wanted: Filter) -> list[list[Hit]]:
        """Return what `search` returns, for a filter that is made already."""
        vectors = _query_matrix(queries, self.info)
        k = whole_number("k", k)
        if k > self.info.rows:
            raise ConfigurationError(
                f"k={k:,} where {self.info.rows:,} images are searched", f"Ask for 1 to {self.info.rows:,}."
            )
        found = self._nearest(vectors, k, wanted)
        _refuse_none(found[0], wanted)
        return found

    def listing(self, wanted: Filter, k: int, skip: int = 0) -> Listing:
        """Return what `list_images` returns, for a filter that is made already, after the first `skip` images."""
        if not wanted:
            raise ConfigurationError(
                "nothing to search for: neither a query nor a filter",
                "Give a picture, the id of an image, labels or a scene.",
            )
        found = self._listing(wanted, whole_number("k", k), skip)
        _refuse_none(range(found.total), wanted)
        return found

    @abstractmethod
    def _nearest(self, queries: npt.NDArray[np.float32], k: int, wanted: Filter) -> list[list[Hit]]:
        """Return up to k images for each query, as `search` orders them; none if none passes the filter."""

    @abstractmethod
    def _listing(self, wanted: Filter, k: int, skip: int) -> Listing:
        """Return k images that pass a filter, by row, after the first `skip`, and the number of all."""


def label_names(ids: Sequence[int] | None, info: EmbeddingInfo) -> tuple[str, ...] | None:
    """Return the names of label ids."""
    return None if ids is None else tuple(info.label_names[i] for i in ids)


def _own_name(
    kind: str, name: str, known: Sequence[str], find: Callable[[str], Label | Scene], names: Iterable[Label | Scene]
) -> str:
    """Return the name by which the data knows what is called `name`."""
    if not isinstance(name, str):
        raise UnknownNameError(f"{kind} {name!r} is no name", f"Give the {kind} by its name, not by its number.")
    own = _known_name(name, known, find, names)
    if own is None:
        raise _unknown(kind, name, known)
    return own


def _unknown(kind: str, name: str, known: Sequence[str]) -> UnknownNameError:
    remedy = name_alternatives(name, known) if known else f"Leave the {kind}s out."
    return UnknownNameError(f"{kind} {name!r} is not known to these embeddings", remedy)


def _known_name(
    name: str, known: Sequence[str], find: Callable[[str], Label | Scene], names: Iterable[Label | Scene]
) -> str | None:
    """Return the name by which the data knows what is called `name`; None if it does not."""
    if name in known:
        return name
    if set(known) <= {spelling for one in names for spelling in (one.name, one.published)}:
        with contextlib.suppress(UnknownNameError):
            found = find(name)
            for spelling in (found.name, found.published):
                if spelling in known:
                    return spelling
    return None


def _likeness(name: str, known: Sequence[str]) -> float:
    """Return how like a name is to the known name that it is most like, from 0 to 1, as far as that is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return difflib.SequenceMatcher(None, near[0], name).ratio() if near else 0.0


def _cut_at_commas(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a text holds; see `ImageSearch.labels_in`."""
    pieces = text.split(",")
    farthest = 0

    @functools.cache
    def names_from(start: int) -> tuple[str, ...] | None:
        nonlocal farthest
        farthest = max(farthest, start)
        if start == len(pieces):
            return ()
        for end in range(len(pieces), start, -1):
            part = ",".join(pieces[start:end])
            for spelling in (part, part.strip(), part.strip().removeprefix('"').removesuffix('"')):
                own = _known_name(spelling, known, find_label, LABELS)
                if own is not None and (rest := names_from(end)) is not None:
                    return (own, *rest)
        return None if pieces[start].strip() else names_from(start + 1)

    found = names_from(0)
    if found is None:
        starts = range(farthest, max(-1, farthest - 8), -1)  # a few pieces: names hold no more commas
        parts = [",".join(pieces[a:b]).strip() for a in starts for b in range(a + 1, min(a + 8, len(pieces)) + 1)]
        unknown = [part for part in parts if _known_name(part, known, find_label, LABELS) is None]
        raise _unknown("label", max(unknown, key=lambda part: _likeness(part, known)), known)
    if not found:
        raise ConfigurationError(f"labels {text!r} name nothing", "Give labels, with commas between them.")
    return found


def _query_matrix(queries: npt.ArrayLike, info: EmbeddingInfo) -> npt.NDArray[np.float32]:
    array = to_array(queries)
    if array.dtype.kind not in "fiub":
        raise EmbeddingError(f"queries have dtype {array.dtype}", "Pass real numbers.")
    with np.errstate(over="ignore"):  # refused below
        vectors = np.atleast_2d(array.astype(np.float32, copy=False))
    if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != info.dimension:
        raise EmbeddingError(
            f"queries of shape {vectors.shape} for embeddings of {info.dimension} dimensions",
            f"Embed the queries as the database was: {info.described()}.",
        )
    refuse_not_finite([f"query {i}" for i in range(len(vectors))], vectors, "Embed the queries again.")
    return vectors


def _refuse_none(found: Sequence[object], wanted: Filter) -> None:
    if not found:
        raise ConfigurationError(f"no image has {wanted}", "Ask for fewer labels, or for another scene.")
