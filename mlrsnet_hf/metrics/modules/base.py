"""What all `evaluate` modules have in common: declared forms of input, checked when added, and results as floats."""

import inspect
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.metrics.citations import PAPER_URL
from mlrsnet_hf.metrics.means import Mean
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
    """The Arrow types of the two columns, "[...]" for lists."""


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

    def info_fields(self) -> dict[str, Any]:
        """Return what `evaluate.MetricInfo` wants to know, from the registry and the declared forms."""
        import datasets  # takes a second

        types = {name: datasets.Value(type_.strip("[]")) for name, type_ in self.form.features.items()}
        columns = {
            name: datasets.Sequence(types[name]) if type_.startswith("[") else types[name]
            for name, type_ in self.form.features.items()
        }
        definition = (inspect.getdoc(self.metric.documented_function) or "").split("\n\nArgs:")[0]
        return {
            "description": f"{definition}\n\n{self.metric.summary}",
            "citation": "\n".join(self.metric.bibtex),
            "inputs_description": self._inputs_description(),
            "features": datasets.Features(columns),
            "reference_urls": [PAPER_URL],
        }

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
        """Add one prediction and reference.

        Raises:
            ConfigurationError: The inputs have another form than the configuration's.
        """
        self.add_batch(predictions=[prediction], references=[reference], **others)

    def columns(self, predictions: Any, references: Any) -> dict[str, list[Any]]:  # noqa: ANN401
        """Return the inputs as lists of the declared types.

        Raises:
            ConfigurationError: The inputs have another form than the configuration's.
        """
        raise NotImplementedError

    def require_some(self, references: Sequence[Any]) -> None:
        """Refuse to compute from nothing."""
        if not len(references):
            raise ConfigurationError("nothing was added", self.remedy)

    def refuse_unknown(self, others: Mapping[str, Any]) -> None:
        """Refuse options that no module of the family has.

        Raises:
            UnknownNameError: The message lists near or all names.
        """
        for name in others:
            if name not in self.options:
                raise UnknownNameError(
                    f"{name!r} is not an option of these modules", name_alternatives(name, self.options)
                )

    def _inputs_description(self) -> str:
        options = inspect.getdoc(self._compute) or ""  # type: ignore[attr-defined]
        form = self.form
        lines = [
            f"Configuration {form.name!r}:",
            f"    predictions: {form.predictions}.",
            f"    references: {form.references}.",
            f"    For example {_shown(form.example)}.",
            f"Other configurations: {', '.join(other.name for other in self.forms if other is not form)}.",
        ]
        return "\n".join([*lines, "", options])


def _shown(example: Mapping[str, Sequence[Any]]) -> str:
    """Return inputs as they stand in a call, with long rows cut."""
    rows = {name: ", ".join(_row(row) for row in column) for name, column in example.items()}
    return ", ".join(f"{name}=[{text}]" for name, text in rows.items())


def _row(row: Any) -> str:  # noqa: ANN401
    long = isinstance(row, list) and len(row) > 6
    return f"[{', '.join(map(repr, row[:3]))}, ... {len(row)} numbers]" if long else repr(row)


def plain(values: np.ndarray) -> list[float]:
    """Return one float per image, label or query; NaN where undefined."""
    return [float(value) for value in values]


def by_group(mean: Mean, groups: Sequence[Hashable]) -> dict[Any, float]:
    """Return the mean of each group as a float; NaN for one without a defined value."""
    return {group: float(value) for group, value in mean.by(groups).items()}
