"""What an index says of itself: beside the database of a local one, in a property of the collection on a server."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, info_from_json

FORMAT = 1
KINDS = ("hnsw", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Mean share of each query's exact nearest images that the index finds."""

    value: float
    depth: int
    """Number of nearest images."""
    queries: int
    """Number of queries; `recall.sample_queries` says which."""
    ef: int | None = None
    """Search effort with which it was measured; None for what a search takes by itself."""

    def __str__(self) -> str:
        """Return it for the terminal."""
        effort = "" if self.ef is None else f", search effort ef={self.ef:,}"
        return f"recall@{self.depth} against exact search: {self.value:.4f} ({self.queries} queries{effort})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """An append that has begun and not ended."""

    embeddings: Mapping[str, Any]
    """What is said of the embeddings that are appended."""
    digest: str
    """Of their ids and vectors."""
    before: int
    """Images of the index when it began; the rows of new images follow."""
    after: int
    done: int = 0
    """Rows of the embeddings that are stored."""
    placed: int = 0
    """Images among them that are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDescription:
    """What is known of an index."""

    kind: str
    info: EmbeddingInfo
    """What is common to all its images, their number, and the names of all their labels and scenes."""
    digest: str | None = None
    """Of the ids and vectors that it was built of; None for an index of version 0.1."""
    recall: Recall | None = None
    ef: int | None = None
    """Search effort that reaches `target`; None for what a search takes by itself."""
    target: float | None = None
    """Recall that was asked for."""
    appended: tuple[Mapping[str, Any], ...] = ()
    """For each append that ended: `rows`, `dataset`, `dataset_fingerprint`, and of a local index `sources`."""
    growth: Growth | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; what it holds by default is left out, as versions before it did."""
        content = {"format": FORMAT, "kind": self.kind, "embeddings": self.info.to_json()}
        more = {
            "digest": self.digest,
            "recall": self.recall and dataclasses.asdict(self.recall),
            "ef": self.ef,
            "target": self.target,
            "appended": [dict(part) for part in self.appended] or None,
            "growth": self.growth and dataclasses.asdict(self.growth),
        }
        return content | {name: value for name, value in more.items() if value is not None}


def read_description(content: object, location: str) -> IndexDescription:
    """Return what `IndexDescription.to_json` gave; `location` is where the index lies, for errors.

    Raises:
        ConfigurationError: It is of another format version, or damaged.
    """
    if not isinstance(content, Mapping) or "format" not in content:
        raise ConfigurationError(f"{location}: not made by `mlrsnet index`", "Give another index.")
    if content["format"] != FORMAT:
        raise ConfigurationError(
            f"{location}: an index of format {content['format']!r}, this version of mlrsnet-hf reads format {FORMAT}",
            "Build it again with `mlrsnet index`, or install the version that made it.",
        )
    try:
        description = IndexDescription(
            kind=content["kind"],
            info=info_from_json(content["embeddings"], location),
            digest=content.get("digest"),
            recall=Recall(**content["recall"]) if content.get("recall") else None,
            ef=content.get("ef"),
            target=content.get("target"),
            appended=tuple(dict(part) for part in content.get("appended", ())),
            growth=Growth(**content["growth"]) if content.get("growth") else None,
        )
        _check(description)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"{location}: what the index says of itself is damaged ({type(error).__name__}: {error})",
            "Build the index again with `mlrsnet index`.",
        ) from error
    return description


def _check(description: IndexDescription) -> None:
    """Refuse values of another type or range; what they are used for would fail later, and less clearly."""
    if description.kind not in KINDS:
        raise ValueError(f"kind {description.kind!r}")
    growth, recall = description.growth, description.recall
    counts = [description.ef or 1, *((growth.before, growth.after, growth.done, growth.placed) if growth else ())]
    if any(not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**53 for count in counts):
        raise ValueError(f"counts {counts!r}")
    if growth and not growth.before <= growth.after:
        raise ValueError(f"{growth.before} images before an append, {growth.after} after it")
    shares = [description.target or 1.0, recall.value if recall else 1.0]
    if any(not isinstance(share, int | float) or not 0 <= share <= 1 for share in shares):
        raise ValueError(f"shares {shares!r}")
    for part in description.appended:
        if not isinstance(part.get("rows"), int):
            raise ValueError(f"appended {part!r}")
