"""What all `evaluate` modules have in common: declared forms of input, read into flat arrays and checked when added."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics.arguments import to_array
from mlrsnet_hf.metrics.citations import PAPER_URL
from mlrsnet_hf.metrics.registry import Metric


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of input, a named configuration of the modules of a family."""

    name: str
    predictions: str
    """What a row of predictions is, in words."""
    references: str
    """What a reference is, in words."""
    example: Mapping[str, Sequence[Any]]
    """Small inputs of this form."""
    features: Mapping[str, str]
    """Arrow types of the two columns, "[...]" for lists."""


class Inputs:
    """Checks the inputs of one family of modules; stands before `evaluate.Metric` among a module's bases.

    `evaluate` sets `config_name`, calls `_info` when a module is loaded, `add_batch` when inputs come and `_compute` at
    the end, with all inputs as lists.
    """

    forms: ClassVar[tuple[Form, ...]]
    """The configurations; the first is the default."""
    options: ClassVar[tuple[str, ...]]
    """Names of all options of the family: `evaluate.combine` hands each module those of the others too."""
    metric: ClassVar[Metric]
    """What the registry says of the module's metric."""
    config_name: str

    @property
    def form(self) -> Form:
        """The form of the configuration that was loaded.

        Raises:
            UnknownNameError: There is no such configuration; the message lists them.
        """
        forms = {"default": self.forms[0], **{form.name: form for form in self.forms}}
        if self.config_name not in forms:
            known = name_alternatives(self.config_name, [form.name for form in self.forms])
            raise UnknownNameError(f"{self.config_name!r} is not one of the module's configurations", known)
        return forms[self.config_name]

    @property
    def remedy(self) -> str:
        """What errors say about the right form of input."""
        form = self.form
        others = " or ".join(repr(other.name) for other in self.forms if other is not form)
        return (
            f"Configuration {form.name!r} takes as predictions {form.predictions}; as references {form.references}: "
            f"{_shown(form.example)}. For other forms load configuration {others}."
        )

    def _info(self) -> Any:  # noqa: ANN401 - evaluate.MetricInfo
        """Return what the registry and the declared forms say of the module."""
        import datasets  # takes a second
        import evaluate

        def feature(kind: str) -> Any:  # noqa: ANN401
            value = datasets.Value(kind.strip("[]"))
            return datasets.Sequence(value) if kind.startswith("[") else value

        form, definition = self.form, (inspect.getdoc(self.metric.documented_function) or "").split("\n\nArgs:")[0]
        inputs = [
            f"Configuration {form.name!r}:",
            f"    predictions: {form.predictions}.",
            f"    references: {form.references}.",
            f"    For example {_shown(form.example)}.",
            f"Other configurations: {', '.join(other.name for other in self.forms if other is not form)}.",
            "",
            inspect.getdoc(self._compute) or "",  # type: ignore[attr-defined]
        ]
        return evaluate.MetricInfo(
            description=f"{definition}\n\n{self.metric.summary}",
            citation="\n".join(self.metric.bibtex),
            inputs_description="\n".join(inputs),
            features=datasets.Features({name: feature(kind) for name, kind in form.features.items()}),
            reference_urls=[PAPER_URL],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:  # noqa: ANN401
        """Add a batch of predictions and references.

        Raises:
            ConfigurationError: The inputs have another form than the configuration's.
        """
        columns = self.columns(predictions, references)
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ConfigurationError(
                " and ".join(f"{length} {name}" for name, length in lengths.items()), "Pass one reference each."
            )
        super().add_batch(**columns, **others)  # type: ignore[misc]

    def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:  # noqa: ANN401
        """Add one prediction and reference, as `add_batch` does."""
        self.add_batch(predictions=[prediction], references=[reference], **others)

    def columns(self, predictions: Any, references: Any) -> dict[str, list[Any]]:  # noqa: ANN401
        """Return the inputs as lists of the declared types, checked."""
        raise NotImplementedError

    def rows(self, name: str, column: Any) -> "Rows":  # noqa: ANN401 - whatever the user has
        """Read a column: lists, arrays, tensors or a dataset's column, a sequence of values per image or query."""
        return Rows.read(name, column, self.remedy)

    def require_some(self, references: Sequence[Any]) -> None:
        """Refuse to compute from nothing."""
        if not len(references):
            raise ConfigurationError("nothing was added", self.remedy)

    def refuse_unknown(self, others: Mapping[str, Any]) -> None:
        """Refuse options that no module of the family has; the error lists near or all names."""
        for name in others:
            if name not in self.options:
                raise UnknownNameError(
                    f"{name!r} is not an option of these modules", name_alternatives(name, self.options)
                )


def _shown(example: Mapping[str, Sequence[Any]]) -> str:
    """Return inputs as they stand in a call, with long rows cut."""

    def shown(row: Any) -> str:  # noqa: ANN401
        long = isinstance(row, list) and len(row) > 6
        return f"[{', '.join(map(repr, row[:3]))}, ... {len(row)} numbers]" if long else repr(row)

    return ", ".join(f"{name}=[{', '.join(map(shown, column))}]" for name, column in example.items())


def floats(values: np.ndarray) -> list[float]:
    """Return one Python float per image, label or query; NaN where undefined."""
    return [float(value) for value in values]


@dataclass(frozen=True, eq=False)
class Rows:
    """A column of rows of any lengths, end to end, so that checks are fast; their errors name row and place."""

    name: str
    """The column: "predictions" or "references"."""
    flat: np.ndarray
    """(M,) the values, row after row."""
    lengths: npt.NDArray[np.int64]
    """(N,) number of values in each row."""
    remedy: str
    """What errors say about the right form."""

    @classmethod
    def read(cls, name: str, column: Any, remedy: str) -> "Rows":  # noqa: ANN401
        """Read a column; see `Inputs.rows`."""
        if hasattr(column, "ndim") and column.ndim == 2:
            matrix = to_array(column)
            return cls(name, matrix.reshape(-1), np.full(len(matrix), matrix.shape[1]), remedy)
        rows = [_values(f"{name}[{i}]", row, remedy) for i, row in enumerate(_sequence(name, column, remedy))]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        filled = [row for row in rows if len(row)]
        return cls(name, np.concatenate(filled) if filled else np.empty(0, dtype=np.int64), lengths, remedy)

    @property
    def width(self) -> int | None:
        """Length of all rows; None if they have several."""
        return int(self.lengths[0]) if len(self.lengths) and (self.lengths == self.lengths[0]).all() else None

    @property
    def is_text(self) -> bool:
        """Whether a value is text."""
        return self.flat.dtype.kind in "OSU"

    def integers(self, at_least: int = 0) -> "Rows":
        """Return the rows as int64, whole numbers of a floating-point type too."""
        whole = _integers(self.flat, at_least)
        if isinstance(whole, int):
            raise ConfigurationError(self.at(whole), self.remedy)
        return replace(self, flat=whole)

    def numbers(self) -> "Rows":
        """Return the rows as float64, all finite."""
        if self.flat.dtype.kind not in "biuf":
            raise ConfigurationError(f"{self.at(0)}, not a number", self.remedy)
        values = self.flat.astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise ConfigurationError(self.at(int(wrong[0])), "Scores must be finite.")
        return replace(self, flat=values)

    def require_distinct(self, ids: npt.NDArray[np.int64]) -> None:
        """Refuse rows that name a label twice: rows of 0 and 1 do, lists of labels do not.

        Args:
            ids: (M,) the label that each value stands for.
        """
        places = np.repeat(np.arange(len(self.lengths)), self.lengths) * (ids.max(initial=0) + 1) + ids
        _, firsts = np.unique(places, return_index=True)
        if len(firsts) < len(places):
            again = np.setdiff1d(np.arange(len(places)), firsts)
            raise ConfigurationError(
                f"{self.at(int(again[0]))}, which its row holds already",
                f"A list names each label once; rows of 0 and 1 belong to configuration 'multi_hot'. {self.remedy}",
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


def integer_column(name: str, column: Any, remedy: str) -> list[int]:  # noqa: ANN401
    """Return one whole number of at least 0 per query."""
    values = _values(name, column if hasattr(column, "ndim") else _sequence(name, column, remedy), remedy)
    whole = _integers(values, 0)
    if isinstance(whole, int):
        raise ConfigurationError(f"{name}[{whole}] is {values[whole : whole + 1].tolist()[0]!r}", remedy)
    return whole.tolist()


def _integers(values: np.ndarray, at_least: int) -> npt.NDArray[np.int64] | int:
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
    except ValueError:  # nested lists of several lengths
        raise ConfigurationError(f"{name} is nested too deeply", remedy) from None
    if array.ndim != 1:
        found = f"has shape {array.shape}" if array.ndim else f"is {values!r}"
        raise ConfigurationError(f"{name} {found}", remedy)
    return array
