"""Splits as row numbers in one table: the images are stored once, whatever the number of protocols and seeds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetInfo, NamedSplit, ReadInstruction
from datasets.table import MemoryMappedTable, concat_tables

from mlrsnet_hf.dataset.registration import NAME

_SCHEMA = pa.schema({"indices": pa.uint64()})


def write_rows(folder: str, split: str, rows: Sequence[int]) -> None:
    """Write a split's row numbers in the form in which `datasets` keeps them."""
    with pa.OSFile(_path(folder, split), "wb") as file, pa.ipc.new_stream(file, _SCHEMA) as writer:
        writer.write_table(pa.table({"indices": np.asarray(rows, np.uint64)}, _SCHEMA))


def select(
    whole: Dataset, folder: str, split: NamedSplit | ReadInstruction, info: DatasetInfo, fingerprint: str
) -> Dataset:
    """Return a split, or a slice or sum of splits, as a view of the whole table.

    Args:
        whole: All rows.
        folder: Holds the row numbers of each split.
        split: Such as `train`, `train[:10%]`, `train+validation`.
        info: With the sizes of the splits.
        fingerprint: What `datasets` knows the result by.
    """
    instruction = split if isinstance(split, ReadInstruction) else ReadInstruction.from_spec(str(split))
    lengths = {name: part.num_examples for name, part in info.splits.items()}
    tables = [
        MemoryMappedTable.from_file(_path(folder, part.splitname)).slice(part.from_, part.to - part.from_)
        for part in instruction.to_absolute(lengths)
    ]
    return Dataset(whole.data, info.copy(), NamedSplit(str(split)), concat_tables(tables), fingerprint)


def _path(folder: str, split: str) -> str:
    return str(Path(folder) / f"{NAME}-{split}-rows.arrow")
