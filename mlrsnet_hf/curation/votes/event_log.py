"""What happened in a curation, line by line: candidates, rounds, votes, boundaries and decisions, as JSON.

Nothing is ever changed or taken out, so that any state can be computed again from the log alone (`rounds.replay`),
whatever has become of the server that the votes came from.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from mlrsnet_hf.configuration.json_file import Name, json_as, parse_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import only_writer

Claim = tuple[str, str]
"""An image, and the category or label that it is said to show."""
Verdict = Literal["keep", "remove", "unsure", "second stage"]
"""`unsure` has had all votes of the first stage; it then goes to the second stage or is removed."""
_REMEDY = "Restore the log from a copy; lines may be added to it and never changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class OfClaim:
    """Something about a claim."""

    image: Name
    category: Name

    @property
    def claim(self) -> Claim:
        """Image and category."""
        return self.image, self.category


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(OfClaim):
    """The claim that an image is of a category, for which it was collected, or that it shows a label."""

    event: ClassVar[str] = "candidate"
    truth: tuple[Name, ...] | None = None
    """All that the image shows, where that is known: it then teaches the confidence table, and is not decided on."""
    scene: Name | None = None
    """That of an image whose labels are voted on."""
    collected: bool = True
    """Whether somebody said so before; labels that the scene's vocabulary or an annotator brings are claims too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundOpened:
    """A round of votes that is handed to the annotators."""

    event: ClassVar[str] = "round"
    round: Count
    stage: Count
    """1 is the first labeling, 2 that of ambiguous pairs after their boundary was agreed on."""
    votes: Mapping[Name, Count]
    """That it asks for, by image, beside those that were given before."""
    at: Name = ""
    """When, as ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one annotator said of one image; a later one of the same stage, image and annotator takes its place."""

    event: ClassVar[str] = "vote"
    stage: Count
    image: Name
    annotator: Name
    answers: tuple[Name, ...]
    """The category; or the labels; none where none fits."""
    at: Name = ""
    """When it was last changed, as ISO 8601."""
    annotation: Name = ""
    """What the server knows it by, whoever gave it."""
    seconds: float | None = None
    """That the annotator took."""

    @property
    def moment(self) -> datetime | None:
        """When it was last changed, in UTC; None where the log does not say."""
        try:
            moment = datetime.fromisoformat(self.at)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """An annotation that is no vote: the same person has given another one on the image, in the same stage.

    Were its giver forgotten, it would be a vote of somebody else once that person is deleted.
    """

    event: ClassVar[str] = "repeated"
    annotation: Name
    """What the server knows it by."""
    annotator: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What was agreed on about two categories that are taken for each other (Fig. 4 of the paper)."""

    event: ClassVar[str] = "boundary"
    first: Name
    second: Name
    text: str
    at: Name = ""
    """When, as ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(OfClaim):
    """What becomes of a claim, and the votes that say so."""

    event: ClassVar[str] = "decision"
    verdict: Verdict
    stage: Count
    accepts: CountOrZero
    rejects: CountOrZero
    confidence: float
    at: Name = ""
    """When, as ISO 8601."""


Event = Candidate | RoundOpened | Vote | Repeated | Boundary | Decision
_KINDS: Mapping[str, type[Event]] = {
    kind.event: kind for kind in (Candidate, RoundOpened, Vote, Repeated, Boundary, Decision)
}
_FIELDS = {kind: [field.name for field in dataclasses.fields(kind)] for kind in _KINDS.values()}
_ENCODER = json.JSONEncoder(allow_nan=False)
"""Made once: an encoder a line takes as long as the line."""


def read_log(path: Path) -> list[Event]:
    """Return the events of a log, in order; none of a log that is not there yet.

    A last line without its end is what a process left that was killed while it wrote: nobody was told that it was
    kept, and it does not count.

    Raises:
        ConfigurationError: The log cannot be read, or a line is no event; the message names the line.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror or error})", _REMEDY) from error
    whole = content[: content.rfind(b"\n") + 1]
    return [_event(line, f"{path}, line {number}") for number, line in enumerate(whole.splitlines(), 1) if line.strip()]


def _event(line: bytes, place: str) -> Event:
    # A round of a million images is a long line.
    values: dict[str, Any] = dict(parse_json(line, Mapping[str, Any], place, _REMEDY, most=len(line)))
    kind = values.pop("event", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigurationError(f"{place}: there is no event {quoted(kind)}", _REMEDY)
    event: Event = json_as(values, _KINDS[kind], place, _REMEDY)
    return event


def _line(event: Event) -> str:
    fields = _FIELDS[type(event)]
    return _ENCODER.encode({"event": event.event} | {name: getattr(event, name) for name in fields}) + "\n"


class EventLog:
    """A log that this process alone writes; `open_log` gives it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.events = read_log(path)
        """All events so far, those appended too."""

    def append(self, events: Iterable[Event]) -> None:
        """Add events; when this returns they are on the disk.

        Raises:
            ConfigurationError: They cannot be written; whoever reads the log finds none of them, or some whole ones.
        """
        new = list(events)
        lines = "".join(map(_line, new))
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigurationError(
                f"{self._path}: cannot be written ({error.strerror or error})", "Make room, and run again."
            ) from error
        self.events += new


@contextmanager
def open_log(path: Path) -> Iterator[EventLog]:
    """Yield a log that no other process writes while the block runs, without the torn line of one that was killed.

    Raises:
        ConfigurationError: Another process writes it, or it cannot be read or written.
    """
    with only_writer(path):
        log = EventLog(path)
        try:
            with path.open("ab") as file:
                content = path.read_bytes()
                file.truncate(content.rfind(b"\n") + 1)
        except OSError as error:
            raise ConfigurationError(
                f"{path}: cannot be written ({error.strerror or error})", "Choose another folder or disk."
            ) from error
        yield log
