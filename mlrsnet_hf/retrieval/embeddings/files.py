"""The Parquet files of an embeddings folder: written whole, read in batches."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, SCHEMA_KEY, EmbeddingInfo, read_info

DATA = "data"
ROW_GROUP = 1024
"""Rows of a group: what reading holds at a time."""


class EmbeddingError(MLRSNetError, ValueError):
    """Embeddings that cannot be used: not finite, of another size, or made by another model."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows, side by side."""

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


def shard_name(split: str, shard: int, shards: int) -> str:
    """Return the name of a file, of which `datasets` knows by itself that it is one of several of a split."""
    return f"{split}-{shard:05d}-of-{shards:05d}.parquet"


def to_table(rows: Rows, info: EmbeddingInfo) -> pa.Table:
    """Return rows as a table of the info's schema.

    Raises:
        EmbeddingError: An embedding is not finite, or does not fit float16; ids are named.
    """
    schema = info.arrow_schema()
    with np.errstate(over="ignore"):  # told of below
        stored = rows.embeddings.astype(info.dtype)
    refuse_not_finite(rows.ids, rows.embeddings, "The model may be damaged, or its precision too low.")
    refuse_not_finite(rows.ids, stored, "They are too large for float16: store float32, or normalize them.")
    columns: dict[str, Any] = {"id": pa.array(rows.ids, pa.string()), "scene": rows.scenes, "labels": rows.labels}
    columns["embedding"] = _fixed_size(stored, schema.field("embedding").type)
    if rows.scores is not None:
        columns["scores"] = _fixed_size(rows.scores, schema.field("scores").type)
    arrays = [pa.array(columns[name], type) if name != "id" else columns[name] for name, type in _types(schema)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _fixed_size(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), type=kind)


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


def write_shard(table: pa.Table, path: Path) -> None:
    """Write a file that has its name only when it is whole and has reached the disk.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Random bits: neither compression nor a dictionary would make embeddings smaller, both cost time.
        pq.write_table(table, partial, compression="none", use_dictionary=["scene"], row_group_size=ROW_GROUP)
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def holds(path: Path, rows: int) -> bool:
    """Say whether a file is there, whole, with so many rows."""
    try:
        return pq.read_metadata(path).num_rows == rows
    except (OSError, pa.ArrowException):
        return False


@dataclass(frozen=True, slots=True)
class EmbeddingFolder:
    """Embeddings on disk, read in batches."""

    path: Path
    info: EmbeddingInfo

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in the order of the rows."""
        return sorted((self.path / DATA).glob("*.parquet"))

    def batches(self, rows: int = ROW_GROUP, start: int = 0) -> Iterator[Rows]:
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
                        yield from_table(pa.Table.from_batches([batch.slice(first)]))
            except (OSError, pa.ArrowException) as error:
                raise EmbeddingError(
                    f"{path}: cannot be read ({error})", "Fetch the file again, or make the embeddings again."
                ) from error
        if seen != self.info.rows:
            raise EmbeddingError(
                f"{self.path}: {seen:,} rows where {self.info.rows:,} are said to be", "Fetch the missing files again."
            )

    def _refuse_foreign(self, path: Path, schema: pa.Schema) -> None:
        """Refuse a file whose vectors are not those that the folder speaks of, such as another model's."""
        kind = schema.field("embedding").type if "embedding" in schema.names else None
        size = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else None
        if size != self.info.dimension:
            raise EmbeddingError(
                f"{path}: embeddings of {size} dimensions where {self.info.dimension} are said to be",
                "Make the embeddings again.",
            )
        told = (schema.metadata or {}).get(SCHEMA_KEY)
        if told is not None and json.loads(told) != self.info.to_json() | {"rows": None}:
            raise EmbeddingError(
                f"{path}: embeddings that were made otherwise than {INFO_FILE} says", "Remove files of another run."
            )


def from_table(table: pa.Table) -> Rows:
    """Return a table's rows; embeddings and scores of one chunk of float32 are not copied."""
    names = table.column_names
    return Rows(
        ids=table["id"].to_pylist(),
        embeddings=_matrix(table["embedding"]),
        scenes=table["scene"].to_numpy() if "scene" in names else None,
        labels=table["labels"].to_pylist() if "labels" in names else None,
        scores=_matrix(table["scores"]) if "scores" in names else None,
    )


def read_rows(path: Path) -> Rows:
    """Return all rows of one file."""
    return from_table(pq.read_table(path))


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
        path = _downloaded(str(source), revision)
    return EmbeddingFolder(path, read_info(path))


def _downloaded(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = ["*.json", f"{DATA}/*.parquet", "*.npz"]
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConfigurationError(
            f"{repository}: neither a folder nor a dataset of the Hub that can be fetched ({reason})",
            "Check the path or the id (owner/name).",
        ) from error


def write_json(path: Path, content: object) -> None:
    """Write JSON as people read it."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Shard:
    """One file."""

    name: str
    rows: range

    def batches(self, size: int) -> list[list[int]]:
        """Return the rows in batches; none reaches over the end of the file, whoever computes it."""
        return [list(self.rows[start : start + size]) for start in range(0, len(self.rows), size)]


def plan_shards(split: str, rows: int, size: int) -> tuple[Shard, ...]:
    """Cut rows into files of fixed ranges.

    Args:
        split: Its name.
        rows: Of the split.
        size: Rows of a file.
    """
    starts = range(0, rows, size)
    return tuple(
        Shard(shard_name(split, number, len(starts)), range(start, min(start + size, rows)))
        for number, start in enumerate(starts)
    )


def missing_shards(folder: Path, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """Return the files that are not there; remove what a killed process left half-written."""
    folder.mkdir(exist_ok=True)
    whole = {shard.name for shard in shards if holds(folder / shard.name, len(shard.rows))}
    for path in folder.iterdir():
        if path.name not in whole:
            path.unlink()
    return tuple(shard for shard in shards if shard.name not in whole)
