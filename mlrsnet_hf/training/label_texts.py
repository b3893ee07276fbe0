"""Labels of an image written as one text, as tables without lists (CSV) hold them."""

import ast
import json
from collections.abc import Mapping, Sequence

from mlrsnet_hf.errors import ConfigurationError

Texts = Mapping[str, Sequence[str | None]]
"""By split, one per row; null where nothing is known."""
Lists = dict[str, list[list | None]]

_SEPARATORS = ("|", ";", ",", " ")
"""What may stand between two names; the first that occurs is the likely one, for the later ones stand in names too."""


def split_texts(texts: Texts, separator: str) -> Lists:
    """Return the names in each text, without the space around them.

    Examples:
        >>> split_texts({"train": ["sea; bare soil", ";", None]}, ";")
        {'train': [['sea', 'bare soil'], [], None]}
    """
    return {
        split: [None if text is None else _parts(text, separator) for text in rows] for split, rows in texts.items()
    }


def are_lists(texts: Texts) -> bool:
    """Tell whether every text has the brackets of a list, as pandas writes one into a CSV file."""
    known = [text.strip() for rows in texts.values() for text in rows if text is not None]
    return bool(known) and all(text.startswith("[") and text.endswith("]") for text in known)


def read_lists(texts: Texts, column: str) -> Lists:
    """Return the lists that the texts write, in JSON's or in Python's way.

    Examples:
        >>> read_lists({"train": ['["sea"]', "['sea', 'sand']", "[]"]}, "labels")
        {'train': [['sea'], ['sea', 'sand'], []]}

    Raises:
        ConfigurationError: A text is no list, or its entries are not all names or all whole numbers, as those before.
    """
    lists: Lists = {split: [] for split in texts}
    kinds: set[type] = set()
    for split, rows in texts.items():
        for row, text in enumerate(rows):
            found = None if text is None else _list(text)
            kinds |= {type(entry) for entry in found or ()}
            if text is not None and (found is None or not (kinds <= {str} or kinds <= {int})):
                raise ConfigurationError(
                    f"split {split}, row {row}: column {column!r} holds {text[:60]!r}, "
                    "no list of names or of numbers, as other rows do",
                    "Mend the row.",
                )
            lists[split].append(found)
    return lists


def hold_text(lists: Lists) -> bool:
    """Tell whether the entries of lists are names, or there are none."""
    entries = [entry for rows in lists.values() for row in rows for entry in row or ()]
    return not entries or isinstance(entries[0], str)


def likely_separator(texts: Texts) -> str | None:
    """Return what probably stands between two names; None if each text seems to be one name."""
    known = [text.strip() for rows in texts.values() for text in rows if text is not None]
    return next((mark for mark in _SEPARATORS if any(mark in text for text in known)), None)


def _parts(text: str, separator: str) -> list[str]:
    return [part for part in map(str.strip, text.split(separator)) if part]


def _list(text: str) -> list | None:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else None
    return None
