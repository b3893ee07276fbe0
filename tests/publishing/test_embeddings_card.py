"""Embeddings with their card, pushed to a Hub and read from there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mlrsnet_hf.publishing.embeddings_card import (
    PLACEHOLDER,
    RESULTS_FILE,
    EmbeddingsCard,
    embeddings_card,
    write_embeddings_card,
)
from mlrsnet_hf.retrieval.embeddings.files import DATA, EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LOCAL_FILE, EmbeddingInfo
from mlrsnet_hf.runtime.shards import plan_shards
from mlrsnet_hf.taxonomy import LABEL_NAMES

EXPECTED = Path(__file__).with_name("embeddings_card.md")
"""To mend it: write what `test_a_whole_card` renders into the file."""

INFO = EmbeddingInfo(
    model="densenet201",
    architecture="densenet201",
    model_fingerprint="ab" * 32,
    layer="pre_logits",
    dimension=4,
    dtype="float16",
    normalized=True,
    pca={"components": 4, "whitened": True, "fitted_on": 900, "explained": 0.875},
    dataset={"name": "mlrsnet", "protocol": "retrieval10", "split": "query+database", "seed": 0},
    dataset_fingerprint="cd" * 32,
    rows=5,
    label_names=("water", "ships"),
)


def test_a_whole_card() -> None:
    card = EmbeddingsCard(info=INFO, scores={"ANMRR": 0.125, "P@10": 0.875}, protocol="retrieval10, split seed 0")
    assert card.render() == EXPECTED.read_text(encoding="utf-8")


def test_what_is_not_there_is_not_in_the_card() -> None:
    text = embeddings_card(replace(INFO, dataset={"name": "harbours"}, label_names=(), pca=None, normalized=False))
    assert "license" not in yaml.safe_load(text.split("---\n")[1])
    for part in ("## Retrieval", "## Citation", "`labels`", "principal components", "length 1"):
        assert part not in text
    assert "| treatment | none |" in text


@pytest.mark.parametrize(("names", "is_mlrsnet"), [("beach, sand, sea, water", True), ("beach, water", False)])
def test_embeddings_of_earlier_versions_are_named_by_their_rows(tmp_path: Path, names: str, is_mlrsnet: bool) -> None:
    """They called all images in the layout of MLRSNet so; beach_00004 is published with beach, sand, sea and water."""
    labels = [LABEL_NAMES.index(name) for name in names.split(", ")]
    info = replace(INFO, rows=1, label_names=LABEL_NAMES)
    rows = EmbeddingRows(["beach_00004"], np.ones((1, 4), np.float32), None, [labels])
    (shard,) = plan_shards(info.split_name, 1, 5)
    (tmp_path / DATA).mkdir()
    write_rows(rows, info, tmp_path / DATA / shard.name)
    write_json(tmp_path / INFO_FILE, info.to_json())
    write_embeddings_card(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert ("Qi, X." in card) == is_mlrsnet
    assert ("# Embeddings: images in the layout of MLRSNet, densenet201\n" in card) != is_mlrsnet


LOAD = """
from huggingface_hub import DatasetCard
from datasets import load_dataset
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
table = EmbeddingTable.load("earthlab/embeddings")
print(table.ids, table.labels, table.embeddings.tolist(), table.info.model)
print(load_dataset("earthlab/embeddings", split="query_database")["id"][:])
print(DatasetCard.load("earthlab/embeddings").content)
"""


def test_published_embeddings_load_by_their_id(hub: Any, tmp_path: Path) -> None:  # noqa: ANN401
    (tmp_path / DATA).mkdir()
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float16).astype(np.float32)
    rows = EmbeddingRows([f"image_{i}" for i in range(5)], vectors, None, [[0], [], [1], [0, 1], []])
    [shard] = plan_shards(INFO.split_name, 5, 5)
    write_rows(rows, INFO, tmp_path / DATA / shard.name)
    write_json(tmp_path / INFO_FILE, INFO.to_json())
    write_json(tmp_path / LOCAL_FILE, {"model": "/home/jane/run"})
    write_json(tmp_path / RESULTS_FILE, {"scores": {"p_at_10": 0.875}, "protocol": "retrieval10, split seed 0"})
    (tmp_path / "README.md").write_text(embeddings_card(INFO))
    (tmp_path / ".embeddings.lock").write_text("")
    published = hub.publish(tmp_path, "earthlab/embeddings")
    assert published.returncode == 0, published.stderr
    (commit,) = hub.commits("datasets/earthlab/embeddings")
    files = {".gitattributes", "README.md", INFO_FILE, RESULTS_FILE, f"{DATA}/{shard.name}"}
    assert set(commit["files"]) == files
    assert (tmp_path / "README.md").read_text() == embeddings_card(INFO), "the folder is left as it was"
    table, ids, card = hub.python(LOAD, cwd=tmp_path).split("\n", 2)
    assert table == f"{rows.ids} {rows.labels} {vectors.tolist()} densenet201"
    assert ids == str(rows.ids)
    assert PLACEHOLDER not in card
    assert 'load_dataset("earthlab/embeddings", split="query_database")' in card
    assert "retrieval10, split seed 0" in card
    assert "| p_at_10 | 0.8750 |" in card
