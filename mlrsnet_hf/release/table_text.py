"""The cells of a table in text, in whichever encoding and with whichever separator a spreadsheet wrote them."""

import codecs
import csv
import io
from collections.abc import Iterator

from mlrsnet_hf.errors import ReleaseError
from mlrsnet_hf.release.archives.stand_ins import stand_in

SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods", ".numbers")

_RESTORE = "Restore the published label file."
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = "sep="
"""Excel takes what follows it in the first line for the separator, and writes such a line."""
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-32 begins like that of UTF-16."""


def read_cells(content: bytes, place: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line, from 1, and the cells of each row, the header first.

    Args:
        content: The file: UTF-8, or UTF-16 or UTF-32; separated by commas, semicolons, tabs or bars, whichever makes
            the most cells of the header, or by what Excel's line `sep=` says.
        place: The file, for errors.

    Raises:
        ReleaseError: It is no such text.
    """
    refuse_stand_in(content, place)
    try:
        yield from _rows(content.decode(_encoding(content)))
    except (UnicodeDecodeError, csv.Error, TypeError, ValueError) as error:
        raise ReleaseError(f"{place}: not a CSV in UTF-8 or UTF-16 ({error})", _RESTORE) from error


def header_cells(head: bytes) -> list[str]:
    """Return the cells of the header, given the first bytes of a table; nothing where they are none."""
    if not head or stand_in(head):
        return []
    try:
        return next(_rows(head.decode(_encoding(head), errors="replace")), (1, []))[1]
    except (csv.Error, TypeError, ValueError):
        return []


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    lines = io.StringIO(text, newline="")
    first = lines.readline()
    told = first.strip("\r\n").strip('"')
    before = int(told[:-1].casefold() == _SEPARATOR_LINE)
    if not before:
        lines.seek(0)
    separator = told[-1] if before else max(_SEPARATORS, key=lambda candidate: _cell_count(first, candidate))
    rows = csv.reader(lines, delimiter=separator, strict=True)
    for cells in rows:
        yield before + rows.line_num, cells


def refuse_stand_in(content: bytes, place: str) -> None:
    """Refuse what is no table at all: a pointer, a page, a spreadsheet's own format.

    Raises:
        ReleaseError: It is one of these; the message says which.
    """
    if not content:
        raise ReleaseError(f"{place}: empty file", _RESTORE)
    other = stand_in(content)
    if other:
        raise ReleaseError(f"{place}: {other[0]}", other[1])
    if content.startswith(_SPREADSHEETS):
        raise ReleaseError(f"{place}: a spreadsheet or ZIP file, not text", "Save the table as CSV.")


def _encoding(content: bytes) -> str:
    """Return the encoding by its mark; without one, UTF-16 shows by the empty half of its letters, which are ASCII."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked:
        return marked
    start = content[:64]
    if len(start) > 3 and not any(start[1::2]):
        return "utf-16-le"
    return "utf-16-be" if len(start) > 3 and not any(start[::2]) else "utf-8"


def _cell_count(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0
