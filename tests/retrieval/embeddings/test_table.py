"""Embeddings in memory, searched against brute force and asked wrongly."""

import json
from collections.abc import Callable

import datasets
import numpy as np
import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, write_embeddings_card
from mlrsnet_hf.retrieval.embeddings.files import (
    EmbeddingError,
    EmbeddingFolder,
)
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
