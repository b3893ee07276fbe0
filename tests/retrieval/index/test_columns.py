"""What a local index answers from its columns, against brute force."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.pages import Query, result_page
from mlrsnet_hf.retrieval.embeddings.query import Filter
from mlrsnet_hf.retrieval.index.append import append_to_index
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.collection import ImageCollection
from mlrsnet_hf.retrieval.index.columns import COLUMNS_FILE, VECTORS_FILE, read_columns
from mlrsnet_hf.retrieval.index.description import Growth
from mlrsnet_hf.retrieval.index.index import ImageIndex, open_index, opened_collection

pytest.importorskip("milvus_lite")

MakeEmbeddings = Callable[..., EmbeddingFolder]
Row = tuple[np.ndarray, set[str], str | None]
"""Vector, labels and scene."""

LABELS = ("water", "ships", "trees", "sand")
SCENES = ("beach", "forest", "harbor")
DRAW = np.random.default_rng(7)
VECTORS = DRAW.integers(0, 3, (300, 3)).astype(np.float32)  # 27 different ones: most distances are ties
LABEL_IDS = [np.flatnonzero(row).tolist() for row in DRAW.random((300, 4)) < 0.4]
SCENE_IDS = DRAW.integers(0, 3, 300).tolist()
ROWS: list[Row] = [
    (vector, {LABELS[label] for label in labels}, SCENES[scene])
    for vector, labels, scene in zip(VECTORS, LABEL_IDS, SCENE_IDS, strict=True)
]
FILTERS = [(("water",), None), ((), "harbor"), (("sand", "trees"), "beach"), (LABELS, None), (("sand",), None)]


@pytest.fixture
def columns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Milvus answer nothing."""
    for method in ("search", "list_images", "_rows", "_ids"):
        monkeypatch.setattr(ImageCollection, method, lambda *arguments, **options: pytest.fail("Milvus was asked"))


def passing(rows: list[Row], labels: tuple[str, ...], scene: str | None) -> list[int]:
    """Return the rows that pass a filter."""
    return [i for i, (_, has, shows) in enumerate(rows) if set(labels) <= has and scene in (None, shows)]


def nearest(rows: list[Row], query: np.ndarray, labels: tuple[str, ...], scene: str | None) -> list[tuple[int, float]]:
    """Return row and distance of what passes a filter, nearest first, ties by row."""
    found = [(float(((rows[i][0] - query) ** 2).sum()), i) for i in passing(rows, labels, scene)]
    return [(i, square**0.5) for square, i in sorted(found)]


def check(index: ImageIndex, rows: list[Row], filters: list[tuple[tuple[str, ...], str | None]]) -> None:
    """Compare searches and listings, whole and page by page, with brute force."""
    query = np.float32([1, 0, 2])
    for labels, scene in filters:
        expected = nearest(rows, query, labels, scene)
        [hits] = index.search(query, len(rows), labels, scene)
        assert [hit.row for hit in hits] == [row for row, _ in expected]
        np.testing.assert_allclose([hit.distance for hit in hits], [far for _, far in expected], rtol=1e-6)
        assert [(set(hit.labels or ()), hit.scene) for hit in hits] == [rows[hit.row][1:] for hit in hits]
        wanted, inside = Filter(labels=labels, scene=scene), passing(rows, labels, scene)
        for number in range(1, -(-len(inside) // 7) + 1):
            part = slice(7 * (number - 1), 7 * number)
            page = result_page(index, Query(title="", wanted=wanted), number, 7)
            assert ([image.row for image in page.images], page.total) == (inside[part], len(inside))
            page = result_page(index, Query(title="", vector=query, wanted=wanted), number, 7)
            assert [image.row for image in page.images] == [row for row, _ in expected[part]]
            assert page.is_last == (7 * number >= len(inside))


@pytest.mark.usefixtures("columns_alone")
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_filters_equal_brute_force(
    kind: str, make_embeddings: MakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.build.measured", lambda *arguments: (None, None))
    folder = make_embeddings(rows=300, dimension=3, vectors=VECTORS, labels=LABEL_IDS, scenes=SCENE_IDS)
    build_index(folder, tmp_path / "index", kind)
    with open_index(tmp_path / "index") as index:
        check(index, ROWS, FILTERS)


def test_what_is_appended_is_filtered_too(
    make_embeddings: MakeEmbeddings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Known ids get other vectors and labels, new ones a label that the index did not have, and none has a scene."""
    folder = make_embeddings(rows=300, dimension=3, vectors=VECTORS, labels=LABEL_IDS, scenes=SCENE_IDS)
    build_index(folder, tmp_path / "index")
    ids = [f"image_{i:03d}" for i in range(280, 330)]
    vectors = DRAW.integers(0, 3, (50, 3)).astype(np.float32)
    more = make_embeddings(
        rows=50,
        dimension=3,
        name="more",
        vectors=vectors,
        ids=ids,
        label_names=("snow", "water"),
        labels=[[i % 2] if i % 5 else [0, 1] for i in range(50)],
        scene_names=(),
    )
    append_to_index(more, tmp_path / "index")
    added: list[Row] = [
        (vectors[i], ({"snow"}, {"water"})[i % 2] if i % 5 else {"snow", "water"}, None) for i in range(50)
    ]
    rows, filters = ROWS[:280] + added, [*FILTERS, (("snow",), None), (("water", "snow"), None)]
    with open_index(tmp_path / "index") as index:
        listed = [index.list_images(labels, scene, 400) for labels, scene in filters]
    (tmp_path / "index" / COLUMNS_FILE).rename(tmp_path / "columns")
    with open_index(tmp_path / "index") as index:
        assert [index.list_images(labels, scene, 400) for labels, scene in filters] == listed, "as Milvus has them"
    (tmp_path / "columns").rename(tmp_path / "index" / COLUMNS_FILE)
    request.getfixturevalue("columns_alone")
    with open_index(tmp_path / "index") as index:
        check(index, rows, filters)


def test_columns_that_do_not_hold_are_passed_over(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder = make_embeddings(rows=300, dimension=3, vectors=VECTORS, labels=LABEL_IDS, scenes=SCENE_IDS)
    target = tmp_path / "index"
    build_index(folder, target)
    with opened_collection(target, "") as (_, description):
        assert read_columns(target, description) is not None
        growth = Growth(embeddings=folder.info, digest="x", before=300, after=300)
        assert read_columns(target, dataclasses.replace(description, growth=growth)) is None
        appended = ({"rows": 1, "dataset": {}, "dataset_fingerprint": "0"},)
        assert read_columns(target, dataclasses.replace(description, appended=appended)) is None
    for name in (COLUMNS_FILE, VECTORS_FILE):
        whole = (target / name).read_bytes()
        for size in (0, 50, len(whole) - 40):
            (target / name).write_bytes(whole[:size])
            with opened_collection(target, "") as (_, description):
                assert read_columns(target, description) is None
        with open_index(target) as index:
            assert index.list_images(["water"]).total == len(passing(ROWS, ("water",), None)), "by Milvus"
        build_index(folder, target)  # nothing is left to do but this
        assert (target / name).read_bytes() == whole


def test_an_index_opens_without_its_columns(
    make_embeddings: MakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(make_embeddings(), tmp_path / "index")
    asked = []

    def counted(*arguments: object) -> object:
        asked.append(arguments)
        return read_columns(*arguments)

    monkeypatch.setattr("mlrsnet_hf.retrieval.index.index.read_columns", counted)
    with open_index(tmp_path / "index") as index:
        index.search(index.find("image_017")[1], 5)
        assert not asked
        index.search(np.zeros(8), 5, ["water"])
        index.list_images(["sand"])
        assert len(asked) == 1


def test_a_filter_that_all_pass(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    build_index(make_embeddings(scenes=[1] * 60), tmp_path / "index", "flat")
    query = np.random.default_rng(3).normal(size=8)
    with open_index(tmp_path / "index") as index:
        [every], [passing_all] = index.search(query, 60), index.search(query, 60, scene="forest")
    assert [hit.id for hit in passing_all] == [hit.id for hit in every]
