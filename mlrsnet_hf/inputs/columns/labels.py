"""The ways in which datasets write labels and scenes, all brought to ids with names.

Labels are lists: of classes (`datasets.ClassLabel`), of names, of numbers, or of one 0 or 1 per label (multi-hot); text
that writes a list or has a separator counts as one. Or each label has a column of 0 and 1. Scenes are single classes,
names or numbers. Names and numbers make a vocabulary of all that occur in any split, in order.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Value

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.columns.label_values import apply_rules, read_label_columns
from mlrsnet_hf.inputs.columns.written_labels import read_texts, single_class
from mlrsnet_hf.inputs.config import REFUSE, LabelForm, ValueRules
from mlrsnet_hf.inputs.tables.column_choice import label_columns_option, likely_labels

Values = Mapping[str, Sequence[Any]]
"""Values of a column by split, one per row."""


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
    unknown: Mapping[str, list] | None = None
    """Per split and row the ids of labels of which nothing is known; None if all are known of all."""


def read_labels(
    splits: Mapping[str, Dataset],
    column: str,
    separator: str | None = None,
    form: LabelForm | None = None,
    rules: ValueRules = REFUSE,
) -> IdColumn:
    """Return the label ids of each row.

    Args:
        splits: Rows by split.
        column: Holds the labels.
        separator: Stands between two names, if the column holds text.
        form: What lists of whole numbers are; None finds it out.
        rules: What counts as negative that says nothing: an empty row, and in lists of 0 and 1 the values beside them.

    Raises:
        ConfigurationError: The column holds no lists of labels, a row holds what is none of them, or lists of whole
            numbers may be read in two ways.
    """
    feature = _common_feature(splits, column)
    kind = list_entry(feature)
    values: dict[str, list] = {name: split[column][:] for name, split in splits.items()}
    if _is_text(feature):
        kind, values = read_texts(values, column, separator)
    elif separator is not None:
        raise ConfigurationError(
            f"column {column!r} holds no text for label_separator={separator!r} to split", "Leave label_separator out."
        )
    if kind is None:
        raise ConfigurationError(
            f"column {column!r} holds no lists of labels but {_in_words(feature)}",
            _column_per_label(splits) or f"Name another as labels_column, or, {single_class(column)}",
        )
    if rules.missing == "negative":
        values = {name: [[] if row is None else row for row in rows] for name, rows in values.items()}
    is_vector = kind == Value("bool") or _is_float(kind)
    if is_vector or (_is_integer(kind) and (form or _integer_form(values, column)) == "vector"):
        return _read_vectors(values, column, rules)
    _refuse_missing(values, column, "an empty list says that an image has no label")
    if isinstance(kind, ClassLabel):
        _refuse(values, column, lambda row: any(not 0 <= i < kind.num_classes for i in row), _range(kind))
        return IdColumn(tuple(kind.names), values, "lists of classes", stored=rules.missing != "negative")
    if _is_text(kind):
        values = {name: [[entry.strip() for entry in row] for row in rows] for name, rows in values.items()}
        _refuse(values, column, lambda row: "" in row, "an empty name")
    elif _is_integer(kind):
        _refuse(values, column, lambda row: any(i < 0 for i in row), "a negative number")
    else:
        raise ConfigurationError(
            f"column {column!r} holds lists of {kind}", "Labels are classes, names, whole numbers, or one 0 or 1 each."
        )
    vocabulary = _vocabulary(entry for rows in values.values() for row in rows for entry in row)
    ids = {name: [[vocabulary[entry] for entry in dict.fromkeys(row)] for row in rows] for name, rows in values.items()}
    words = "lists of names" if _is_text(kind) else "lists of numbers"
    words = words if separator is None else f"names with {separator!r} between them"
    return IdColumn(tuple(map(str, vocabulary)), ids, words, stored=False)


def read_binary_labels(splits: Mapping[str, Dataset], columns: Sequence[str], rules: ValueRules) -> IdColumn:
    """Return the label ids of each row, where each label has a column of its own, whose name is its name.

    Raises:
        ConfigurationError: See `read_label_columns`; or two columns are one label but for spaces.
    """
    names = tuple(name.strip() for name in columns)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or "" in names:
        raise ConfigurationError(f"two columns are the label {twice!r}", "Name each label once.")
    found = read_label_columns(splits, columns, rules)
    return IdColumn(names, found.present, "a column of 0 and 1 each", stored=False, unknown=found.unknown)


def near_equal_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of names that differ in case, spaces, hyphens, underscores or the form of letters alone.

    Examples:
        >>> near_equal_names(["Water", "bare soil", "water", "bare-soil", "sand"])
        [('Water', 'water'), ('bare soil', 'bare-soil')]
    """
    spelled: dict[str, str] = {}
    pairs = []
    for name in names:
        first = spelled.setdefault(plain_name(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def plain_name(name: str) -> str:
    """Return a name without case, spaces, hyphens, underscores and forms of letters.

    Examples:
        >>> plain_name("Bare_soil"), plain_name("bare-soil")
        ('baresoil', 'baresoil')
    """
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())


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


def _column_per_label(splits: Mapping[str, Dataset]) -> str | None:
    """Return the way out where columns of 0 and 1 are labels."""
    columns = likely_labels(next(iter(splits.values())))
    return f"If each label has a column, pass {label_columns_option(columns)}." if columns else None


def _read_vectors(values: Values, column: str, rules: ValueRules) -> IdColumn:
    """Return the labels of lists that hold one 0 or 1, and perhaps -1 or nothing, for each."""
    lengths = {len(row) for rows in values.values() for row in rows or () if row}
    (length,) = lengths if len(lengths) == 1 else (-1,)
    if rules.missing == "negative":
        values = {name: [row or [0] * length for row in rows] for name, rows in values.items()}
    _refuse(
        values,
        column,
        lambda row: row is None or len(row) != length or any(entry not in (0, 1, -1, None) for entry in row),
        "no 0 or 1 for each label",
    )
    names = tuple(map(str, range(length)))
    arrays = {name: np.array(rows, np.float64).reshape(len(rows), length) for name, rows in values.items()}
    found = apply_rules(arrays, rules, [f"label {name}" for name in names])
    return IdColumn(names, found.present, "a 0 or 1 per label", stored=False, unknown=found.unknown)


def _integer_form(values: Values, column: str) -> LabelForm:
    """Return what lists of whole numbers are; lists of ids name none of them twice.

    Raises:
        ConfigurationError: They may be both, or are neither.
    """
    rows = [(name, number, row) for name, number, row in _each(values) if row]
    entries = {entry for _, _, row in rows for entry in row}
    if not entries or not entries <= {0, 1, -1, None}:
        return "ids"
    lengths = {len(row) for rows in values.values() for row in rows if row is not None}
    repeating = [(name, number, row) for name, number, row in rows if len(set(row)) < len(row)]
    if len(lengths) > 1 and repeating:
        split, number, row = repeating[0]
        short = next(where for where in _each(values) if where[2] is not None and len(where[2]) != len(row))
        raise ConfigurationError(
            f"column {column!r} holds lists of 0 and 1 of unequal length: {str(row)[:60]} in row {number} of split "
            f"{split}, {str(short[2])[:60]} in row {short[1]} of split {short[0]}",
            "Give each image one 0 or 1 for each label, or the ids of its labels, none twice.",
        )
    if len(lengths) > 1 or entries == {-1}:
        return "ids"
    if not repeating and len(rows[0][2]) < 3:
        raise ConfigurationError(
            f"column {column!r} holds {rows[0][2]} and the like, which may be ids of labels or a 0 or 1 per label",
            "Say which: --label-form vector, or --label-form ids.",
        )
    return "vector"


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


def _range(kind: ClassLabel) -> str:
    return f"a class outside 0 to {kind.num_classes - 1}"


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype in ("string", "large_string")


def _is_integer(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.lstrip("u").startswith("int")


def _is_float(kind: Any) -> bool:  # noqa: ANN401 - any feature of datasets
    return isinstance(kind, Value) and kind.dtype.startswith("float")
