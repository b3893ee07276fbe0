"""Label files of the release: one CSV per scene, a row per image, a 0/1 column per label.

Columns are read by header name, never by position: the published files come in several column orders.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.names import image_id
from mlrsnet_hf.taxonomy import LABELS, find_label

IMAGE_COLUMN = "image"


class LabelRow(NamedTuple):
    """One row of a label file."""

    file_name: str
    labels: tuple[int, ...]
    """Label ids, ascending."""
    line: int
    """Line number in the file, from 1."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the header says."""

    count: int
    image: int
    """Position of the image names."""
    labels: tuple[int, ...]
    """Label ids of the other columns, in their order."""


def read_label_file(path: Path) -> list[LabelRow]:
    """Read a scene's label file; see `parse_label_file`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror})", "Check the file.") from error
    return parse_label_file(content, str(path))


def parse_label_file(content: bytes, place: str) -> list[LabelRow]:
    """Read the content of a label file.

    Accepts any column order, a byte order mark, LF and CRLF, and a missing final newline. One blank header cell stands
    for the one label that is missing, as in `storage_tank.csv` of the 2020 release.

    Args:
        content: A CSV whose header holds `image` and the 60 labels, in canonical or published spelling.
        place: The file, for errors.

    Raises:
        ReleaseError: The file cannot be decoded, its header does not name every column once, or a row is short, long,
            repeated or holds a value other than 0 and 1. The message names the file and the line.
    """
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = _columns(place, next(lines, []))
        rows = _rows(place, columns, lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReleaseError(f"{place}: not a CSV in UTF-8 ({error})", "Restore the published label file.") from error
    _refuse_repeats(place, rows)
    return rows


def _columns(place: str, header: Sequence[str]) -> _Columns:
    """Return what the header says, each label and the images named once."""
    where = f"{place}, line 1"
    images = [position for position, name in enumerate(header) if name.strip().casefold() == IMAGE_COLUMN]
    if len(images) != 1:
        found = f"{len(images)} columns are" if images else "no column is"
        raise ReleaseError(f"{where}: {found} named {IMAGE_COLUMN!r}", "Restore the published header.")
    ids = [_column_label(where, i, name) for i, name in enumerate(header, start=1) if i - 1 != images[0]]
    repeated = [LABELS[i].name for i, count in Counter(ids).items() if i is not None and count > 1]
    if repeated:
        raise ReleaseError(f"{where}: label column {repeated[0]!r} occurs twice", "Remove one of the two columns.")
    missing = [label.id for label in LABELS if label.id not in ids]
    blanks = ids.count(None)
    if blanks > 1 or blanks != len(missing):
        names = ", ".join(repr(LABELS[i].name) for i in missing) or "none"
        raise ReleaseError(
            f"{where}: label columns missing: {names}; blank header cells: {blanks}",
            "Name every label once; only a single missing label may stand as a blank header cell.",
        )
    labels = tuple(missing[0] if label_id is None else label_id for label_id in ids)
    return _Columns(len(header), images[0], labels)


def _column_label(where: str, position: int, name: str) -> int | None:
    """Return the label id of a header cell, or None if it is blank."""
    if not name.strip():
        return None
    try:
        return find_label(name).id
    except UnknownNameError as error:
        raise ReleaseError(f"{where}: unknown label column {name!r} (column {position})", error.remedy) from error


def _rows(place: str, columns: _Columns, lines: "csv._reader") -> list[LabelRow]:  # type: ignore[name-defined]
    """Read the rows; few combinations of values occur, so that each is parsed once."""
    rows: list[LabelRow] = []
    parsed: dict[str, tuple[int, ...]] = {}
    for cells in lines:
        if not cells:
            continue
        line = lines.line_num
        if len(cells) != columns.count:
            raise ReleaseError(
                f"{place}, line {line}: {len(cells) - 1} label values where the header has {columns.count - 1}",
                "The row is cut short or has stray commas; restore the published label file.",
            )
        file_name = cells.pop(columns.image).strip()
        if not file_name:
            raise ReleaseError(f"{place}, line {line}: the image name is empty", "Name the image or delete the row.")
        # No comma can stand in a value of one combination and between two values of another.
        values = ",".join(cells)
        labels = parsed.get(values)
        if labels is None:
            labels = parsed[values] = _labels(f"{place}, line {line}", cells, columns.labels)
        rows.append(LabelRow(file_name, labels, line))
    return rows


def _labels(where: str, values: Sequence[str], columns: Sequence[int]) -> tuple[int, ...]:
    for label_id, value in zip(columns, values, strict=True):
        if value not in ("0", "1"):
            raise ReleaseError(f"{where}: label {LABELS[label_id].name!r} is {value!r}", "Label values are 0 or 1.")
    return tuple(sorted(label_id for label_id, value in zip(columns, values, strict=True) if value == "1"))


def _refuse_repeats(place: str, rows: Sequence[LabelRow]) -> None:
    """Refuse two rows for one image; names match in any letter case and spelling."""
    first_line: dict[str, int] = {}
    for file_name, _, line in rows:
        first = first_line.setdefault(image_id(file_name).casefold(), line)
        if first != line:
            raise ReleaseError(
                f"{place}, line {line}: {file_name} stands in line {first} already", "Delete one of the two rows."
            )
