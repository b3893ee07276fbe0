"""Label files of the release: one CSV per scene, a row per image, a 0/1 column per label.

Columns are read by header name, never by position: the published files come in several column orders.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.taxonomy import LABELS, find_label

IMAGE_COLUMN = "image"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a label file."""

    file_name: str
    labels: tuple[int, ...]
    """Label ids, ascending."""
    line: int
    """Line number in the file, from 1."""


def read_label_file(path: Path) -> list[LabelRow]:
    """Read a scene's label file.

    Accepts any column order, a byte order mark, LF and CRLF, and a missing final newline. One blank header cell stands
    for the one label that is missing, as in `storage_tank.csv` of the 2020 release.

    Args:
        path: A CSV whose header holds `image` and the 60 labels, in canonical or published spelling.

    Raises:
        ReleaseError: The file cannot be decoded, its header does not name every label once, or a row is short, long,
            repeated or holds a value other than 0 and 1. The message names the file and the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            columns = _label_ids(path, header)
            rows = [_parse_row(path, lines.line_num, row, columns) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReleaseError(f"{path}: not a CSV in UTF-8 ({error})", "Restore the published label file.") from error
    _refuse_repeats(path, rows)
    return rows


def _label_ids(path: Path, header: Sequence[str]) -> list[int]:
    """Return the label id of every column after the first."""
    where = f"{path}, line 1"
    if not header or header[0].strip().casefold() != IMAGE_COLUMN:
        found = header[0] if header else ""
        raise ReleaseError(
            f"{where}: the first column is {found!r}, not {IMAGE_COLUMN!r}", "Restore the published header."
        )
    ids = [_column_label(where, position, name) for position, name in enumerate(header[1:], start=2)]
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
    return [missing[0] if label_id is None else label_id for label_id in ids]


def _column_label(where: str, position: int, name: str) -> int | None:
    """Return the label id of a header cell, or None if it is blank."""
    if not name.strip():
        return None
    try:
        return find_label(name).id
    except UnknownNameError as error:
        raise ReleaseError(f"{where}: unknown label column {name!r} (column {position})", error.remedy) from error


def _parse_row(path: Path, line: int, row: Sequence[str], columns: Sequence[int]) -> LabelRow:
    where = f"{path}, line {line}"
    file_name, *values = row
    if not file_name.strip():
        raise ReleaseError(f"{where}: the image name is empty", "Name the image file or delete the row.")
    if len(values) != len(columns):
        raise ReleaseError(
            f"{where}: {len(values)} label values where the header has {len(columns)}",
            "The row is cut short or has stray commas; restore the published label file.",
        )
    labels = []
    for label_id, value in zip(columns, values, strict=True):
        if value == "1":
            labels.append(label_id)
        elif value != "0":
            raise ReleaseError(f"{where}: label {LABELS[label_id].name!r} is {value!r}", "Label values are 0 or 1.")
    return LabelRow(file_name.strip(), tuple(sorted(labels)), line)


def _refuse_repeats(path: Path, rows: Iterable[LabelRow]) -> None:
    """Refuse two rows for one image; names match by stem, in any letter case."""
    first_line: dict[str, int] = {}
    for row in rows:
        line = first_line.setdefault(Path(row.file_name).stem.casefold(), row.line)
        if line != row.line:
            raise ReleaseError(
                f"{path}, line {row.line}: {row.file_name} stands in line {line} already", "Delete one of the two rows."
            )
