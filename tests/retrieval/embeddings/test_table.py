"""The embeddings folder: read back, searched, loaded by `datasets` as it is, and refused when it is damaged."""

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

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, write_embeddings_card
from mlrsnet_hf.retrieval.embeddings.config import ImageSet, ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import (
    EmbeddingError,
    EmbeddingFolder,
    EmbeddingRows,
    plan_shards,
    write_rows,
)
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.pca import fit_pca, load_pca, unit_length
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

MakeEmbeddings = Callable[..., EmbeddingFolder]


def brute_force(table: EmbeddingTable, query: np.ndarray, allowed: list[int]) -> list[int]:
    distances = ((table.embeddings[allowed].astype(np.float64) - query) ** 2).sum(axis=1)
    return [allowed[place] for place in np.argsort(distances, kind="stable")]


def test_search_equals_brute_force(make_embeddings: MakeEmbeddings) -> None:
    table = EmbeddingTable.load(make_embeddings())
    assert table.labels is not None and table.scenes is not None
    query = np.random.default_rng(9).normal(size=8)
    hits = table.search(query, k=60)[0]
    assert [hit.row for hit in hits] == brute_force(table, query, list(range(60)))
    assert hits[0].distance == pytest.approx(np.linalg.norm(table.embeddings[hits[0].row] - query), rel=1e-5)
    wanted = [row for row in range(60) if {0, 2} <= set(table.labels[row]) and table.scenes[row] == 1]
    assert wanted, "the draw holds such images"
    filtered = table.search(query, k=60, labels=["trees", "water"], scene="forest")[0]
    assert [hit.row for hit in filtered] == brute_force(table, query, wanted)
    assert all(hit.scene == "forest" and {"trees", "water"} <= set(hit.labels or ()) for hit in filtered)
    assert [hit.id for hit in filtered] == [table.ids[hit.row] for hit in filtered]


def test_batches_begin_at_any_row(make_embeddings: MakeEmbeddings) -> None:
    folder = make_embeddings()
    everything = EmbeddingTable.load(folder)
    for start in (0, 7, 24, 25, 59):
        ids = [image_id for rows in folder.batches(rows=10, start=start) for image_id in rows.ids]
        assert ids == everything.ids[start:]


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


def test_the_card_names_split_and_results(make_embeddings: MakeEmbeddings) -> None:
    folder = make_embeddings()
    write_embeddings_card(folder.path)
    assert "## Retrieval" not in (folder.path / "README.md").read_text()
    results = {"scores": {"anmrr": 0.1583, "map@100": 0.8936, "undefined": None}, "protocol": "10 percent queries."}
    (folder.path / RESULTS_FILE).write_text(json.dumps(results))
    write_embeddings_card(folder.path, "earthlab/embeddings")
    text = (folder.path / "README.md").read_text()
    assert "| anmrr | 0.1583 |" in text and "undefined" not in text
    assert 'load_dataset("earthlab/embeddings", split="test")' in text
    assert "8 x float32" in text
    # The YAML of the card must not stop datasets from reading the folder, nor the results be taken for data.
    assert datasets.load_dataset(str(folder.path), split="test").num_rows == 60


def test_mistakes(make_embeddings: MakeEmbeddings) -> None:
    folder = make_embeddings()
    table = EmbeddingTable.load(str(folder.path))
    query = np.zeros(8)
    with pytest.raises(EmbeddingError, match=r"\(1, 7\).* 8 dimensions"):
        table.search(np.zeros(7))
    with pytest.raises(EmbeddingError, match="query 0"):
        table.search(query * np.nan)
    with pytest.raises(ConfigurationError, match=r"k=61 .*60 images"):
        table.search(query, k=61)
    with pytest.raises(UnknownNameError, match=r"'watr'.*'water'"):
        table.search(query, labels=["watr"])
    with pytest.raises(UnknownNameError, match="'port'"):
        table.search(query, scene="port")
    with pytest.raises(ConfigurationError, match=r"water, ships, trees, sand.*beach"):
        everything = make_embeddings(name="few", rows=3)
        EmbeddingTable.load(everything).search(query, k=1, labels=["water", "ships", "trees", "sand"], scene="beach")
    with pytest.raises(ConfigurationError, match=r"'x'.*'image_"):
        table.vector("x")
    with pytest.raises(ConfigurationError, match=r"data.*embeddings\.json"):
        EmbeddingTable.load(folder.path / "data")


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


@given(rows=st.integers(0, 400), size=st.integers(1, 90))
def test_shards_hold_every_row_once_and_in_order(rows: int, size: int) -> None:
    shards = plan_shards("test", rows, size)
    assert [row for shard in shards for row in shard.rows] == list(range(rows))
    assert [shard.name for shard in shards] == sorted(shard.name for shard in shards)
    assert all(max(map(len, shard.batches(7))) <= 7 for shard in shards)


@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_components_do_not_depend_on_the_batches(size: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(40, 5)).astype(np.float32) + 100
    whole = fit_pca([vectors], 2, whiten=False)
    parts = fit_pca([vectors[start : start + size] for start in range(0, 40, size)], 2, whiten=False)
    np.testing.assert_allclose(parts.components, whole.components, atol=1e-6)
    values, axes = np.linalg.eigh(np.cov(vectors.astype(np.float64).T))
    np.testing.assert_allclose(np.abs(whole.components[0]), np.abs(axes[:, -1]), atol=1e-6)
    np.testing.assert_allclose(whole.variances, values[::-1][:2])


def test_zero_stays_zero_at_unit_length() -> None:
    np.testing.assert_allclose(unit_length(np.float32([[3, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_a_file_of_another_model_is_refused(make_embeddings: MakeEmbeddings) -> None:
    folder, other = make_embeddings(), make_embeddings(name="other", model_fingerprint="e" * 64)
    folder.files[1].write_bytes(other.files[1].read_bytes())
    with pytest.raises(EmbeddingError, match=r"00001.*embeddings\.json"):
        EmbeddingTable.load(folder)


def test_a_name_that_is_a_file_here_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mlrsnet", "pretrained", "weights.pt"):
        (tmp_path / name).touch()
    named = LocalSources(ModelChoice(weights="pretrained"), ImageSet(dataset="mlrsnet"))
    assert LocalSources.from_json(named.to_json()) == named
    filed = LocalSources.from_json(LocalSources(ModelChoice(weights="weights.pt"), ImageSet()).to_json())
    assert filed is not None and filed.model.weights == str(tmp_path / "weights.pt")


def test_torn_principal_components_are_one_sentence(tmp_path: Path) -> None:
    fit_pca([np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)], 2, whiten=False).save(
        tmp_path / "pca.npz"
    )
    whole = (tmp_path / "pca.npz").read_bytes()
    (tmp_path / "pca.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"pca\.npz"):
        load_pca(tmp_path / "pca.npz")
