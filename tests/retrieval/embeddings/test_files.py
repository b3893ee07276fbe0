"""The Parquet files of an embeddings folder: read back, loaded by `datasets`, and refused when damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import (
    EmbeddingError,
    EmbeddingFolder,
    EmbeddingRows,
    write_rows,
)
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.shards import plan_shards

MakeEmbeddings = Callable[..., EmbeddingFolder]


def test_batches_begin_at_any_row(make_embeddings: MakeEmbeddings) -> None:
    folder = make_embeddings()
    everything = EmbeddingTable.load(folder)
    for start in (0, 7, 24, 25, 59):
        ids = [image_id for rows in folder.batches(rows=10, start=start) for image_id in rows.ids]
        assert ids == everything.ids[start:]


@given(rows=st.integers(0, 400), size=st.integers(1, 90))
def test_shards_hold_every_row_once_and_in_order(rows: int, size: int) -> None:
    shards = plan_shards("test", rows, size)
    assert [row for shard in shards for row in shard.rows] == list(range(rows))
    assert [shard.name for shard in shards] == sorted(shard.name for shard in shards)
    assert all(max(map(len, shard.batches(7))) <= 7 for shard in shards)


def test_datasets_and_faiss_take_the_folder_as_it_is(make_embeddings: MakeEmbeddings) -> None:
    pytest.importorskip("faiss")
    folder = make_embeddings()
    table = EmbeddingTable.load(folder)
    data = datasets.load_dataset(str(folder.path), split="test")
    assert data["id"][:] == table.ids
    assert data.features["scene"].names == ["beach", "forest", "harbor"]
    assert [data.features["labels"].feature.int2str(label) for label in data[3]["labels"]] == [
        folder.info.label_names[label] for label in (table.labels or [])[3]
    ]
    data.add_faiss_index("embedding")
    query = np.random.default_rng(1).normal(size=8).astype(np.float32)
    found = data.get_nearest_examples("embedding", query, k=5)[1]["id"]
    assert found == [hit.id for hit in table.search(query, k=5)[0]]


def test_damage_is_one_sentence(make_embeddings: MakeEmbeddings) -> None:
    folder = make_embeddings()
    path = folder.files[1]
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(EmbeddingError, match=r"00001-of-00003\.parquet"):
        EmbeddingTable.load(folder)
    path.unlink()
    with pytest.raises(EmbeddingError, match=r"35 .*60"):
        EmbeddingTable.load(folder)
    path.write_bytes(make_embeddings(name="other", dimension=9).files[1].read_bytes())
    with pytest.raises(EmbeddingError, match=r"9 .*8"):
        EmbeddingTable.load(folder)
    info = json.loads((folder.path / "embeddings.json").read_text())
    (folder.path / "embeddings.json").write_text(json.dumps(info | {"format": 2}))
    with pytest.raises(ConfigurationError, match=r"format 2.*format 1"):
        EmbeddingTable.load(folder.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "x"}, "rows='x'"),
        ({"rows": -1}, "rows=-1"),
        ({"rows": 10**9}, "60 rows where 1,000,000,000 are said to be"),
        ({"dimension": "x"}, "dimension='x'"),
        ({"label_names": ["water"]}, "labels 3 where embeddings.json names 1"),
        ({"label_names": ["water", "water"]}, "stands twice"),
        ({"scene_names": 3}, "scene_names=3"),
        ({"scene_names": ["beach"]}, "scene 2 where embeddings.json names 1"),
        ({"pca": "x"}, "pca='x'"),
        ({"pca": {"components": 3}}, "pca.explained"),
        ({"layer": "x"}, "layer='x'"),
        ({"scores": ["water"]}, "column 'scores'"),
    ],
)
def test_what_the_folder_says_is_held_against_its_files(
    make_embeddings: MakeEmbeddings, change: dict, message: str
) -> None:
    folder = make_embeddings()
    path = folder.path / "embeddings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for file in folder.files:
        pq.write_table(pq.read_table(file).replace_schema_metadata({}), file)
    with pytest.raises((ConfigurationError, EmbeddingError), match=message):
        EmbeddingTable.load(folder.path)


def test_not_finite_is_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder = make_embeddings()
    table = pq.read_table(folder.files[0])
    vectors = np.stack(table["embedding"].to_numpy()).copy()
    vectors[4, 2] = np.inf
    column = table.schema.get_field_index("embedding")
    field = table.schema.field(column)
    pq.write_table(table.set_column(column, field, pa.array(vectors.tolist(), field.type)), folder.files[0])
    with pytest.raises(EmbeddingError, match="image_004"):
        EmbeddingTable.load(folder)
    too_large = EmbeddingRows(["big"], np.full((1, 8), 1e6, np.float32), np.array([0]), [[]])
    info = EmbeddingTable.load(make_embeddings(name="half", dtype="float16")).info
    with pytest.raises(EmbeddingError, match=r"'big'.*float16"):
        write_rows(too_large, info, tmp_path / "half.parquet")


def test_a_file_of_another_model_is_refused(make_embeddings: MakeEmbeddings) -> None:
    folder, other = make_embeddings(), make_embeddings(name="other", model_fingerprint="e" * 64)
    folder.files[1].write_bytes(other.files[1].read_bytes())
    with pytest.raises(EmbeddingError, match=r"00001.*embeddings\.json"):
        EmbeddingTable.load(folder)
