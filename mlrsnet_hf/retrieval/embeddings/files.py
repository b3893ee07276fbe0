"""The Parquet files of an embeddings folder: written whole, and read in batches."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo, read_info
from mlrsnet_hf.runtime.shards import count_rows

DATA = "data"
ROW_GROUP = 1024
"""Rows of a group: what reading holds at a time."""


_ANEW = "Fetch the file again, or make the embeddings again."


class EmbeddingError(MLRSNetError, ValueError):
    """Embeddings that cannot be used: not finite, of another size, or made by another model."""


@dataclass(frozen=True, slots=True)
class EmbeddingRows:
    """Some rows of an embeddings folder."""

    ids: list[str]
    embeddings: npt.NDArray[np.float32]
    """(N, D)."""
    scenes: npt.NDArray[np.int64] | None = None
    """(N,) scene ids, where the data names scenes."""
    labels: list[list[int]] | None = None
    """Label ids of each row, where the data has labels."""
    scores: npt.NDArray[np.float32] | None = None
    """(N, L), if they were asked for."""

    def __len__(self) -> int:
        return len(self.ids)


def write_rows(rows: EmbeddingRows, info: EmbeddingInfo, path: Path) -> None:
    """Write one file, which has its name only when it is whole and on the disk.

    Raises:
        EmbeddingError: An embedding is not finite, or does not fit float16; ids are named.
        ConfigurationError: The file cannot be written.
    """
    with np.errstate(over="ignore"):  # refused below
        stored = rows.embeddings.astype(info.dtype)
    refuse_not_finite(rows.ids, rows.embeddings, "The model may be damaged, or its precision too low.")
    refuse_not_finite(rows.ids, stored, "They are too large for float16: store float32, or normalize them.")
    columns = {"id": rows.ids, "scene": rows.scenes, "labels": rows.labels, "embedding": stored, "scores": rows.scores}
    schema = info.arrow_schema()
    table = pa.Table.from_arrays([_column(columns[field.name], field.type) for field in schema], schema=schema)
    kept = "What is finished is kept" if any(path.parent.glob("[!.]*")) else "Nothing was kept"
    with whole_file(path, f"{kept}; make room or mend what is wrong, and run again to go on.") as part:
        # Random bits: neither compression nor a dictionary would make embeddings smaller, both cost time.
        pq.write_table(table, part, compression="none", use_dictionary=["scene"], row_group_size=ROW_GROUP)


def _column(values: Any, kind: pa.DataType) -> pa.Array:  # noqa: ANN401 - a list or an array
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), type=kind)
    return pa.array(values, kind)


def refuse_not_finite(ids: Sequence[str], embeddings: npt.NDArray[Any], remedy: str) -> None:
    """Refuse embeddings that hold NaN or infinity.

    Raises:
        EmbeddingError: Some do; the message names up to three ids.
    """
    faulty = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(faulty):
        named = ", ".join(repr(ids[row]) for row in faulty[:3])
        more = f" and {len(faulty) - 3:,} more" if len(faulty) > 3 else ""
        raise EmbeddingError(f"the embeddings of {named}{more} hold NaN or infinity", remedy)


@dataclass(frozen=True, slots=True)
class EmbeddingFolder:
    """Embeddings on disk, read in batches."""

    path: Path
    info: EmbeddingInfo

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in the order of the rows."""
        return sorted((self.path / DATA).glob("*.parquet"))

    def batches(self, rows: int = ROW_GROUP, start: int = 0) -> Iterator[EmbeddingRows]:
        """Yield all rows from `start` on, at most so many at a time; memory does not grow with the folder.

        Raises:
            EmbeddingError: A file is damaged, or not of this folder; or rows are missing.
        """
        seen = 0
        for path in self.files:
            try:
                file = pq.ParquetFile(path)
                self._refuse_foreign(path, file.schema_arrow)
                if seen + file.metadata.num_rows <= start:
                    seen += file.metadata.num_rows
                    continue
                for batch in file.iter_batches(rows):
                    first = max(start - seen, 0)
                    seen += batch.num_rows
                    if first < batch.num_rows:
                        table = pa.Table.from_batches([batch.slice(first)])
                        self._refuse_other_values(path, table)
                        yield _rows(table)
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                raise EmbeddingError(f"{path}: cannot be read ({error})", _ANEW) from error
        if seen != self.info.rows:
            raise EmbeddingError(
                f"{self.path}: {seen:,} rows where {self.info.rows:,} are said to be", "Fetch the missing files again."
            )

    def refuse_other_size(self) -> None:
        """Refuse a folder whose files do not hold as many rows as it says, before room is made for them.

        Raises:
            EmbeddingError: They do not, or a file is damaged.
        """
        there = [count_rows(path) for path in self.files]
        damaged = [path for path, rows in zip(self.files, there, strict=True) if rows is None]
        if damaged:
            raise EmbeddingError(f"{damaged[0]}: cannot be read", _ANEW)
        found = sum(rows or 0 for rows in there)
        if found != self.info.rows:
            raise EmbeddingError(
                f"{self.path}: {found:,} rows where {self.info.rows:,} are said to be",
                "Fetch the missing files again, and remove those of another run.",
            )

    def _refuse_foreign(self, path: Path, schema: pa.Schema) -> None:
        """Refuse a file whose vectors are not those that the folder speaks of, such as another model's."""
        kind = schema.field("embedding").type if schema.get_field_index("embedding") >= 0 else None
        size = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else None
        if size != self.info.dimension:
            raise EmbeddingError(
                f"{path}: embeddings of {size} dimensions where {self.info.dimension} are said to be",
                "Make the embeddings again.",
            )
        for field in self.info.arrow_schema():
            kind = schema.field(field.name).type if schema.get_field_index(field.name) >= 0 else None
            if kind != field.type:
                raise EmbeddingError(f"{path}: column {field.name!r} is {kind} where it should be {field.type}", _ANEW)
        if not self.info.describes(schema):
            raise EmbeddingError(
                f"{path}: embeddings that were made otherwise than {INFO_FILE} says", "Remove files of another run."
            )

    def _refuse_other_values(self, path: Path, table: pa.Table) -> None:
        """Refuse rows without a value, and scenes and labels that have no name."""
        for name, names in (("id", None), ("scene", self.info.scene_names), ("labels", self.info.label_names)):
            if name not in table.column_names:
                continue
            column = table[name].combine_chunks()
            values = column.flatten() if name == "labels" else column
            if column.null_count or values.null_count:
                raise EmbeddingError(f"{path}: a row without a value in column {name!r}", _ANEW)
            if names is not None and len(values):
                ends = pc.min_max(values).as_py()
                if ends["min"] < 0 or ends["max"] >= len(names):
                    wrong = ends["min"] if ends["min"] < 0 else ends["max"]
                    raise EmbeddingError(f"{path}: {name} {wrong} where {INFO_FILE} names {len(names)}", _ANEW)
        for name in ("embedding", "scores"):
            if name in table.column_names and table[name].null_count:
                raise EmbeddingError(f"{path}: a row without a value in column {name!r}", _ANEW)


def read_rows(path: Path) -> EmbeddingRows:
    """Return all rows of one file."""
    return _rows(pq.read_table(path))


def _rows(table: pa.Table) -> EmbeddingRows:
    """Return a table's rows; embeddings and scores of one chunk of float32 are not copied."""
    names = table.column_names
    return EmbeddingRows(
        ids=table["id"].to_pylist(),
        embeddings=_matrix(table["embedding"]),
        scenes=table["scene"].to_numpy() if "scene" in names else None,
        labels=table["labels"].to_pylist() if "labels" in names else None,
        scores=_matrix(table["scores"]) if "scores" in names else None,
    )


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # older Arrow, or no rows
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    values = array.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return values.reshape(len(array), column.type.list_size)


def open_embeddings(source: str | Path, revision: str | None = None) -> EmbeddingFolder:
    """Open an embeddings folder, local or on the Hub.

    Args:
        source: A folder, or the id of a dataset repository, which is downloaded if there is no such folder.
        revision: Of the repository.

    Raises:
        ConfigurationError: There are no embeddings there, or they are of another format version.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        path = download_folder(str(source), "dataset", ["*.json", f"{DATA}/*.parquet", "*.npz"], revision)
    return EmbeddingFolder(path, read_info(path))


def write_json(path: Path, content: object) -> None:
    """Write JSON as people read it."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
