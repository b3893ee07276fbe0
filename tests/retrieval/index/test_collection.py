"""What an index on Milvus Lite finds, against exact search: as a folder, with its columns, and as a server, without."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


@pytest.fixture(params=["folder", "lite"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an index may be built."""
    return str(tmp_path / "index") if request.param == "folder" else request.getfixturevalue("lite")


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_search_equals_exact_search(kind: str, location: str, make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    table = EmbeddingTable.load(make_embeddings())
    built = build_index(tmp_path / "numbers", location, kind)
    assert (built.rows, built.resumed, built.recall.value) == (60, 0, 1.0)
    queries = np.random.default_rng(3).normal(size=(4, 8))
    with open_index(location) as index:
        for filters in (
            {},
            {"labels": ["water"]},
            {"scene": "harbor"},
            {"labels": ["sand", "trees"], "scene": "beach"},
        ):
            expected, found = table.search(queries, 10, **filters), index.search(queries, 10, **filters)
            assert [[hit.id for hit in hits] for hits in found] == [[hit.id for hit in hits] for hits in expected]
            assert [hit.labels for hit in found[0]] == [hit.labels for hit in expected[0]]
            assert [hit.scene for hit in found[0]] == [hit.scene for hit in expected[0]]
            distances = [[hit.distance for hit in hits] for hits in found]
            np.testing.assert_allclose(distances, [[h.distance for h in hits] for hits in expected], rtol=1e-4)
        np.testing.assert_array_equal(index.find("image_017")[1], table.vector("image_017"))
        assert index.find("image_017")[0] == table.search(table.vector("image_017"), 1)[0][0]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_filter_alone_lists_the_first_images_that_pass(
    kind: str, location: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.collection._MOST_ROWS", 16)  # several rounds
    folder = make_embeddings()
    table = EmbeddingTable.load(folder)
    build_index(folder, location, kind)
    assert table.labels is not None and table.scenes is not None
    wet = [row for row in range(60) if 0 in table.labels[row]]  # label 0 is water
    sandy = [row for row in range(60) if {2, 3} <= set(table.labels[row]) and table.scenes[row] == 0]
    with open_index(location) as index:
        for source in (index, table):
            listing = source.list_images(["water"], k=7)
            assert ([image.row for image in listing.images], listing.total) == (wet[:7], len(wet))
            assert all(image.id == f"image_{image.row:03d}" for image in listing.images)
            listing = source.list_images(["sand", "trees"], "beach", k=1000)
            assert [image.row for image in listing.images] == sandy and listing.total == len(sandy)
            with pytest.raises(ConfigurationError, match=r"query.*filter"):
                source.list_images()
            with pytest.raises(ConfigurationError, match="k=0"):
                source.list_images(["water"], k=0)
            with pytest.raises(UnknownNameError, match=r"'habor'.*'harbor'"):
                source.list_images(scene="habor")
        assert index.list_images(["water"], k=60).images == table.list_images(["water"], k=60).images


def test_a_filter_that_few_pass_finds_them_all(
    location: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph alone would find 1 to 3 of these 7 images among 6,000."""
    rare = [row % 857 == 5 for row in range(6000)]
    labels = [[0, 3] if few else [0] if row % 2 else [1] for row, few in enumerate(rare)]
    folder = make_embeddings(rows=6000, shard=6000, labels=labels)
    build_index(folder, location)
    table = EmbeddingTable.load(folder)
    queries = np.random.default_rng(3).normal(size=(3, 8))
    with open_index(location) as index:
        for k, names in ((5, ["sand"]), (20, ["sand"]), (4, ["sand", "water"]), (3000, ["ships"])):
            expected, found = table.search(queries, k, names), index.search(queries, k, names)
            assert [[hit.id for hit in hits] for hits in found] == [[hit.id for hit in hits] for hits in expected]
        monkeypatch.setattr("mlrsnet_hf.retrieval.index.collection._FEW", 0)  # the graph, then what it missed
        assert [len(hits) for hits in index.search(queries, 20, ["sand"])] == [7, 7, 7]


def test_names_in_any_script_and_with_any_sign(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    ids = ["St. John's_01.jpg", 'a "quoted" one', "back\\slash", "two\nlines", "港.png", "no'] or id in ['x", "x"]
    names = {"label_names": ("café", "the 'old' town", 'a "b"', "c\\d"), "scene_names": ("港", "b", "c")}
    folder = make_embeddings(rows=7, ids=ids, labels=[[0, 1, 2, 3]] * 7, scenes=[0] * 7, **names)
    build_index(folder, tmp_path / "index")
    with open_index(tmp_path / "index") as index:
        assert [index.find(image_id)[0].id for image_id in ids] == ids
        with pytest.raises(ConfigurationError, match="or id in"):
            index.find("y'] or id in ['x")
        assert len(index.search(np.zeros(8), 7, labels=names["label_names"], scene="港")[0]) == 7
        with pytest.raises(UnknownNameError, match="scene ''"):
            index.search(np.zeros(8), 7, scene="")
