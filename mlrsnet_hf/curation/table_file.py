"""Tables that commands of curation write, as CSV or Parquet."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.escaping import for_csv
from mlrsnet_hf.files import whole_file

TABLE_SUFFIXES = (".csv", ".parquet")


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
