"""What a search may find, and its typed results."""

import contextlib
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.retrieval.embedding_info import EmbeddingInfo
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
