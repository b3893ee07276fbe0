"""Answers that were read of a server once, and are kept whatever becomes of it: what all that asks people shares."""

import dataclasses
import json
import secrets
from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from mlrsnet_hf.configuration.json_file import Name, read_json
from mlrsnet_hf.curation.label_studio.server import Annotation, Task
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.runtime.logs import get_logger

DELETED = "deleted"
"""Who gave the answers of people who were deleted: nobody knows how many they were."""

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What somebody answered."""

    key: Name
    """That of the task."""
    changed: Name = ""
    """When it was last changed, as ISO 8601."""


Answer = TypeVar("Answer", bound=KeptAnswer)


def read_kept(path: Path, kind: type[Answer], remedy: str) -> list[Answer]:
    """Return the answers that a file keeps; none where it is not there yet.

    Raises:
        ConfigurationError: It holds something else, or cannot be read.
    """
    of: Any = list[kind]  # type: ignore[valid-type] # known when it runs
    found: list[Answer] = read_json(path, of, remedy) if path.exists() else []
    return found


def keep(path: Path, kept: Sequence[Answer], answers: Sequence[Answer]) -> None:
    """Write answers in place of those that a file keeps, if they differ.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if answers != kept:
        write_json(path, [dataclasses.asdict(answer) for answer in answers])


def read_answers(
    annotations: Iterable[Annotation],
    asked: Container[str],
    known: Container[tuple[str, str]],
    read: Callable[[Annotation, str], Answer],
) -> list[Answer]:
    """Return what people answered, in the order in which it was changed.

    Left out are annotations of no task, and those that are no answer, which is told. An answer of a person who was
    deleted is the one that was kept before they were, or else one of `DELETED`.

    Args:
        annotations: All that the server has.
        asked: Keys of the tasks.
        known: Key and time of each answer that is kept.
        read: From an annotation and who made it to the answer; raises `MLRSNetError` where it is none.
    """
    answers: list[Answer] = []
    faults: list[MLRSNetError] = []
    for one in sorted(annotations, key=lambda annotation: annotation.changed):
        if one.key not in asked or (one.annotator is None and (one.key, one.at) in known):
            continue
        try:
            answers.append(read(one, one.annotator or DELETED))
        except MLRSNetError as error:
            faults.append(error)
    if faults:
        logger.warning("%s annotations are left out, the first: %s", len(faults), faults[0])
    return answers


def last_answers(kept: Iterable[Answer], read: Iterable[Answer], once: Callable[[Answer], Hashable]) -> list[Answer]:
    """Return the answers that count: what the server no longer has stays, since it may have been set back.

    Args:
        kept: Those of earlier calls.
        read: Those that the server has, in the order in which they were changed.
        once: What two answers have in common of which one counts, the one that was changed last.
    """
    found = {once(answer): answer for answer in kept}
    for answer in read:
        known = found.get(once(answer))
        if known is None or answer.changed >= known.changed:  # a database that was set back has older ones
            found[once(answer)] = answer
    return list(found.values())


def lacking(tasks: Iterable[Task], kept: Iterable[KeptAnswer]) -> list[Task]:
    """Return what a project has to ask that is made again: tasks that lack answers, with as many votes as they lack."""
    given = Counter(answer.key for answer in kept)
    return [replace(task, votes=task.votes - given[task.key]) for task in tasks if given[task.key] < task.votes]


def new_title(folder: Path) -> str:
    """Return what the project of a new folder is called; Label Studio takes 50 characters."""
    return f"{on_one_line(folder.name, 30)} {secrets.token_hex(4)}"


def write_json(path: Path, content: object) -> None:
    """Write a file of the folder, which appears when it is whole.

    Raises:
        ConfigurationError: It cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
