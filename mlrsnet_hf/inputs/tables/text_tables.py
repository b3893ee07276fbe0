"""Tables of text: comma, semicolon, tab or space between the cells, as programs and people write them.

A cell is never taken for missing by its word: `NA` and `None` may be names. A column of numbers is the exception, since
they cannot be numbers.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Value

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.image_files import has_image_suffix
from mlrsnet_hf.release.archives.stand_ins import stand_in

_SEPARATORS = ("\t", ";", ",", "|", " ")
"""In the order of trust: the later ones stand in names too."""
_NAMES = {"\t": "a tab", " ": "a space"}
_NOT_A_NUMBER = frozenset(("na", "n/a", "nan", "null", "none", "-", "?"))
"""What stands in columns of numbers where there is none."""
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WITH_COMMA = re.compile(r"[+-]?\d+,0+")
"""A whole number as spreadsheets of some countries write it; other commas may stand between numbers."""
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_LONGEST_NAME = 200
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
}
"""What begins so is no text, whatever its name says."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """The cells of a file, stripped of spaces around them."""

    path: Path
    columns: Mapping[str, list[str]]
    """Cells by the name in the header; an empty one says nothing."""


def read_text_table(path: Path) -> TextTable:
    """Read a file whose first line names the columns.

    The separator is found by itself, from tab, semicolon, comma, bar and space. A byte order mark, UTF-16, spaces
    around cells, a line `sep=;`, empty lines, and surplus separators at the end of all lines are taken as they come. A
    column without a name is called `Unnamed: N`, as pandas calls it.

    Raises:
        ConfigurationError: It is no text, its header names no columns or one twice, or a row is shorter or longer.
    """
    lines = list(io.StringIO(read_text(path), newline=""))
    separator = None
    if lines and (told := re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\r\n"))):
        separator, lines = told[1], lines[1:]
    if separator is None:
        separator = _find_separator(lines)
    try:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise ConfigurationError(f"{path}: not a table ({error})", "Write it anew as CSV in UTF-8.") from error
    numbered = [(line, row) for line, row in numbered if any(row)]
    if len(numbered) < 2:
        raise ConfigurationError(
            f"{path}: {'one line' if numbered else 'empty'}, where a header and a row for each image belong",
            "Give a table with rows.",
        )
    (_, header), *rows = numbered
    header = _checked_header(path, header, max(len(row) for _, row in rows))
    for line, row in rows:
        if len(row) < len(header) or any(row[len(header) :]):
            raise ConfigurationError(
                f"{path}, line {line}: {len(row)} cells, but the header has {len(header)} "
                f"(separator: {_NAMES.get(separator, repr(separator))})",
                "Mend the line; a cell that holds the separator belongs in quotation marks.",
            )
    columns = {name: [row[i] for _, row in rows] for i, name in enumerate(header)}
    # What surplus separators make.
    return TextTable(path, {n: cells for n, cells in columns.items() if any(cells) or not n.startswith("Unnamed: ")})


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8 or UTF-16, packed by gzip or not, without its byte order mark.

    Raises:
        ConfigurationError: It is no text.
    """
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz" or content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})", "Check the file."
        ) from error
    if other := stand_in(content):
        raise ConfigurationError(f"{path}: {other[0]}", other[1])
    foreign = next((kind for mark, kind in _FOREIGN.items() if content.startswith(mark)), None)
    if foreign is not None:
        raise ConfigurationError(f"{path}: not text but {foreign}", "Give the table as CSV, or under its own suffix.")
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: not text in UTF-8 (byte {error.start})", "Save it as UTF-8, such as Excel's 'CSV UTF-8'."
        ) from error
    if "\0" in text:
        raise ConfigurationError(f"{path}: not text, it holds zero bytes", "Give the table as CSV in UTF-8.")
    return text


def _find_separator(lines: Sequence[str]) -> str:
    """Return the first separator that splits the header, and all lines into as many cells, or else the header."""
    splitting = []
    for separator in _SEPARATORS:
        try:
            # Of a large table the start tells; a row may go over several lines.
            rows = [row for row in csv.reader(lines[:1000], delimiter=separator, skipinitialspace=True) if any(row)]
        except csv.Error:
            continue
        if not rows or len(rows[0]) < 2:
            continue
        complete = rows[:-1] if len(lines) > 1000 else rows
        if all(len(row) == len(rows[0]) for row in complete):
            return separator
        splitting.append(separator)
    # A space in the only name of a column splits nothing.
    return next((separator for separator in splitting if separator != " "), ",")


def _checked_header(path: Path, header: Sequence[str], longest: int) -> list[str]:
    """Return the names of the columns, without surplus separators that no row has."""
    if not any(header[longest:]):
        header = header[:longest]
    names = [name or f"Unnamed: {i}" for i, name in enumerate(header)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if has_image_suffix(names[0]) or (twice is not None and _NUMBER.fullmatch(twice)):
        raise ConfigurationError(
            f"{path}: the first line, {', '.join(header)[:80]!r}, names no columns", "Put a line above that does."
        )
    require_short_names(path, names)
    if twice is not None:
        raise ConfigurationError(f"{path}: two columns are named {twice!r}", "Give each a name of its own.")
    return names


def require_short_names(path: Path, names: Collection[str]) -> None:
    """Refuse names of columns that are none, as damaged files have them.

    Raises:
        ConfigurationError: One is longer than names are.
    """
    longest = max(names, key=len, default="")
    if len(longest) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{path}: a column has a name of {len(longest):,} characters, {longest[:60]!r} and so on",
            "Give a table whose columns have names.",
        )


def typed(tables: Mapping[str, Sequence[TextTable]], as_text: Collection[str]) -> dict[str, list[Dataset]]:
    """Return each table with whole numbers, numbers, booleans or text in its columns, the same type in all tables.

    Text is kept as it is; an empty cell is null. Numbers with leading zeros are text.

    Args:
        tables: By split.
        as_text: Columns that are text whatever they hold.

    Raises:
        ConfigurationError: Two tables have different columns.
    """
    every = [table for part in tables.values() for table in part]
    names = list(every[0].columns)
    for table in every:
        # A test split often comes without labels; in one split all rows have all columns.
        names += [name for name in table.columns if name not in names]
    for part in tables.values():
        for table in part:
            if set(table.columns) != set(part[0].columns):
                odd = sorted(set(table.columns) ^ set(part[0].columns))
                raise ConfigurationError(
                    f"{table.path} and {part[0].path} differ in columns: {', '.join(odd)[:200]}",
                    "Give the tables of a split the same columns.",
                )
    kinds = {
        name: "string" if name in as_text else _kind([t.columns[name] for t in every if name in t.columns])
        for name in names
    }
    return {split: [_dataset(table, kinds) for table in part] for split, part in tables.items()}


def _kind(cells: Sequence[Sequence[str]]) -> str:
    """Return the type of all cells that say something."""
    found = {cell for part in cells for cell in part if cell}
    if found and {cell.casefold() for cell in found} <= {"true", "false"}:
        return "bool"
    numbers = {cell for cell in found if cell.casefold() not in _NOT_A_NUMBER}
    if numbers and all(_WITH_COMMA.fullmatch(cell) for cell in numbers):
        return "float64"
    if not numbers or any(_LEADING_ZERO.match(cell) for cell in numbers):
        return "string"
    if all(_INTEGER.fullmatch(cell) for cell in numbers):
        return "int64"
    return "float64" if all(_NUMBER.fullmatch(cell) for cell in numbers) else "string"


def _dataset(table: TextTable, kinds: Mapping[str, str]) -> Dataset:
    columns = {name: [_value(cell, kinds[name]) for cell in cells] for name, cells in table.columns.items()}
    return Dataset.from_dict(columns, features=Features({name: Value(kinds[name]) for name in columns}))


def _value(cell: str, kind: str) -> Any:  # noqa: ANN401 - a value of the kind
    if not cell or (kind in ("int64", "float64") and cell.casefold() in _NOT_A_NUMBER):
        return None
    if kind == "bool":
        return cell.casefold() == "true"
    return float(cell.replace(",", ".")) if kind == "float64" else {"string": str, "int64": int}[kind](cell)
