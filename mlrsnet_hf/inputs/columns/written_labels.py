"""Labels that a cell of text holds: lists as JSON, Python and NumPy write them, or names with a separator between."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Value

from mlrsnet_hf.errors import ConfigurationError

_SEPARATORS = ("|", ";", ",", " ")
"""What may stand between two names; the first that occurs is the likely one, for the later ones stand in names too."""
_ENTRY = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|True|False|None"""
_ENTRIES = re.compile(_ENTRY, re.DOTALL)
_LIST = re.compile(rf"\[\s*(?:(?:{_ENTRY})(?:(?:\s*,\s*(?:{_ENTRY}))*\s*,?|(?:\s+(?:{_ENTRY}))*)\s*)?\]", re.DOTALL)
"""With commas between all entries, or, as NumPy writes arrays, with spaces between all. Python itself takes the strings
of such a list for one."""


_BRACKETS = re.compile(r"(array|Index)?(\[.*\]|\(.*\)|\{.*\})", re.DOTALL)


def read_texts(
    values: Mapping[str, Sequence[str | None]], column: str, separator: str | None
) -> tuple[Any, dict[str, list]]:
    """Return what the lists are of that a column of text holds, and the lists; None stays None.

    Args:
        values: Texts by split.
        column: Its name, for errors.
        separator: What stands between two names; None for lists.

    Raises:
        ConfigurationError: The texts write no lists, or lists of several kinds.
    """
    texts = [text.strip() for part in values.values() for text in part if text is not None]
    # The brackets of lists, as pandas and NumPy write them into a CSV file; and those of tuples and sets.
    are_lists = any(texts) and all(_BRACKETS.fullmatch(text) for text in texts if text)
    if separator is not None:
        if are_lists:
            raise ConfigurationError(
                f"column {column!r} writes lists, such as {texts[0][:60]!r}, which label_separator={separator!r} would "
                "cut",
                "Leave label_separator out.",
            )
        return _split_texts(values, separator)
    if are_lists:
        return _read_lists(values, column)
    likely = next((mark for mark in _SEPARATORS if any(mark in text for text in texts)), None)
    if likely is None:
        remedy = f"Name another as labels_column, or, {single_class(column)}"
    else:
        remedy = f"Pass --label-separator {likely!r} if that stands between two labels; {single_class(column)}"
    example = max((text for part in values.values() for text in part if text), key=len, default="")
    raise ConfigurationError(f"column {column!r} holds no lists of labels but text, such as {example[:60]!r}", remedy)


def single_class(column: str) -> str:
    """Return the way out for a column of single classes."""
    return f"if each image has one class, pass --labels-column none --scene-column {column} --single-label."


def _split_texts(values: Mapping[str, Sequence[str | None]], separator: str) -> tuple[Value, dict[str, list]]:
    """Return the names between separators; where all are 0 or 1, the numbers."""
    lists: dict[str, list] = {
        split: [None if text is None else split_text(text, separator) for text in texts]
        for split, texts in values.items()
    }
    found = {name for rows in lists.values() for row in rows for name in row or ()}
    if not found or not found <= {"0", "1"}:
        return Value("string"), lists
    numbers = {split: [row and [int(name) for name in row] for row in rows] for split, rows in lists.items()}
    return Value("int64"), numbers


def split_text(text: str, separator: str) -> list[str]:
    """Return the names in a text.

    Examples:
        >>> split_text("sea; bare soil;", ";"), split_text(" ", ";")
        (['sea', 'bare soil'], [])
    """
    return [name for name in map(str.strip, text.split(separator)) if name]


def _read_lists(values: Mapping[str, Sequence[str | None]], column: str) -> tuple[Value, dict[str, list]]:
    """Return the lists that texts write: all of names, of whole numbers, of numbers, or of truth values."""
    lists: dict[str, list] = {name: [] for name in values}
    kinds: set[type] = set()
    for name, texts in values.items():
        for row, text in enumerate(texts):
            written = None if text is None else [] if not text.strip() else read_list(text)
            kinds |= {type(entry) for entry in written or () if entry is not None}
            is_mixed = len(kinds - {int} if float in kinds else kinds) > 1 or not kinds <= {str, int, float, bool}
            if (text is not None and written is None) or is_mixed:
                raise ConfigurationError(
                    f"split {name}, row {row}: column {column!r} holds {text and text[:60]!r}, "
                    "no list of names or of numbers, as other rows do",
                    "Write it as a JSON list, such as " + ("[4, 6]." if kinds & {int, float} else '["sea", "sand"].'),
                )
            lists[name].append(written)
    kind = "float64" if float in kinds else "int64" if int in kinds else "bool" if bool in kinds else "string"
    return Value(kind), lists


def read_list(text: str) -> list | None:
    """Return the list that a text writes in JSON's, Python's or NumPy's way; None if it writes none.

    Examples:
        >>> read_list('["sea"]'), read_list("['sea', 'sand']"), read_list("['sea' 'sand']"), read_list("[4 6]")
        (['sea'], ['sea', 'sand'], ['sea', 'sand'], [4, 6])
        >>> read_list("('sea', 'sand')"), read_list("{'sea'}"), read_list("array(['sea'])"), read_list('{"sea": 1}')
        (['sea', 'sand'], ['sea'], None, None)
        >>> read_list("[]"), read_list("[f()]"), read_list("['sea' 'sand', 'ice']"), read_list("[0 1 ... 0]")
        ([], None, None, None)
    """
    text = text.strip()
    if text[:1] + text[-1:] in ("()", "{}"):
        text = f"[{text[1:-1]}]"
    try:
        found = json.loads(text)
        return found if isinstance(found, list) else None
    except (ValueError, RecursionError):
        pass
    if not _LIST.fullmatch(text):
        return None
    try:
        return [ast.literal_eval(entry.lstrip("+")) for entry in _ENTRIES.findall(text)]
    except (ValueError, SyntaxError):  # such as 007
        return None
