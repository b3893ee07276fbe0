"""The ways in which datasets write labels, all brought to ids with names.

Of lists: of classes (`datasets.ClassLabel`), of names, of numbers, and of one 0 or 1 per label (multi-hot); text that
writes a list or has a separator counts as one. Names and numbers make a vocabulary of all that occur in any split, in
order. Of single values: classes, names and numbers.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import ClassLabel, Dataset, Value

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


Rows = Mapping[str, Sequence[Any]]
"""By split, one entry per row."""


@dataclass(frozen=True, slots=True)
class IdColumn:
    """A column of labels or scenes as ids."""

    names: tuple[str, ...]
    """In the order of the ids."""
    ids: Mapping[str, list]
    """By split: per row a list of label ids, or the id of a scene."""
    form: str
    """What the dataset holds, in words."""
    stored: bool
    """Whether the column holds these ids as it stands."""


def read_labels(splits: Mapping[str, Dataset], column: str, separator: str | None = None) -> IdColumn:
    """Return the label ids of each row.

    Args:
        splits: All have the column.
        column: Its name.
        separator: What stands between two names, if the column holds text.

    Raises:
        ConfigurationError: The column holds no lists of labels, or a row holds what is none of them.
    """
    feature = _common_feature(splits, column)
    kind = list_entry(feature)
    rows: dict[str, list] = {name: split[column][:] for name, split in splits.items()}
    if _is_text(feature):
        kind, rows = _read_texts(rows, column, separator)
    elif separator is not None:
        raise ConfigurationError(
            f"column {column!r} holds no text for label_separator={separator!r} to split", "Leave label_separator out."
        )
    if kind is None:
        raise ConfigurationError(
            f"column {column!r} holds no lists of labels but {_in_words(feature)}",
            f"Name another as labels_column, or, {_single_class(column)}",
        )
    _refuse_missing(rows, column, lists=True)
    if isinstance(kind, ClassLabel):
        _refuse_rows(rows, column, lambda row: any(not 0 <= i < kind.num_classes for i in row), _range(kind))
        return IdColumn(tuple(kind.names), rows, "lists of classes", stored=True)
    if kind == Value("bool") or _is_float(kind) or (_is_integer(kind) and _is_multi_hot(rows)):
        return _multi_hot(rows, column)
    if _is_text(kind):
        _refuse_rows(rows, column, lambda row: "" in row, "an empty name")
    elif _is_integer(kind):
        _refuse_rows(rows, column, lambda row: any(i < 0 for i in row), "a negative number")
    else:
        raise ConfigurationError(
            f"column {column!r} holds lists of {kind}", "Labels are classes, names, whole numbers, or one 0 or 1 each."
        )
    entries = {name: [entry for row in lists for entry in row] for name, lists in rows.items()}
    vocabulary = _vocabulary(entries)
    ids = {name: [[vocabulary[entry] for entry in row] for row in lists] for name, lists in rows.items()}
    form = "lists of names" if _is_text(kind) else "lists of numbers"
    form = form if separator is None else f"names with {separator!r} between them"
    return IdColumn(tuple(str(entry) for entry in vocabulary), ids, form, stored=False)


def read_scenes(splits: Mapping[str, Dataset], column: str) -> IdColumn:
    """Return the scene id of each row.

    Args:
        splits: All have the column.
        column: Its name.

    Raises:
        ConfigurationError: The column does not hold one class, name or number per row.
    """
    kind = _common_feature(splits, column)
    if not holds_scenes(kind):
        raise ConfigurationError(
            f"column {column!r} does not hold one class per image but {_in_words(kind)}",
            "Name a column of classes, names or whole numbers as scene_column.",
        )
    rows = {name: split[column][:] for name, split in splits.items()}
    _refuse_missing(rows, column, lists=False)
    if isinstance(kind, ClassLabel):
        _refuse_rows(rows, column, lambda row: not 0 <= row < kind.num_classes, _range(kind))
        return IdColumn(tuple(kind.names), rows, "classes", stored=True)
    if _is_text(kind):
        _refuse_rows(rows, column, lambda row: not row, "an empty name")
    else:
        _refuse_rows(rows, column, lambda row: row < 0, "a negative number")
    vocabulary = _vocabulary(rows)
    ids = {name: [vocabulary[entry] for entry in entries] for name, entries in rows.items()}
    return IdColumn(tuple(str(entry) for entry in vocabulary), ids, "names" if _is_text(kind) else "numbers", False)


def list_entry(feature: Any) -> Any:  # noqa: ANN401 - any feature of datasets
    """Return what the lists of a column hold; None if it holds no lists."""
    if isinstance(feature, list):  # as older versions of datasets write it
        return feature[0]
    return getattr(feature, "feature", None) if not isinstance(feature, ClassLabel | Value) else None


def holds_scenes(feature: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    """Return whether a column may hold one class per image."""
    return isinstance(feature, ClassLabel) or _is_text(feature) or _is_integer(feature)


def _common_feature(splits: Mapping[str, Dataset], column: str) -> Any:  # noqa: ANN401 - any feature of datasets
    features = {name: split.features[column] for name, split in splits.items()}
    first, *others = features
    for name in others:
        if features[name] != features[first]:
            raise ConfigurationError(
                f"column {column!r} differs between the splits {first} and {name}",
                "Give both the same type and the same classes with Dataset.cast_column.",
            )
    return features[first]


def _in_words(feature: Any) -> str:  # noqa: ANN401 - any feature of datasets
    return f"one of {feature.num_classes} classes each" if isinstance(feature, ClassLabel) else str(feature)


def _single_class(column: str) -> str:
    return f"if each image has one class, pass --labels-column none --scene-column {column} --single-label."


def _read_texts(texts: Texts, column: str, separator: str | None) -> tuple[Any, Lists]:
    """Return the lists that a column of text holds, and what they are lists of."""
    if separator is not None:
        return Value("string"), split_texts(texts, separator)
    if are_lists(texts):
        lists = read_lists(texts, column)
        return Value("string" if hold_text(lists) else "int64"), lists
    example = max((text for rows in texts.values() for text in rows if text), key=len, default="")
    likely = likely_separator(texts)
    if likely is None:
        remedy = f"Name another as labels_column, or, {_single_class(column)}"
    else:
        remedy = f"Pass --label-separator {likely!r} if that stands between two labels; {_single_class(column)}"
    raise ConfigurationError(f"column {column!r} holds no lists of labels but text, such as {example[:60]!r}", remedy)


def _multi_hot(rows: Rows, column: str) -> IdColumn:
    lengths = {len(row) for lists in rows.values() for row in lists}
    (length,) = lengths if len(lengths) == 1 else (-1,)
    _refuse_rows(
        rows, column, lambda row: length < 0 or any(entry not in (0, 1) for entry in row), "no 0 or 1 for each label"
    )
    ids = {name: [[i for i, entry in enumerate(row) if entry] for row in lists] for name, lists in rows.items()}
    return IdColumn(tuple(str(i) for i in range(length)), ids, "a 0 or 1 per label", stored=False)


def _is_multi_hot(rows: Rows) -> bool:
    """Return whether all lists are equally long and hold nothing but 0 and 1, one of them twice in some row.

    Lists of ids name none of them twice.
    """
    lists = [row for split in rows.values() for row in split]
    return (
        len({len(row) for row in lists}) == 1
        and all(set(row) <= {0, 1} for row in lists)
        and any(len(set(row)) < len(row) for row in lists)
    )


def _vocabulary(rows: Rows) -> dict[Any, int]:
    return {entry: i for i, entry in enumerate(sorted({entry for entries in rows.values() for entry in entries}))}


def _refuse_missing(rows: Rows, column: str, lists: bool) -> None:
    remedy = "an empty list says that an image has no label" if lists else "each image needs one"
    for split, row, value in _each(rows):
        if value is None or (isinstance(value, list) and None in value):
            raise ConfigurationError(
                f"split {split}, row {row}: column {column!r} has no value", f"Give one: {remedy}."
            )


def _refuse_rows(rows: Rows, column: str, is_wrong: Any, found: str) -> None:  # noqa: ANN401 - a predicate of a value
    for split, row, value in _each(rows):
        if is_wrong(value):
            shown = str(value) if len(str(value)) <= 60 else f"{str(value)[:60]} ..."
            raise ConfigurationError(
                f"split {split}, row {row}: column {column!r} holds {shown}, with {found}", "Mend or remove the row."
            )


def _each(rows: Rows) -> Iterator[tuple[str, int, Any]]:
    for split, values in rows.items():
        for row, value in enumerate(values):
            yield split, row, value


def _range(kind: ClassLabel) -> str:
    return f"a class outside 0 to {kind.num_classes - 1}"


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype in ("string", "large_string")


def _is_integer(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.lstrip("u").startswith("int")


def _is_float(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.startswith("float")
