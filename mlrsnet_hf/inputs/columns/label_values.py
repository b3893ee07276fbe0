"""Labels as a value for each image and label: 1 there, 0 not there, -1 uncertain, nothing where it is not stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import ValueRules

_WORDS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y"), 1.0),
    **dict.fromkeys(("0", "0.0", "false", "no", "n"), 0.0),
    **dict.fromkeys(("-1", "-1.0"), -1.0),
    **dict.fromkeys(("", "nan", "na", "n/a", "null", "none"), np.nan),
}
"""What text says of a label, in whatever case."""


@dataclass(frozen=True, slots=True)
class LabelIds:
    """Per split and row, ids of labels."""

    present: Mapping[str, list[list[int]]]
    unknown: Mapping[str, list[list[int]]] | None
    """Labels of which nothing is known, and which count in no loss and no score; None if all are known of all."""


def read_label_columns(splits: Mapping[str, Dataset], columns: Sequence[str], rules: ValueRules) -> LabelIds:
    """Return the labels of a column each: numbers, booleans, or text that says 0, 1, -1, yes, no, true or false.

    Raises:
        ConfigurationError: A column is missing or holds another value; a value says neither yes nor no, and the rules
            refuse it.
    """
    values = {}
    for name, split in splits.items():
        for column in columns:
            if column not in split.column_names:
                raise ConfigurationError(
                    f"the {name} split has no column {column!r}, a label of the other splits",
                    f"Add it, or name another split as {name}_split.",
                )
        values[name] = np.stack([_numbers(split[column][:], name, column) for column in columns], axis=1)
    return apply_rules(values, rules, tuple(map(repr, columns)))


def _numbers(cells: Sequence[Any], split: str, column: str) -> npt.NDArray[np.float64]:
    numbers = np.empty(len(cells))
    for row, cell in enumerate(cells):
        number = np.nan if cell is None else cell
        if isinstance(cell, str):
            number = _WORDS.get(cell.strip().casefold())
        if not isinstance(number, int | float) or not (number in (0, 1, -1) or number != number):
            raise ConfigurationError(
                f"split {split}, row {row}: column {column!r} holds {str(cell)[:60]!r}, which says neither 0 nor 1",
                "Mend it, or name the columns that are labels with --label-columns.",
            )
        numbers[row] = number
    return numbers


def apply_rules(values: Mapping[str, npt.NDArray[np.float64]], rules: ValueRules, names: Sequence[str]) -> LabelIds:
    """Return the labels that values tell.

    Args:
        values: By split, (N, L): 1, 0, -1, NaN where a value is missing.
        rules: What -1 and NaN count as.
        names: What an error calls each label.

    Raises:
        ConfigurationError: There are such values, and the rules refuse them.
    """
    found, remedies = [], []
    for rule, what, is_so, choices in (
        (rules.uncertain, "-1 (uncertain)", lambda array: array == -1, "--uncertain negative, positive or ignore"),
        (rules.missing, "empty (not stated)", np.isnan, "--missing negative or ignore"),
    ):
        if rule is None and any(is_so(array).any() for array in values.values()):
            counts = [
                f"{np.count_nonzero(is_so(array).any(axis=1)):,} of {len(array):,} rows of split {split}"
                for split, array in values.items()
            ]
            split, row, label = next(
                (split, *np.argwhere(is_so(array))[0].tolist()) for split, array in values.items() if is_so(array).any()
            )
            found.append(
                f"labels are {what} in {', '.join(counts)}, the first in row {row} of split {split}: {names[label]}"
            )
            remedies.append(choices)
    if found:
        raise ConfigurationError(
            "; ".join(found),
            f"Say what they count as: {' and '.join(remedies)} (which leaves them out of loss and scores).",
        )
    present, unknown = {}, {}
    for split, array in values.items():
        uncertain, missing = array == -1, np.isnan(array)
        there = (array == 1) | (uncertain & (rules.uncertain == "positive"))
        left_out = (uncertain & (rules.uncertain == "ignore")) | (missing & (rules.missing == "ignore"))
        present[split], unknown[split] = _ids(there), _ids(left_out)
    any_unknown = any(row for rows in unknown.values() for row in rows)
    return LabelIds(present, unknown if any_unknown else None)


def _ids(matrix: npt.NDArray[np.bool_]) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in matrix]
