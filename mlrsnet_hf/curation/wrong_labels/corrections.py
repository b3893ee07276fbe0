"""What people say of labels that are probably wrong, and the labels as these answers correct them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.configuration.json_file import Name
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.curation.label_studio.kept_answers import KeptAnswer
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import on_one_line, quoted
from mlrsnet_hf.files import whole_file

LABELS, CORRECTIONS, CORRECTED = "labels.parquet", "corrections.csv", "corrected.parquet"
"""Files of a review's folder: labels as they were given, what was decided, labels with it."""
PRESENT, ABSENT, TIE, WAITS = "present", "absent", "tie", "waits"
"""What is decided of a label: it is there or not; people are divided, or have not all answered, and it stays."""
REMEDY = "Restore it from a copy, or begin a review in another folder."
"""What to do about a file of the folder that is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A label of an image that is asked about."""

    key: Name
    """What the server calls it."""
    image: Name
    label: Name
    given: bool
    wrong: Annotated[float, Range(0, 1)]
    """Probability."""
    reasons: tuple[str, ...]
    """Why it is doubted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(KeptAnswer):
    """What a person says of a label."""

    says: bool | None
    """Whether it is on the image; None where that cannot be told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What people said of a label, and what follows."""

    yes: int
    no: int
    cannot_tell: int
    decided: str
    """`PRESENT`, `ABSENT`, `TIE` or `WAITS`."""


def verdicts(questions: Iterable[Question], answers: Iterable[Answer], votes: int) -> dict[str, Verdict]:
    """Return what people decide of each label, by the question's key.

    The majority decides, as soon as those who have not answered yet could not change it. Who cannot tell counts for
    neither side.

    Args:
        questions: What was asked.
        answers: At most one of each person to a question.
        votes: People who were asked about each.
    """
    said: Counter[tuple[str, bool | None]] = Counter((answer.key, answer.says) for answer in answers)
    found = {}
    for question in questions:
        yes, no, cannot_tell = (said[question.key, says] for says in (True, False, None))
        lacking = max(0, votes - yes - no - cannot_tell)
        open_still = WAITS if lacking else TIE
        decided = (PRESENT if yes > no else ABSENT) if abs(yes - no) > lacking else open_still
        found[question.key] = Verdict(yes, no, cannot_tell, decided)
    return found


def write_labels(folder: Path, images: LabeledImages, files: Mapping[str, str | None] | None = None) -> None:
    """Write the labels of all images, as training reads them; those of which nothing is known as empty cells.

    Args:
        folder: Where.
        images: Their ids and labels.
        files: Id -> what a table calls the image file; an image without one is called by its id.

    Raises:
        ConfigurationError: A label is called as a column of the table is, or it cannot be written.
    """
    called = [(files or {}).get(image) or image for image in images.ids]
    columns: dict[str, pa.Array] = {"id": pa.array(images.ids), "image": pa.array(called, pa.string())}
    if images.scenes is not None:
        names = [*images.scene_names, None]  # -1 is the last
        columns["scene"] = pa.array([names[scene] for scene in images.scenes], pa.string())
    if images.unknown is None:
        lists = [[images.label_names[column] for column in np.flatnonzero(row).tolist()] for row in images.labels]
        columns["labels"] = pa.array(lists, pa.list_(pa.string()))
    else:
        if taken := sorted({*columns, "labels"} & set(images.label_names)):
            raise ConfigurationError(f"a label is called {quoted(taken[0])}, as a column is", "Rename the label.")
        for column, name in enumerate(images.label_names):
            columns[name] = pa.array(images.labels[:, column].astype(np.int8), mask=images.unknown[:, column])
    with whole_file(folder / LABELS) as partial:
        pq.write_table(pa.table(columns), partial)


def write_corrections(folder: Path, questions: Sequence[Question], found: Mapping[str, Verdict]) -> int:
    """Write what was decided, and the labels with it; return how many differ.

    Args:
        folder: Holds the labels that `write_labels` wrote.
        questions: What was asked.
        found: Verdict of each by its key.

    Raises:
        ConfigurationError: The labels cannot be read or are others, or what they become cannot be written.
    """
    table = _read_labels(folder / LABELS)
    columns = {name: table.column(place).to_pylist() for place, name in enumerate(table.column_names)}
    rows = {image: row for row, image in enumerate(columns.get("id", [])) if isinstance(image, str)}
    for one in questions:
        if _is_given(columns, rows.get(one.image), one.label) is not one.given:
            raise ConfigurationError(
                f"{folder / LABELS}: does not hold the labels that were asked about, such as {quoted(one.label)} of "
                f"{quoted(one.image)}",
                REMEDY,
            )
    wrong = {
        (question.image, question.label)
        for question in questions
        if (found[question.key].decided, question.given) in ((PRESENT, False), (ABSENT, True))
    }
    answered = [one for one in questions if found[one.key].yes + found[one.key].no + found[one.key].cannot_tell]
    write_table(
        folder / CORRECTIONS,
        {
            "image": [one.image for one in answered],
            "label": [one.label for one in answered],
            "given": [one.given for one in answered],
            **{
                name: [getattr(found[one.key], name) for one in answered]
                for name in ("yes", "no", "cannot_tell", "decided")
            },
            "corrected": [(one.image, one.label) in wrong for one in answered],
        },
    )
    for image, label in sorted(wrong):
        row = rows[image]
        if "labels" not in columns:
            columns[label][row] = 1 - columns[label][row]
        elif label in columns["labels"][row]:
            columns["labels"][row].remove(label)
        else:
            columns["labels"][row].append(label)
    with whole_file(folder / CORRECTED) as partial:
        pq.write_table(pa.table(columns, schema=table.schema), partial)
    return len(wrong)


def _is_given(columns: Mapping[str, list[Any]], row: int | None, label: str) -> bool | None:
    """Return whether a row carries a label; None where that does not stand there."""
    if row is None:
        return None
    if "labels" in columns:
        labels = columns["labels"][row]
        return label in labels if isinstance(labels, list) else None
    value = columns[label][row] if label in columns else None
    return bool(value) if type(value) is int and value in (0, 1) else None


def _read_labels(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({on_one_line(str(error), 200)})",
            REMEDY,
        ) from error
