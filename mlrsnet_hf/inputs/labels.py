"""The ways in which datasets write labels and scenes, all brought to ids with names.

Labels are lists: of classes (`datasets.ClassLabel`), of names, of numbers, or of one 0 or 1 per label (multi-hot); text
that writes a list or has a separator counts as one. Scenes are single classes, names or numbers. Names and numbers make
a vocabulary of all that occur in any split, in order.
"""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import ClassLabel, Dataset, Value

from mlrsnet_hf.errors import ConfigurationError

Values = Mapping[str, Sequence[Any]]
"""Values of a column by split, one per row."""

_SEPARATORS = ("|", ";", ",", " ")
"""What may stand between two names; the first that occurs is the likely one, for the later ones stand in names too."""


@dataclass(frozen=True, slots=True)
class IdColumn:
    """A column of labels or scenes as ids."""

    names: tuple[str, ...]
    """Names in the order of the ids."""
    ids: Mapping[str, list]
    """Per split and row a list of label ids, or the id of a scene."""
    form: str
    """What the dataset holds, in words."""
    stored: bool
    """Whether the column holds these ids as it stands."""


def read_labels(splits: Mapping[str, Dataset], column: str, separator: str | None = None) -> IdColumn:
    """Return the label ids of each row; the separator stands between two names, if the column holds text.

    Raises:
        ConfigurationError: The column holds no lists of labels, or a row holds what is none of them.
    """
    feature = _common_feature(splits, column)
    kind = list_entry(feature)
    values: dict[str, list] = {name: split[column][:] for name, split in splits.items()}
    if _is_text(feature):
        kind, values = _read_texts(values, column, separator)
    elif separator is not None:
        raise ConfigurationError(
            f"column {column!r} holds no text for label_separator={separator!r} to split", "Leave label_separator out."
        )
    if kind is None:
        raise ConfigurationError(
            f"column {column!r} holds no lists of labels but {_in_words(feature)}",
            f"Name another as labels_column, or, {_single_class(column)}",
        )
    _refuse_missing(values, column, "an empty list says that an image has no label")
    if isinstance(kind, ClassLabel):
        _refuse(values, column, lambda row: any(not 0 <= i < kind.num_classes for i in row), _range(kind))
        return IdColumn(tuple(kind.names), values, "lists of classes", stored=True)
    if kind == Value("bool") or _is_float(kind) or (_is_integer(kind) and _is_multi_hot(values)):
        return _read_multi_hot(values, column)
    if _is_text(kind):
        _refuse(values, column, lambda row: "" in row, "an empty name")
    elif _is_integer(kind):
        _refuse(values, column, lambda row: any(i < 0 for i in row), "a negative number")
    else:
        raise ConfigurationError(
            f"column {column!r} holds lists of {kind}", "Labels are classes, names, whole numbers, or one 0 or 1 each."
        )
    vocabulary = _vocabulary(entry for rows in values.values() for row in rows for entry in row)
    ids = {name: [[vocabulary[entry] for entry in row] for row in rows] for name, rows in values.items()}
    form = "lists of names" if _is_text(kind) else "lists of numbers"
    form = form if separator is None else f"names with {separator!r} between them"
    return IdColumn(tuple(map(str, vocabulary)), ids, form, stored=False)


def read_scenes(splits: Mapping[str, Dataset], column: str) -> IdColumn:
    """Return the scene id of each row.

    Raises:
        ConfigurationError: The column does not hold one class, name or number per row.
    """
    kind = _common_feature(splits, column)
    if not holds_scenes(kind):
        raise ConfigurationError(
            f"column {column!r} does not hold one class per image but {_in_words(kind)}",
            "Name a column of classes, names or whole numbers as scene_column.",
        )
    values = {name: split[column][:] for name, split in splits.items()}
    _refuse_missing(values, column, "each image needs one")
    if isinstance(kind, ClassLabel):
        _refuse(values, column, lambda value: not 0 <= value < kind.num_classes, _range(kind))
        return IdColumn(tuple(kind.names), values, "classes", stored=True)
    if _is_text(kind):
        _refuse(values, column, lambda value: not value, "an empty name")
    else:
        _refuse(values, column, lambda value: value < 0, "a negative number")
    vocabulary = _vocabulary(value for rows in values.values() for value in rows)
    ids = {name: [vocabulary[value] for value in rows] for name, rows in values.items()}
    return IdColumn(tuple(map(str, vocabulary)), ids, "names" if _is_text(kind) else "numbers", stored=False)


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


def _read_texts(values: Values, column: str, separator: str | None) -> tuple[Any, dict[str, list]]:
    """Return what the lists are of that a column of text holds, and the lists."""
    if separator is not None:
        return Value("string"), {
            name: [None if text is None else _split_text(text, separator) for text in texts]
            for name, texts in values.items()
        }
    known = [text.strip() for texts in values.values() for text in texts if text is not None]
    # The brackets of lists, as pandas writes them into a CSV file.
    if known and all(text.startswith("[") and text.endswith("]") for text in known):
        return _read_written_lists(values, column)
    likely = next((mark for mark in _SEPARATORS if any(mark in text for text in known)), None)
    if likely is None:
        remedy = f"Name another as labels_column, or, {_single_class(column)}"
    else:
        remedy = f"Pass --label-separator {likely!r} if that stands between two labels; {_single_class(column)}"
    example = max((text for texts in values.values() for text in texts if text), key=len, default="")
    raise ConfigurationError(f"column {column!r} holds no lists of labels but text, such as {example[:60]!r}", remedy)


def _split_text(text: str, separator: str) -> list[str]:
    """Return the names in a text.

    Examples:
        >>> _split_text("sea; bare soil;", ";"), _split_text(" ", ";")
        (['sea', 'bare soil'], [])
    """
    return [name for name in map(str.strip, text.split(separator)) if name]


def _read_written_lists(values: Values, column: str) -> tuple[Value, dict[str, list]]:
    """Return the lists that texts write: all of names, or all of whole numbers."""
    lists: dict[str, list] = {name: [] for name in values}
    kinds: set[type] = set()
    for name, row, text in _each(values):
        written = None if text is None else _read_list(text)
        kinds |= {type(entry) for entry in written or ()}
        if text is not None and (written is None or not (kinds <= {str} or kinds <= {int})):
            raise ConfigurationError(
                f"split {name}, row {row}: column {column!r} holds {text[:60]!r}, "
                "no list of names or of numbers, as other rows do",
                "Mend the row.",
            )
        lists[name].append(written)
    return Value("int64" if kinds == {int} else "string"), lists


def _read_list(text: str) -> list | None:
    """Return the list that a text writes in JSON's or in Python's way; None if it writes none.

    Examples:
        >>> _read_list('["sea"]'), _read_list("['sea', 'sand']"), _read_list("[]"), _read_list("[f()]")
        (['sea'], ['sea', 'sand'], [], None)
    """
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else None
    return None


def _read_multi_hot(values: Values, column: str) -> IdColumn:
    lengths = {len(row) for rows in values.values() for row in rows}
    (length,) = lengths if len(lengths) == 1 else (-1,)
    _refuse(
        values, column, lambda row: length < 0 or any(entry not in (0, 1) for entry in row), "no 0 or 1 for each label"
    )
    ids = {name: [[i for i, entry in enumerate(row) if entry] for row in rows] for name, rows in values.items()}
    return IdColumn(tuple(map(str, range(length))), ids, "a 0 or 1 per label", stored=False)


def _is_multi_hot(values: Values) -> bool:
    """Return whether all lists are equally long and hold nothing but 0 and 1, one of them twice in some row.

    Lists of ids name none of them twice.
    """
    lists = [row for rows in values.values() for row in rows]
    return (
        len({len(row) for row in lists}) == 1
        and all(set(row) <= {0, 1} for row in lists)
        and any(len(set(row)) < len(row) for row in lists)
    )


def _vocabulary(entries: Iterator[Any]) -> dict[Any, int]:
    return {entry: i for i, entry in enumerate(sorted(set(entries)))}


def _refuse_missing(values: Values, column: str, remedy: str) -> None:
    for name, row, value in _each(values):
        if value is None or (isinstance(value, list) and None in value):
            raise ConfigurationError(f"split {name}, row {row}: column {column!r} has no value", f"Give one: {remedy}.")


def _refuse(values: Values, column: str, is_wrong: Callable[[Any], bool], found: str) -> None:
    for name, row, value in _each(values):
        if is_wrong(value):
            shown = str(value) if len(str(value)) <= 60 else f"{str(value)[:60]} ..."
            raise ConfigurationError(
                f"split {name}, row {row}: column {column!r} holds {shown}, with {found}", "Mend or remove the row."
            )


def _each(values: Values) -> Iterator[tuple[str, int, Any]]:
    for name, rows in values.items():
        for row, value in enumerate(rows):
            yield name, row, value


def _in_words(feature: Any) -> str:  # noqa: ANN401 - any feature of datasets
    return f"one of {feature.num_classes} classes each" if isinstance(feature, ClassLabel) else str(feature)


def _single_class(column: str) -> str:
    return f"if each image has one class, pass --labels-column none --scene-column {column} --single-label."


def _range(kind: ClassLabel) -> str:
    return f"a class outside 0 to {kind.num_classes - 1}"


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype in ("string", "large_string")


def _is_integer(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.lstrip("u").startswith("int")


def _is_float(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.startswith("float")
