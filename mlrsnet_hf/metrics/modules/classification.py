"""Inputs of the classification modules: multi-hot rows, lists of label ids, lists of label names."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.metrics.arguments import whole_number
from mlrsnet_hf.metrics.modules.inputs import Form, Inputs, Rows
from mlrsnet_hf.taxonomy import LABELS, find_label

_COLUMNS = {"predictions": "[float64]", "references": "[int32]"}
_MULTI_HOT = partial(
    Form,
    name="multi_hot",
    references="a row of 0 and 1 per image, one per label",
    features={"predictions": "[float64]", "references": "[int8]"},
)
_LABEL_IDS = partial(
    Form,
    name="label_ids",
    references=f"a list of label ids per image, from 0 to num_labels - 1 ({len(LABELS)} labels unless told)",
    features=_COLUMNS,
)
_LABEL_NAMES = partial(
    Form, name="label_names", references="a list of MLRSNet's label names per image", features=_COLUMNS
)
_SCORES = "a row of scores per image, one per label"
_NAMES = [["airplane"], ["ships", "water"]]
_IDS = [[find_label(name).id for name in names] for names in _NAMES]
_EXAMPLE_SCORES = [[0.9 if id_ in ids else 0.1 for id_ in range(len(LABELS))] for ids in _IDS]

SCORE_FORMS = (
    _MULTI_HOT(
        predictions=_SCORES,
        example={"predictions": [[0.9, 0.6, 0.1], [0.2, 0.8, 0.7]], "references": [[1, 0, 0], [0, 1, 1]]},
    ),
    _LABEL_IDS(predictions=_SCORES, example={"predictions": _EXAMPLE_SCORES, "references": _IDS}),
    _LABEL_NAMES(
        predictions=f"{_SCORES}, in MLRSNet's order", example={"predictions": _EXAMPLE_SCORES, "references": _NAMES}
    ),
)
DECISION_FORMS = (
    _MULTI_HOT(
        predictions=f"a row of 0 and 1, or with threshold= {_SCORES}",
        example={"predictions": [[1, 1, 0], [0, 1, 1]], "references": [[1, 0, 0], [0, 1, 1]]},
    ),
    _LABEL_IDS(
        predictions=f"a list of label ids, or with threshold= {_SCORES}",
        example={"predictions": [[0, 2], [44, 57]], "references": _IDS},
    ),
    _LABEL_NAMES(
        predictions=f"a list of label names, or with threshold= {_SCORES}, in MLRSNet's order",
        example={"predictions": [["airplane", "bare soil"], ["ships", "water"]], "references": _NAMES},
    ),
)


class ClassificationInputs(Inputs):
    """Inputs of the modules on (N, L) targets."""

    options = ("threshold", "zero_division", "average", "num_labels", "per_image", "per_label")

    def columns(self, predictions: Any, references: Any) -> dict[str, list[Any]]:  # noqa: ANN401
        """Return scores and labels as lists; names become ids."""
        guesses, truth = self.rows("predictions", predictions), self.rows("references", references)
        if self.form.name == "label_names":
            truth = _ids_of_names(truth)
            if guesses.is_text and self.forms is DECISION_FORMS:
                guesses = _ids_of_names(guesses)
        if self.form.name == "multi_hot":
            _require_multi_hot(truth)
        guesses, truth = guesses.numbers(), truth.integers()
        if self.form.name == "label_ids":
            truth.require_distinct(truth.flat)
        return {"predictions": guesses.lists(), "references": truth.lists()}

    def arrays(
        self, predictions: Sequence[Any], references: Sequence[Any], num_labels: int | None, *, scores: bool
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[Any]]:
        """Return (N, L) targets of 0 and 1, and (N, L) scores or decisions, from what `columns` returned.

        L is by default MLRSNet's 60, for multi-hot rows their width. With `scores` the predictions are rows of scores
        in every configuration; otherwise they have the form of the references.
        """
        self.require_some(references)
        num_labels = None if num_labels is None else whole_number("num_labels", num_labels)
        guesses, truth = self.rows("predictions", predictions), self.rows("references", references)
        if self.form.name == "multi_hot":
            width = truth.width if num_labels is None else num_labels
            return _matrix(truth, width).astype(np.int8), _matrix(guesses, width)
        width = len(LABELS) if num_labels is None else num_labels
        return _multi_hot(truth, width), (_matrix if scores else _multi_hot)(guesses, width)


def _ids_of_names(rows: Rows) -> Rows:
    """Return the label ids of rows of names."""
    if rows.flat.size and not rows.is_text:
        raise ConfigurationError(f"{rows.at(0)}, not a name", rows.remedy)
    ids: dict[str, int] = {}
    for index, name in enumerate(rows.flat.tolist()):
        if name not in ids:
            try:
                ids[name] = find_label(str(name)).id
            except UnknownNameError as error:
                raise ConfigurationError(f"{rows.at(index)}, not a label of MLRSNet", error.remedy) from None
    flat = np.array([ids[name] for name in rows.flat.tolist()], dtype=np.int64)
    rows.require_distinct(flat)
    return replace(rows, flat=flat)


def _require_multi_hot(rows: Rows) -> None:
    if rows.width is None and len(rows.lengths):
        other = int(np.argmax(rows.lengths != rows.lengths[0]))
        raise ConfigurationError(
            f"{rows.name}[{other}] has {rows.lengths[other]} values, {rows.name}[0] has {rows.lengths[0]}", rows.remedy
        )
    numeric = rows.flat.dtype.kind in "biuf"
    wrong = np.flatnonzero((rows.flat != 0) & (rows.flat != 1)) if numeric else np.arange(1)
    if rows.flat.size and len(wrong):
        raise ConfigurationError(f"{rows.at(int(wrong[0]))}, neither 0 nor 1", rows.remedy)


def _matrix(rows: Rows, width: int | None) -> npt.NDArray[np.float64]:
    """Return rows of one value per label as a matrix."""
    if width is None or rows.width != width:
        found = "several lengths" if rows.width is None else f"{rows.width} values each"
        raise ConfigurationError(
            f"the rows of {rows.name} have {found}, not one per label ({width} labels)", rows.remedy
        )
    return rows.flat.reshape(-1, width)


def _multi_hot(rows: Rows, width: int) -> npt.NDArray[np.int8]:
    """Return rows of label ids as a matrix of 0 and 1."""
    ids = replace(rows, remedy=f"Without threshold=, pass label ids. {rows.remedy}").integers().flat
    rows = replace(rows, flat=ids)
    outside = np.flatnonzero(ids >= width)
    if len(outside):
        raise ConfigurationError(
            f"{rows.at(int(outside[0]))}, but there are {width} labels",
            f"Ids count from 0 to {width - 1}; pass num_labels= where it is another number.",
        )
    rows.require_distinct(ids)
    matrix = np.zeros((len(rows.lengths), width), dtype=np.int8)
    matrix[np.repeat(np.arange(len(rows.lengths)), rows.lengths), ids] = 1
    return matrix
