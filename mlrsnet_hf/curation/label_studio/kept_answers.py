"""Answers that were read of a server once, and are kept whatever becomes of it: what all that asks people shares."""

import dataclasses
import json
import secrets
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from mlrsnet_hf.configuration.json_file import MOST_BYTES_KEPT, Name, read_json
from mlrsnet_hf.curation.label_studio.tasks import Annotation, Task
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
    annotator: Name
    """E-mail address, or `DELETED`."""
    annotation: Name
    """`Annotation.name`."""
    changed: Name = ""
    """When it was last changed, as ISO 8601."""
    replaced: tuple[Name, ...] = ()
    """Annotations of the same person to the same task, whose place it has taken."""


Answer = TypeVar("Answer", bound=KeptAnswer)


def read_kept(path: Path, kind: type[Answer], remedy: str) -> list[Answer]:
    """Return the answers that a file keeps; none where it is not there yet.

    Raises:
        ConfigurationError: It holds something else, or cannot be read.
    """
    of: Any = list[kind]  # type: ignore[valid-type] # known when it runs
    found: list[Answer] = read_json(path, of, remedy, most=MOST_BYTES_KEPT) if path.exists() else []
    return found


def keep_answers(
    path: Path,
    kept: Sequence[Answer],
    annotations: Iterable[Annotation],
    asked: Container[str],
    read: Callable[[Annotation, str], Answer],
) -> list[Answer]:
    """Return all answers that count, those of earlier calls too, and keep them in a file.

    A person has one answer to a task, the last. What the server no longer has stays: it may have been set back. An
    answer of a person who was deleted is theirs as it was read before, or else one of `DELETED`. Annotations of no
    task, and those that are no answer, are told and left out.

    Args:
        path: The file.
        kept: Those of earlier calls, as `read_kept` gives them.
        annotations: All that the server has.
        asked: Keys of the tasks.
        read: From an annotation and who made it to the answer; raises `MLRSNetError` where it is none.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    found = {_whose(answer): answer for answer in kept if answer.key in asked}
    people = {name: answer.annotator for answer in kept for name in (answer.annotation, *answer.replaced)}
    faults: list[MLRSNetError] = []
    strange = 0
    for one in sorted(annotations, key=lambda annotation: (annotation.changed, annotation.id)):
        if one.key not in asked:
            strange += 1
            continue
        try:
            answer = read(one, one.annotator or people.get(one.name, DELETED))
        except MLRSNetError as error:
            faults.append(error)
            continue
        known = found.get(_whose(answer), answer)
        last = answer if answer.changed >= known.changed else known  # a database that was set back has older ones
        replaced = {*known.replaced, known.annotation, answer.annotation} - {last.annotation}
        found[_whose(answer)] = replace(last, replaced=tuple(sorted(replaced)))
    if strange:
        logger.warning("%s answers are to nothing that is asked here, and do not count", strange)
    if faults:
        logger.warning("%s answers cannot be read, and do not count: %s", len(faults), faults[0])
    answers = list(found.values())
    if answers != kept:
        write_json(path, [dataclasses.asdict(answer) for answer in answers])
    return answers


def _whose(answer: KeptAnswer) -> tuple[str, str, str]:
    """Return what two answers have in common of which one counts: who was deleted may have been several people."""
    return answer.key, answer.annotator, answer.annotation if answer.annotator == DELETED else ""


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
