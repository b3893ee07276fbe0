"""Tables that commands of curation read and write, as CSV or Parquet."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import for_csv, from_csv, quoted
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.tables.text_tables import read_text_table

TABLE_SUFFIXES = (".csv", ".parquet")


TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".gz")
"""Endings of the files that are read as text, beside Parquet."""
SEPARATOR = ";"
"""Between the names in a cell: commas stand in numbers and sentences."""


def read_table(path: Path, needed: Sequence[str]) -> dict[str, list[Any]]:
    """Return the columns of a table, cells of text without what `write_table` puts before formulas, Parquet as it is.

    Args:
        path: CSV or the like, or Parquet.
        needed: Columns that it must have.

    Raises:
        ConfigurationError: It cannot be read, or lacks a column.
    """
    path = path.expanduser()
    if path.suffix.lower() == ".parquet":
        try:
            columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
        except (OSError, pa.ArrowException) as error:
            told = str(error).split("\n")[0][:200]
            raise ConfigurationError(f"{path}: cannot be read as Parquet ({told})", "Check the file.") from error
    else:
        columns = {name: list(map(from_csv, cells)) for name, cells in read_text_table(path).columns.items()}
    for name in needed:
        if name not in columns:
            raise ConfigurationError(f"{path}: no column is named {name!r}", f"Name the columns {', '.join(needed)}.")
    return columns


def cell_name(path: Path, row: int, column: str, value: Any) -> str:  # noqa: ANN401 - whatever a table holds
    """Return a name as it stands in a cell.

    Raises:
        ConfigurationError: There is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{path}, row {row}: {column} is {quoted(value)}", "Give it a name.")
    return value.strip()


def cell_names(path: Path, row: int, column: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of a cell: a list, or text with `SEPARATOR` between them; none where it is empty.

    Raises:
        ConfigurationError: It holds something else.
    """
    parts = value.split(SEPARATOR) if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ConfigurationError(f"{path}, row {row}: {column} are {quoted(value)}", "Give their names.")
    return tuple(" ".join(part.split()) for part in parts if part.strip())


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length, whole or not at all; in CSV with four decimals, and 1 and 0 for true and false.

    Args:
        path: A name that ends in one of `TABLE_SUFFIXES`.
        columns: By their names.

    Raises:
        ConfigurationError: It cannot be written.
    """
    with whole_file(path) as partial:
        if path.suffix.lower() == ".parquet":
            pq.write_table(pa.table(dict(columns)), partial)
            return
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    if isinstance(value, bool):
        return int(value)
    return f"{value:.4f}" if isinstance(value, float) else for_csv(value)
