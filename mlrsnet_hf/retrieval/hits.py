"""Typed results of a search."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.retrieval.embedding_info import EmbeddingInfo


@dataclass(frozen=True, slots=True)
class Hit:
    """One image that a search found."""

    id: str
    row: int
    """Position in the embeddings."""
    distance: float
    """Euclidean distance to the query, as long as the embeddings' unit."""
    scene: str | None
    labels: tuple[str, ...] | None
    """Names; None where the data has no labels."""
    scores: tuple[float, ...] | None = None
    """The model's sigmoid score of each label, if they were stored."""


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

    def check(self, info: EmbeddingInfo) -> None:
        """Refuse names that the data does not have.

        Raises:
            UnknownNameError: One is not known.
        """
        for kind, wanted, known in (
            ("label", self.labels, info.label_names),
            ("scene", () if self.scene is None else (self.scene,), info.scene_names),
        ):
            for name in wanted:
                if name not in known:
                    remedy = name_alternatives(name, known) if known else f"Leave the {kind}s out."
                    raise UnknownNameError(f"{kind} {name!r} is not known to these embeddings", remedy)


def refuse_none_found(found: Iterable[object], wanted: Filter) -> None:
    """Refuse an empty result of a filter.

    Raises:
        ConfigurationError: Nothing was found.
    """
    if not any(True for _ in found):
        raise ConfigurationError(f"no image has {wanted}", "Ask for fewer labels, or for another scene.")


def refuse_too_many(k: int, rows: int, what: str) -> None:
    """Refuse more results than there are images.

    Raises:
        ConfigurationError: k is below 1 or above `rows`.
    """
    if not 1 <= k <= rows:
        raise ConfigurationError(f"k={k:,} where {what} holds {rows:,} images", f"Ask for 1 to {rows:,} results.")


def names_of(ids: Sequence[int] | None, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of label ids."""
    return None if ids is None else tuple(names[i] for i in ids)
