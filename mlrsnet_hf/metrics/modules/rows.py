"""Columns of `evaluate` modules, one row per image or query, read into flat arrays so that checks are fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import to_array


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of any lengths, end to end."""

    name: str
    """The column: "predictions" or "references"."""
    flat: np.ndarray
    """(M,) the values, row after row."""
    lengths: npt.NDArray[np.int64]
    """(N,) number of values in each row."""

    @classmethod
    def of(cls, name: str, column: Any, remedy: str) -> "Rows":  # noqa: ANN401 - whatever the user has
        """Read lists, arrays, tensors or a dataset's column.

        Args:
            name: The column's name, for errors.
            column: One sequence of values per image or query.
            remedy: What errors say about the right form.

        Raises:
            ConfigurationError: There is no column, or a row is not a sequence of values.
        """
        if hasattr(column, "ndim") and column.ndim == 2:
            matrix = to_array(column)
            return cls(name, matrix.reshape(-1), np.full(len(matrix), matrix.shape[1]))
        rows = [_values(f"{name}[{i}]", row, remedy) for i, row in enumerate(_sequence(name, column, remedy))]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        filled = [row for row in rows if len(row)]
        return cls(name, np.concatenate(filled) if filled else np.empty(0, dtype=np.int64), lengths)

    @property
    def width(self) -> int | None:
        """The length of all rows; None if they have several."""
        return int(self.lengths[0]) if len(self.lengths) and (self.lengths == self.lengths[0]).all() else None

    @property
    def is_text(self) -> bool:
        """Whether a value is text."""
        return self.flat.dtype.kind in "OSU"

    def integers(self, remedy: str, at_least: int = 0) -> "Rows":
        """Return the rows as int64, whole numbers of a floating-point type too.

        Raises:
            ConfigurationError: A value is not a whole number of at least `at_least`; the message names its position.
        """
        whole = integers(self.flat, at_least)
        if isinstance(whole, int):
            raise ConfigurationError(self.at(whole), remedy)
        return Rows(self.name, whole, self.lengths)

    def numbers(self, remedy: str) -> "Rows":
        """Return the rows as float64.

        Raises:
            ConfigurationError: A value is not a finite number; the message names its position.
        """
        if self.flat.dtype.kind not in "biuf":
            raise ConfigurationError(f"{self.at(0)}, not a number", remedy)
        values = self.flat.astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ConfigurationError(self.at(int(wrong[0])), "Scores must be finite.")
        return Rows(self.name, values, self.lengths)

    def require_distinct(self, ids: npt.NDArray[np.int64], remedy: str) -> None:
        """Refuse rows that name a label twice: rows of 0 and 1 do, lists of labels do not.

        Args:
            ids: (M,) the label that each value stands for.
            remedy: What errors say about the right form.

        Raises:
            ConfigurationError: Names the first value that its row holds already.
        """
        places = np.repeat(np.arange(len(self.lengths)), self.lengths) * (ids.max(initial=0) + 1) + ids
        _, firsts = np.unique(places, return_index=True)
        if len(firsts) < len(places):
            again = np.setdiff1d(np.arange(len(places)), firsts)
            raise ConfigurationError(
                f"{self.at(int(again[0]))}, which its row holds already",
                f"A list names each label once; rows of 0 and 1 belong to configuration 'multi_hot'. {remedy}",
            )

    def at(self, index: int) -> str:
        """Return what errors say of the value at a place of `flat`: "references[3][0] is 7"."""
        row = int(np.searchsorted(np.cumsum(self.lengths), index, side="right"))
        value = self.flat[index : index + 1].tolist()[0]
        return f"{self.name}[{row}][{index - int(self.lengths[:row].sum())}] is {value!r}"

    def lists(self) -> list[list[Any]]:
        """Return the rows as lists, the form that Arrow takes fastest."""
        if self.width:
            return self.flat.reshape(-1, self.width).tolist()
        values, ends = self.flat.tolist(), np.cumsum(self.lengths).tolist()
        return [values[end - length : end] for end, length in zip(ends, self.lengths.tolist(), strict=True)]


def integer_column(name: str, column: Any, remedy: str, at_least: int = 0) -> list[int]:  # noqa: ANN401
    """Return one whole number per query.

    Raises:
        ConfigurationError: There is no column, or a value is not a whole number of at least `at_least`.
    """
    values = _values(name, column if hasattr(column, "ndim") else _sequence(name, column, remedy), remedy)
    whole = integers(values, at_least)
    if isinstance(whole, int):
        raise ConfigurationError(f"{name}[{whole}] is {values[whole : whole + 1].tolist()[0]!r}", remedy)
    return whole.tolist()


def integers(values: np.ndarray, at_least: int) -> npt.NDArray[np.int64] | int:
    """Return the values as int64, or the place of the first that is not a whole number of at least `at_least`."""
    if values.dtype.kind not in "biuf":
        return 0
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    wrong = np.flatnonzero((whole != values) | (whole < at_least))
    return int(wrong[0]) if len(wrong) else whole


def _sequence(name: str, column: Any, remedy: str) -> Sequence[Any]:  # noqa: ANN401
    if column is None:
        raise ConfigurationError(f"{name} are missing", remedy)
    if isinstance(column, str) or not hasattr(column, "__iter__"):
        raise ConfigurationError(f"{name} are {column!r}", remedy)
    return list(column)


def _values(name: str, values: Any, remedy: str) -> np.ndarray:  # noqa: ANN401
    try:
        array = to_array(values)
    except ValueError:  # NumPy's word for nested lists of several lengths
        raise ConfigurationError(f"{name} is nested too deeply", remedy) from None
    if array.ndim != 1:
        found = f"has shape {array.shape}" if array.ndim else f"is {values!r}"
        raise ConfigurationError(f"{name} {found}", remedy)
    return array
