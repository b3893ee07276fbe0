"""Predictions as a table: CSV, JSON Lines or Parquet, row by row in the images' order, in bounded memory.

The columns are those that the model knows. `id`; of a model of labels `labels`, those above their thresholds, and
`scores`, theirs, both with the highest score first; of one of scenes `scene` and `scene_score`; on request one column
of scores for each label and scene; and `error`, why an image could not be read, whose other columns are empty then.
"""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.classifier import Scores, labels_above

_BETWEEN = ";"
"""Stands between labels in a cell of CSV, and between scores."""
_DECIMALS = 6
"""Of scores in text; Parquet holds them as they are."""


@dataclass(frozen=True, slots=True)
class PredictedRows:
    """What a network says of some images."""

    ids: Sequence[str]
    scores: Scores
    """(N, L) sigmoid scores; L is 0 for a model of scenes alone."""
    scene_scores: Scores
    """(N, number of scenes) softmax scores; of no columns for a model of labels alone."""
    errors: Sequence[str | None]
    """Why an image could not be read; its scores are NaN."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TableForm:
    """What a table says of each image."""

    task: Task
    thresholds: npt.NDArray[np.float64]
    """(L,)"""
    all_scores: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the model tells."""
        return self.task.label_names[: self.task.label_outputs]

    @property
    def scenes(self) -> tuple[str, ...]:
        """Scenes that the model tells."""
        return self.task.scene_names[: self.task.scene_outputs]

    def columns(self, rows: PredictedRows) -> dict[str, Any]:
        """Return the columns by name: lists, and arrays of numbers, NaN where an image could not be read."""
        readable = [error is None for error in rows.errors]
        columns: dict[str, Any] = {"id": list(rows.ids)}
        if self.labels:
            above = [
                labels_above(row, self.thresholds) if is_read else None
                for row, is_read in zip(rows.scores, readable, strict=True)
            ]
            columns["labels"] = [None if found is None else [self.labels[one] for one in found] for found in above]
            columns["scores"] = [
                None if found is None else row[found].tolist() for found, row in zip(above, rows.scores, strict=True)
            ]
        if self.scenes:
            best = np.where(readable, rows.scene_scores.argmax(1), 0)
            columns["scene"] = [
                self.scenes[one] if is_read else None for one, is_read in zip(best, readable, strict=True)
            ]
            columns["scene_score"] = rows.scene_scores[np.arange(len(rows)), best]
        if self.all_scores:
            columns |= {f"score:{name}": rows.scores[:, place] for place, name in enumerate(self.labels)}
            columns |= {f"scene_score:{name}": rows.scene_scores[:, place] for place, name in enumerate(self.scenes)}
        return columns | {"error": list(rows.errors)}

    def arrow_schema(self) -> pa.Schema:
        """Return the types of the columns, in their order."""
        fields = [("id", pa.string())]
        if self.labels:
            fields += [("labels", pa.list_(pa.string())), ("scores", pa.list_(pa.float32()))]
        if self.scenes:
            fields += [("scene", pa.string()), ("scene_score", pa.float32())]
        if self.all_scores:
            fields += [(f"score:{name}", pa.float32()) for name in self.labels]
            fields += [(f"scene_score:{name}", pa.float32()) for name in self.scenes]
        return pa.schema([*fields, ("error", pa.string())])


class TableWriter(ABC):
    """A table that is being written; made by `open_table`."""

    def __init__(self, path: Path, form: TableForm) -> None:
        self.path = path
        self.form = form

    @abstractmethod
    def write(self, columns: Mapping[str, Any]) -> None:
        """Append the columns of some rows."""

    @abstractmethod
    def close(self) -> None:
        """End the table."""


class _CsvWriter(TableWriter):
    def __init__(self, path: Path, form: TableForm) -> None:
        super().__init__(path, form)
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(map(for_csv, form.arrow_schema().names))

    def write(self, columns: Mapping[str, Any]) -> None:
        cells = [[_cell(value) for value in _plain(values)] for values in columns.values()]
        self._writer.writerows(zip(*cells, strict=True))

    def close(self) -> None:
        self._file.close()


class _JsonWriter(TableWriter):
    def __init__(self, path: Path, form: TableForm) -> None:
        super().__init__(path, form)
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace")

    def write(self, columns: Mapping[str, Any]) -> None:
        for row in zip(*map(_plain, columns.values()), strict=True):
            self._file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _ParquetWriter(TableWriter):
    def __init__(self, path: Path, form: TableForm) -> None:
        super().__init__(path, form)
        self._writer = pq.ParquetWriter(path, form.arrow_schema())

    def write(self, columns: Mapping[str, Any]) -> None:
        schema = self.form.arrow_schema()
        arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    def close(self) -> None:
        self._writer.close()


_WRITERS: Mapping[str, type[TableWriter]] = {".csv": _CsvWriter, ".jsonl": _JsonWriter, ".parquet": _ParquetWriter}


@contextmanager
def open_table(path: Path, suffix: str, form: TableForm) -> Iterator[TableWriter]:
    """Yield a table that takes rows.

    Args:
        path: The file.
        suffix: `.csv`, `.jsonl` or `.parquet`.
        form: What it says of each image.
    """
    writer = _WRITERS[suffix](path, form)
    try:
        yield writer
    finally:
        writer.close()


def refuse_ambiguous(suffix: str, form: TableForm) -> None:
    """Refuse CSV for labels that hold what stands between two of them.

    Raises:
        ConfigurationError: One does.
    """
    for name in form.labels if suffix == ".csv" else ():
        if _BETWEEN in name:
            raise ConfigurationError(
                f"label {name!r} holds {_BETWEEN!r}, which stands between labels in CSV",
                "Give an output that ends in .jsonl or .parquet.",
            )


def _plain(values: Any) -> list[Any]:  # noqa: ANN401 - an array or a list
    """Return values as JSON has them: scores of few digits, None for NaN."""
    if isinstance(values, np.ndarray):
        return [None if value != value else value for value in np.round(values.astype(np.float64), _DECIMALS).tolist()]
    return [[_rounded(one) for one in value] if isinstance(value, list) else value for value in values]


def _rounded(value: Any) -> Any:  # noqa: ANN401 - a score or a label
    return round(value, _DECIMALS) if isinstance(value, float) else value


def _cell(value: Any) -> object:  # noqa: ANN401 - of a column
    return for_csv(_BETWEEN.join(map(str, value))) if isinstance(value, list) else for_csv(value)
