"""Label files of the release: one CSV per scene, a row per image, a 0/1 column per label; or one table of all scenes.

Columns are read by header name, never by position: the published files come in several column orders. What
spreadsheets and pandas make of the files is read where it can mean one thing alone, and refused where it cannot.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.release.names import image_id, image_scene, named_scene, split_folder
from mlrsnet_hf.release.table_text import header_cells, read_cells
from mlrsnet_hf.taxonomy import LABELS, Scene, find_label

IMAGE_COLUMN = "image"
_IMAGE_COLUMNS = {IMAGE_COLUMN, "image_name", "image_path", "file_name", "filename", "path"}
_SCENE_COLUMNS = {"scene", "category", "class"}
"""Of a table of all scenes, where somebody noted which file a row came from."""
_VALUE = re.compile(r"([01])(?:\.0*|,0+)?(?:e[+-]?0+)?")
"""0 and 1 as whole numbers and as numbers with a point or, as many countries write it, a comma."""
_TRUTH = {"false": "0", "true": "1"}
_INDEX_NAMES = ("index", "level_0")
"""What pandas calls the column of an index that has no name."""
_UNNAMED = re.compile(rf"|unnamed: \d+(?:\.\d+)?|{'|'.join(_INDEX_NAMES)}")
"""A blank header cell, what pandas makes of one, or an index."""


class LabelRow(NamedTuple):
    """One row of a label file."""

    file_name: str
    labels: tuple[int, ...]
    """Label ids, ascending."""
    line: int
    """Line number in the file, from 1."""
    folder: str = ""
    """The scene by a column of its own, else the last folder of the image's path, where the file gives one."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the header says."""

    image: int
    """Position of the image names."""
    scene: int | None
    """Position of the scenes, where there is such a column."""
    labels: dict[int, int]
    """Label id by position."""


_Line = tuple[int, list[str]]


def read_label_file(path: Path) -> list[LabelRow]:
    """Read a scene's label file; see `parse_label_file`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path}: cannot be read ({error.strerror})", "Check the file.") from error
    return parse_label_file(content, str(path))


def parse_label_file(content: bytes, place: str) -> list[LabelRow]:
    """Read the content of a label file.

    Accepts any column order, with a column `scene` or without; UTF-8 and UTF-16; commas, semicolons, tabs and bars, and
    Excel's line `sep=`; LF and CRLF, and a missing final newline; 0 and 1, 0.0 and 1.0, False and True, with spaces
    around them; folders before the image names; a column of row numbers at the front, as pandas writes it, columns
    without name and content, and rows of empty cells. One blank header cell stands for the one label that is missing,
    as in `storage_tank.csv` of the 2020 release.

    Args:
        content: A table whose header holds `image` and the 60 labels, in canonical or published spelling.
        place: The file, for errors.

    Raises:
        ReleaseError: The file cannot be decoded, its header does not name every column once, or a row is short, long,
            repeated or holds a value that is not 0 or 1. The message names the file and the line.
    """
    lines = read_cells(content, place)
    line, header = next(lines, (1, []))
    filled = [(number, cells) for number, cells in lines if any(map(str.strip, cells))]
    columns = _columns(f"{place}, line {line}", header, [row for row in filled if len(row[1]) == len(header)])
    _refuse_other_lengths(place, len(header), filled)
    rows = _rows(place, columns, filled)
    _refuse_repeats(place, rows)
    return rows


def is_label_table(head: bytes) -> bool:
    """Return whether the first bytes of a file are the header of a label file, complete or not."""
    names = [name.strip().casefold() for name in header_cells(head)]
    return any(name in _IMAGE_COLUMNS for name in names) and 2 * sum(map(_is_label, names)) > len(LABELS)


def _is_label(name: str) -> bool:
    try:
        find_label(name)
    except UnknownNameError:
        return False
    return True


def rows_by_scene(rows: Sequence[LabelRow], place: str) -> dict[Scene, list[LabelRow]]:
    """Return the rows of a table of all scenes by scene, which the image's folder or name tells.

    Raises:
        ReleaseError: Neither tells it, or they tell different ones; the message names the file and the line.
    """
    found: dict[Scene, list[LabelRow]] = defaultdict(list)
    for row in rows:
        scene = named_scene(row.folder) or image_scene(row.file_name)
        if scene is None:
            raise ReleaseError(
                f"{place}, line {row.line}: neither the name {row.file_name!r} nor a folder before it begins with one "
                "of MLRSNet's 46 scenes",
                "Name the images as the release does, or put the folder of the scene before the name.",
            )
        refuse_other_scene(row, scene, place)
        found[scene].append(row)
    return dict(sorted(found.items(), key=lambda pair: pair[0].id))


def refuse_other_scene(row: LabelRow, scene: Scene, place: str) -> None:
    """Refuse a row whose folder or, where a folder is given, whose name is that of another scene."""
    folder = named_scene(row.folder)
    named = image_scene(row.file_name) if folder else None
    for other in (folder, named):
        if other and other is not scene:
            raise ReleaseError(
                f"{place}, line {row.line}: {row.folder}/{row.file_name} names the scene {other.name} beside "
                f"{scene.name}",
                "Correct the path in that row.",
            )


def _columns(where: str, header: Sequence[str], rows: Sequence[_Line]) -> _Columns:
    """Return what the header says, each label and the images named once."""
    names = [name.strip().casefold() for name in header]
    images = [position for position, name in enumerate(names) if name in _IMAGE_COLUMNS]
    if len(images) != 1:
        found = f"{len(images)} columns are" if images else "no column is"
        raise ReleaseError(f"{where}: {found} named {IMAGE_COLUMN!r}", "Restore the published header.")
    scenes = [position for position, name in enumerate(names) if name in _SCENE_COLUMNS][:1]
    unnamed = [position for position, name in enumerate(names) if _UNNAMED.fullmatch(name)]
    named = {
        position: _column_label(where, position + 1, name)
        for position, name in enumerate(header)
        if position not in (images[0], *scenes, *unnamed)
    }
    repeated = [LABELS[i].name for i, count in Counter(named.values()).items() if count > 1]
    if repeated:
        raise ReleaseError(f"{where}: label column {repeated[0]!r} occurs twice", "Remove one of the two columns.")
    missing = [label.id for label in LABELS if label.id not in named.values()]
    blanks = _without_row_numbers(_filled(unnamed, rows), rows, is_complete=not missing)
    if len(blanks) > 1 or len(blanks) != len(missing) or any(names[i] in _INDEX_NAMES for i in blanks):
        absent = ", ".join(repr(LABELS[i].name) for i in missing) or "none"
        raise ReleaseError(
            f"{where}: label columns missing: {absent}; blank header cells: {len(blanks)}",
            "Name every label once; only a single missing label may stand as a blank header cell.",
        )
    return _Columns(images[0], scenes[0] if scenes else None, {**named, **dict(zip(blanks, missing, strict=True))})


def _filled(columns: Sequence[int], rows: Sequence[_Line]) -> list[int]:
    """Return the columns without those that hold nothing in any row."""
    return [i for i in columns if not rows or any(cells[i].strip() for _, cells in rows)]


def _without_row_numbers(unnamed: Sequence[int], rows: Sequence[_Line], is_complete: bool) -> list[int]:
    """Return the columns without those of row numbers, which stand in front of all others.

    A column of zeros and ones can be both while a label is missing, and is no column of row numbers then.
    """
    kept = list(unnamed)
    for position in unnamed:
        values = [cells[position].strip() for _, cells in rows]
        are_numbers = all(value.isdecimal() for value in values) and len(set(values)) == len(values)
        if position != len(unnamed) - len(kept) or not are_numbers or not (is_complete or set(values) - {"0", "1"}):
            break
        kept.remove(position)
    return kept


def _column_label(where: str, position: int, name: str) -> int:
    try:
        return find_label(name).id
    except UnknownNameError as error:
        raise ReleaseError(f"{where}: unknown label column {name!r} (column {position})", error.remedy) from error


def _refuse_other_lengths(place: str, count: int, rows: Sequence[_Line]) -> None:
    for line, cells in rows:
        if len(cells) != count:
            raise ReleaseError(
                f"{place}, line {line}: {len(cells) - 1} label values where the header has {count - 1}",
                "The row is cut short or has stray commas; restore the published label file.",
            )


def _rows(place: str, columns: _Columns, lines: Sequence[_Line]) -> list[LabelRow]:
    """Read the rows; few combinations of values occur, so that each is parsed once."""
    rows: list[LabelRow] = []
    parsed: dict[str, tuple[int, ...]] = {}
    for line, cells in lines:
        folder, file_name = split_folder(cells[columns.image].strip())
        if not file_name:
            raise ReleaseError(f"{place}, line {line}: the image name is empty", "Name the image or delete the row.")
        if columns.scene is not None:
            folder = cells[columns.scene].strip()
            if not named_scene(folder):
                raise ReleaseError(f"{place}, line {line}: {folder!r} is not one of MLRSNet's 46 scenes", "Correct it.")
        values = [cells[position] for position in columns.labels]
        # No such separator can stand in a value of one combination and between two values of another.
        combination = "\x1f".join(values)
        labels = parsed.get(combination)
        if labels is None:
            labels = parsed[combination] = _labels(f"{place}, line {line}", values, columns.labels.values())
        rows.append(LabelRow(file_name, labels, line, folder))
    return rows


def _labels(where: str, values: Sequence[str], columns: Iterable[int]) -> tuple[int, ...]:
    found: list[int] = []
    for label_id, value in zip(columns, values, strict=True):
        plain = value.strip().casefold()
        number = _VALUE.fullmatch(_TRUTH.get(plain, plain))
        if not number:
            raise ReleaseError(f"{where}: label {LABELS[label_id].name!r} is {value!r}", "Label values are 0 or 1.")
        if number[1] == "1":
            found.append(label_id)
    return tuple(sorted(found))


def _refuse_repeats(place: str, rows: Sequence[LabelRow]) -> None:
    """Refuse two rows for one image; names match in any letter case and spelling."""
    first_line: dict[str, int] = {}
    for file_name, _, line, _ in rows:
        first = first_line.setdefault(image_id(file_name).casefold(), line)
        if first != line:
            raise ReleaseError(
                f"{place}, line {line}: {file_name} stands in line {first} already", "Delete one of the two rows."
            )
