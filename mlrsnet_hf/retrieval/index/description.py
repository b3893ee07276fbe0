"""What an index says of itself: beside the database of a local one, in a property of the collection on a server."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from mlrsnet_hf.configuration.json_file import Name, Scalar, json_as
from mlrsnet_hf.configuration.settings import Count, CountOrZero, Range
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo, info_from_json
from mlrsnet_hf.retrieval.index import Kind

INDEX_FILE = "index.json"
FORMAT = 1
KINDS = typing.get_args(Kind)
_REMEDY = "Build the index again with `mlrsnet index`."

_Part = Annotated[float, Range(0, 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Mean share of each query's exact nearest images that the index finds."""

    value: _Part
    depth: CountOrZero
    """Number of nearest images."""
    queries: CountOrZero
    """Number of queries; `recall.sample_queries` says which."""
    ef: Count | None = None
    """Search effort with which it was measured; None for what a search takes by itself."""

    def __str__(self) -> str:
        """Return it for the terminal."""
        effort = "" if self.ef is None else f", search effort ef={self.ef:,}"
        return f"recall@{self.depth} against exact search: {self.value:.4f} ({self.queries} queries{effort})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """An append that has begun and not ended."""

    embeddings: EmbeddingInfo
    """What is said of the embeddings that are appended."""
    digest: Name
    """Of their ids and vectors."""
    before: CountOrZero
    """Images of the index when it began; the rows of new images follow."""
    after: CountOrZero
    done: CountOrZero = 0
    """Rows of the embeddings that are stored."""
    placed: CountOrZero = 0
    """Images among them that are new."""


class Appended(TypedDict):
    """An append that ended."""

    rows: CountOrZero
    dataset: Mapping[Name, Scalar]
    dataset_fingerprint: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDescription:
    """What is known of an index."""

    kind: Kind
    info: EmbeddingInfo
    """What is common to all its images, their number, and the names of all their labels and scenes."""
    digest: Name | None = None
    """Of the ids and vectors that it was built of; None for an index of version 0.1."""
    recall: Recall | None = None
    ef: Count | None = None
    """Search effort that reaches `target`; None for what a search takes by itself."""
    target: _Part | None = None
    """Recall that was asked for."""
    appended: tuple[Appended, ...] = ()
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
            "growth": self.growth
            and dataclasses.asdict(self.growth) | {"embeddings": self.growth.embeddings.to_json()},
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
            f"{location}: an index of format {quoted(content['format'])}, this version of mlrsnet-hf reads format "
            f"{FORMAT}",
            "Build it again with `mlrsnet index`, or install the version that made it.",
        )
    info = info_from_json(content.get("embeddings", {}), location)
    known = {field.name for field in dataclasses.fields(IndexDescription)}
    values = {name: value for name, value in content.items() if name in known}  # a later version may say more
    description: IndexDescription = json_as(values | {"info": info.to_json()}, IndexDescription, location, _REMEDY)
    if (growth := description.growth) and not growth.before <= growth.after:
        raise ConfigurationError(
            f"{location}: {growth.before:,} images before an append, {growth.after:,} after it", _REMEDY
        )
    return description
