"""The images of a local index in columns, beside its database: they answer what is asked with a filter.

Milvus Lite looks at every row for each filter, a second for 20,000 images. So the folder of a local index holds its
embeddings a second time, as an array that is mapped into memory, and ids, scenes, labels and scores as Arrow columns.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlrsnet_hf.files import whole_file
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index.description import IndexDescription

VECTORS_FILE = "vectors.npy"
COLUMNS_FILE = "columns.arrow"
_STATE = b"mlrsnet"
_REMEDY = "Make room, and give the same command again."


def write_columns(folder: Path, description: IndexDescription, batches: Iterable[EmbeddingRows]) -> None:
    """Write the columns of an index that is whole, a batch at a time.

    Args:
        folder: Of the index.
        description: What the index says of itself, or is about to say.
        batches: All its images by row, with labels and scenes by their ids in `description.info`.

    Raises:
        ConfigurationError: They cannot be written.
    """
    info = description.info
    schema = _schema(info).with_metadata({_STATE: _state(description)})
    # The columns take their name last: what they say of the state of the index holds for the vectors too.
    with (
        whole_file(folder / COLUMNS_FILE, _REMEDY) as columns_file,
        whole_file(folder / VECTORS_FILE, _REMEDY) as vectors_file,
        vectors_file.open("wb") as vectors,
        pa.OSFile(str(columns_file), "wb") as sink,
        pa.ipc.new_file(sink, schema) as columns,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (info.rows, info.dimension)}
        np.lib.format.write_array_header_1_0(vectors, header)
        for rows in batches:
            vectors.write(rows.embeddings.astype("<f4").tobytes())
            columns.write_batch(_as_batch(rows, schema))


def read_columns(folder: Path, description: IndexDescription) -> EmbeddingTable | None:
    """Return the images of a local index; None if it was made by an earlier version or is in the midst of an append.

    Ids, scenes, labels and scores are read into memory; the embeddings stay on the disk until they are compared.
    """
    if description.growth:
        return None
    info = description.info
    try:
        with pa.memory_map(str(folder / COLUMNS_FILE)) as source:
            columns = pa.ipc.open_file(source).read_all()
        vectors = np.load(folder / VECTORS_FILE, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # not there or damaged: the database has it all
        return None
    if columns.schema.metadata != {_STATE: _state(description)} or vectors.shape != (info.rows, info.dimension):
        return None
    return EmbeddingTable(
        ids=columns["id"].to_pylist(),
        embeddings=vectors,
        scenes=columns["scene"].to_numpy() if info.scene_names else None,
        labels=columns["labels"].to_pylist() if info.label_names else None,
        scores=np.array(columns["scores"].to_pylist(), np.float32) if info.scores else None,
        info=info,
    )


def _state(description: IndexDescription) -> bytes:
    """Return by what the columns of an index are known not to be those of an earlier state."""
    return json.dumps([description.digest, description.info.rows, len(description.appended)]).encode()


def _schema(info: EmbeddingInfo) -> pa.Schema:
    fields = {"id": pa.string()}
    if info.scene_names:
        fields["scene"] = pa.int64()
    if info.label_names:
        fields["labels"] = pa.list_(pa.int32())
    if info.scores:
        fields["scores"] = pa.list_(pa.float32())
    return pa.schema(fields)


def _as_batch(rows: EmbeddingRows, schema: pa.Schema) -> pa.RecordBatch:
    values = {
        "id": rows.ids,
        "scene": rows.scenes,
        "labels": rows.labels,
        "scores": None if rows.scores is None else list(rows.scores),
    }
    return pa.RecordBatch.from_pydict({name: values[name] for name in schema.names}, schema)
