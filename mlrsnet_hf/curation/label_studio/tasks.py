"""Tasks of a Label Studio project, and what annotators say of them."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlrsnet_hf.errors import MLRSNetError

_PERSON = re.compile(r"(\S+), \d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one annotator after the other is shown."""

    key: str
    """Its name for us, which tells an annotator nothing; the server keeps it in the task's data as `key`."""
    data: Mapping[str, Any]
    """What the labeling configuration shows."""
    votes: int = 1
    """People who are asked."""

    def sent(self) -> dict[str, Any]:
        """Return its data as the server gets them."""
        return {**self.data, "key": self.key}

    def digest(self) -> bytes:
        """Return the digest of what the server gets, as `PresentTask.shows`."""
        return digest(self.sent())


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What one annotator said of one task."""

    id: int
    """The server's number of it; an annotation that is changed keeps it."""
    key: str
    """That of the task."""
    annotator: str | None
    """E-mail address; None where the person was deleted."""
    result: Sequence[Mapping[str, Any]]
    """As Label Studio writes it: one entry for each control that was used, none for a task submitted empty."""
    at: str
    """When it was made, as ISO 8601."""
    changed: str
    """When it was changed last, as ISO 8601."""
    seconds: float | None
    """That it took."""

    @property
    def name(self) -> str:
        """What tells it from all others: after a database is set back, numbers are given again."""
        return f"{self.id} of {self.at}"


@dataclass(slots=True)
class PresentTask:
    """A task that a project has."""

    id: int
    votes: int
    """Annotations that count, as the server has counted them."""
    overlap: int
    """Annotations after which the server takes it out of the queue."""
    is_labeled: bool
    """Whether it is out of the queue."""
    changed: datetime
    """When it or one of its annotations was changed last, by the server's clock."""
    shows: bytes
    """Digest of its data."""


@dataclass(slots=True)
class PresentTasks:
    """All tasks that a project has; without their data, which would fill memory."""

    project: int
    by_key: Mapping[str, Sequence[PresentTask]]
    """Several of one key came twice."""


def digest(data: Mapping[str, Any]) -> bytes:
    """Return 16 bytes by which a task's data are known again."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=16).digest()


def read_annotation(key: str, given: Mapping[str, Any], url: str) -> Annotation:
    """Return an annotation of a task, as the server's interface gives it.

    Raises:
        MLRSNetError: It does not tell who annotated, or when.
    """
    try:
        number, at, changed = given["id"], _moment(given["created_at"]), _moment(given["updated_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise MLRSNetError(
            f"{url}: this version of Label Studio does not tell when somebody annotated",
            "Install label-studio 1.20 or later.",
        ) from error
    person = None
    if given.get("completed_by") is not None:  # people who left the organization have no address but here
        found = _PERSON.search(given.get("created_username") or "")
        if found is None:
            raise MLRSNetError(
                f"{url}: this version of Label Studio does not tell who annotated",
                "Install label-studio 1.20 or later.",
            )
        person = found[1]
    return Annotation(
        id=number,
        key=key,
        annotator=person,
        result=given.get("result") or [],
        at=at,
        changed=changed,
        seconds=given.get("lead_time"),
    )


def _moment(text: str) -> str:
    """Return a moment in UTC, all of one length: as texts they are in the order of time."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")
