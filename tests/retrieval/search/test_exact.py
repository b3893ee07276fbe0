"""Rankings against an independent brute force in float64."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.overrides import TorchFunctionMode

from mlrsnet_hf.metrics import METRICS, RelevantRanks, common_labels, metrics_of, ndcg_at_k
from mlrsnet_hf.retrieval import CommonLabels, SameClass, Search, table9_depth
from mlrsnet_hf.retrieval.search.database import Database
from mlrsnet_hf.retrieval.search.distances import Distances
from mlrsnet_hf.retrieval.search.rankings import Block, Wanted
from mlrsnet_hf.retrieval.search.torch_backend import TorchBackend

DEVICES = [None, "cpu"]
"""NumPy's path and torch's."""

SquaredDistances = Callable[[np.ndarray, np.ndarray], np.ndarray]


def clusters(draw: np.random.Generator, items: int, dimensions: int, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of seven classes, their centers some way apart, and their classes."""
    classes = draw.integers(7, size=items)
    centers = np.random.default_rng(1).normal(size=(7, dimensions)) + offset
    return (centers[classes] + draw.normal(size=(items, dimensions))).astype(np.float32), classes


DATA = {
    "clusters": lambda draw, n: clusters(draw, n, 48, 0.0),
    "far from the origin": lambda draw, n: clusters(draw, n, 48, 30.0),
    "one dimension": lambda draw, n: (draw.normal(size=(n, 1)).astype(np.float32), draw.integers(7, size=n)),
    "small whole numbers": lambda draw, n: (draw.integers(4, size=(n, 5)).astype(np.float32), draw.integers(7, size=n)),
    "codes": lambda draw, n: (draw.choice([-1.0, 1.0], size=(n, 33)), draw.integers(7, size=n)),
    "few vectors, many copies": lambda draw, n: (
        np.random.default_rng(1).normal(size=(9, 33)).astype(np.float32)[draw.integers(9, size=n)],
        draw.integers(7, size=n),
    ),
    "all equal": lambda draw, n: (np.full((n, 12), 0.1, dtype=np.float32), draw.integers(7, size=n)),
    "all zero": lambda draw, n: (np.zeros((n, 3), dtype=np.float16), draw.integers(7, size=n)),
    "half precision": lambda draw, n: (draw.random((n, 20)).astype(np.float16), draw.integers(7, size=n)),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", DATA)
def test_whole_rankings_are_those_of_float64(
    name: str, device: str | None, squared_distances: SquaredDistances
) -> None:
    draw = np.random.default_rng(0)
    items, classes = DATA[name](draw, 700)
    queries, query_classes = DATA[name](draw, 23)
    squared = squared_distances(queries, items)
    found = Search(items, device=device).rank(queries, SameClass(query_classes, classes), k=len(items))
    order, relevance = found.neighbors.indices, query_classes[:, None] == classes
    assert (order == np.argsort(squared, axis=1, kind="stable")).all()
    np.testing.assert_allclose(found.neighbors.distances**2, np.take_along_axis(squared, order, 1), rtol=1e-4)
    assert (found.ranks.ranks == RelevantRanks.from_distances(squared, relevance).ranks).all()
    assert (found.ranks.relevant == relevance.sum(axis=1)).all()


@pytest.mark.parametrize("device", DEVICES)
def test_a_few_short_vectors_keep_their_ranks(device: str | None, squared_distances: SquaredDistances) -> None:
    draw = np.random.default_rng(0)
    items = (draw.normal(size=(3000, 24)) + 100.0).astype(np.float32)
    short = np.arange(1, 3000, 30)  # a sample of every third row from the first on holds none of them
    items[short] = draw.normal(size=(len(short), 24)) * 1e-2
    classes = np.zeros(len(items), dtype=int)
    classes[short] = draw.integers(2, size=len(short))
    queries = (draw.normal(size=(5, 24)) * 1e-2).astype(np.float32)
    found = Search(items, device=device).relevant_ranks(queries, SameClass(np.ones(5), classes))
    expected = RelevantRanks.from_distances(squared_distances(queries, items), np.tile(classes == 1, (5, 1)))
    assert (found.ranks == expected.ranks).all()


class Readings(TorchFunctionMode):
    """Counts what waits for a device."""

    count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        names = ("cpu", "item", "tolist", "__float__", "__int__")
        self.count += getattr(function, "__name__", "") in names
        return function(*args, **(kwargs or {}))


def test_a_device_is_waited_for_by_block_and_not_by_query() -> None:
    draw = np.random.default_rng(0)
    items, queries = (draw.standard_normal((rows, 8), dtype=np.float32) for rows in (200, 60))
    counts = []
    for number in (3, 60):
        search = Search(items, device="cpu")
        relevance = SameClass(np.zeros(number, int), np.arange(200) % 2)
        with Readings() as readings:
            search.rank(queries[:number], relevance, k=5)
        counts.append(readings.count)
    assert counts[0] == counts[1] > 3


def test_a_block_does_not_outlive_its_first_results() -> None:
    draw = np.random.default_rng(0)
    items = draw.normal(size=(500, 8)).astype(np.float32)
    database = Database(items, Distances.around_center(items, "euclidean"), hold=True, part_rows=500)
    backend = TorchBackend(database, "cpu", hold=True)
    block = Block(0, items[:4], *database.distances.prepare_queries(items[:4]))
    [ranked] = backend.rank([block], Wanted(None, 500, 3))
    assert ranked.indices.base is None and ranked.values.base is None


@pytest.mark.parametrize("device", DEVICES)
def test_equal_vectors_rank_by_index_wherever_they_stand(device: str | None) -> None:
    draw = np.random.default_rng(0)
    some = draw.normal(size=(40, 301)).astype(np.float32)
    which = draw.integers(40, size=997)
    items, queries = some[which], draw.normal(size=(5, 301)).astype(np.float32)
    items[3], items[5] = 0.0, -0.0
    for metric in ("euclidean", "inner_product"):
        for order in Search(items, metric, device=device).top(queries, 997).indices:
            places = np.empty(997, dtype=int)
            places[order] = np.arange(997)
            for vector in range(40):
                copies = np.flatnonzero((which == vector) & ~np.isin(np.arange(997), [3, 5]))
                assert (np.diff(places[copies]) == 1).all()
            assert places[5] == places[3] + 1


@given(st.data())
@settings(max_examples=60)
def test_whole_numbers_rank_exactly(data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, 4))
    values = st.integers(-8, 8)
    items = data.draw(arrays(np.int8, st.tuples(st.integers(1, 30), st.just(dimensions)), elements=values))
    queries = data.draw(arrays(np.int8, st.tuples(st.integers(1, 4), st.just(dimensions)), elements=values))
    squared = ((queries[:, None].astype(float) - items) ** 2).sum(axis=2)
    products = queries.astype(float) @ items.astype(float).T
    classes = np.arange(len(items)) % 3
    for metric, distances in (("euclidean", squared), ("inner_product", -products)):
        expected = np.argsort(distances, axis=1, kind="stable")
        found = Search(items, metric).rank(queries, SameClass(np.zeros(len(queries)), classes), k=len(items))
        assert found.neighbors.indices.tolist() == expected.tolist()
        assert found.ranks.ranks.tolist() == (np.nonzero(classes[expected] == 0)[1] + 1).tolist()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_other_metrics(metric: str, device: str | None, offset: float) -> None:
    draw = np.random.default_rng(0)
    (items, classes), (queries, query_classes) = (clusters(draw, n, 48, offset) for n in (500, 20))
    left, right = queries.astype(float), items.astype(float)
    if metric == "cosine":
        left, right = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (left, right))
    exact = (1.0 if metric == "cosine" else 0.0) - left @ right.T
    found = Search(items, metric, device=device).rank(queries, SameClass(query_classes, classes), k=500)
    assert (found.neighbors.indices == np.argsort(exact, axis=1, kind="stable")).all()
    values = np.take_along_axis(exact, found.neighbors.indices, 1)
    np.testing.assert_allclose(found.neighbors.distances, values, rtol=1e-4)
    expected = RelevantRanks.from_distances(exact, query_classes[:, None] == classes)
    assert (found.ranks.ranks == expected.ranks).all()


@pytest.mark.parametrize("device", DEVICES)
def test_an_image_is_at_no_distance_from_itself(device: str | None) -> None:
    items = np.random.default_rng(0).random((200, 64)).astype(np.float32)
    for metric in ("euclidean", "cosine"):
        found = Search(items, metric, device=device).top(items[50:60], 3)
        assert found.indices[:, 0].tolist() == list(range(50, 60))
        assert (found.distances[:, 0] == 0).all()
        assert (found.distances[:, 1] > 0).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("held", [True, False])
def test_any_memory_gives_the_same(device: str | None, held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    (items, classes), (queries, query_classes) = (clusters(draw, n, 200, 20.0) for n in (1500, 70))
    items[700] = items[3]
    relevance = SameClass(query_classes, classes)
    expected = Search(items).rank(queries, relevance, k=9)
    # 1.2 MB of vectors, 12 kB for a query by all items (60 kB on a device).
    monkeypatch.setattr("mlrsnet_hf.retrieval.search.database._PART_BYTES", 100_000)
    search = Search(items, device=device, memory_megabytes=(6.0 if device else 2.2) if held else 0.5)
    found = search.rank(queries, relevance, k=9)
    assert search._plan.hold == held
    assert search._plan.queries >= 1
    assert (found.ranks.ranks == expected.ranks.ranks).all()
    np.testing.assert_allclose(found.neighbors.distances, expected.neighbors.distances, rtol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_table9_needs_no_deeper_ranks(device: str | None) -> None:
    draw = np.random.default_rng(0)
    (items, classes), (queries, query_classes) = (clusters(draw, n, 30, 0.0) for n in (4000, 60))
    relevance, search = SameClass(query_classes, classes), Search(items, device=device)
    whole, cut = (search.relevant_ranks(queries, relevance, depth=d) for d in (None, table9_depth(relevance)))
    assert len(cut.ranks) < len(whole.ranks)
    for metric in metrics_of("retrieval", headline_only=True).values():
        assert (metric.function(cut).values == metric.function(whole).values).all()


def test_labels_in_common_as_relevance_and_as_gains(squared_distances: SquaredDistances) -> None:
    draw = np.random.default_rng(0)
    items, labels = draw.normal(size=(300, 8)), draw.random((300, 6)) < 0.3
    queries, query_labels = draw.normal(size=(12, 8)), draw.random((12, 6)) < 0.5
    found = Search(items).rank(queries, CommonLabels(query_labels, labels, at_least=2), k=100)
    squared, shared = squared_distances(queries, items), query_labels.astype(int) @ labels.T.astype(int)
    expected = RelevantRanks.from_distances(squared, shared >= 2)
    assert (found.ranks.ranks == expected.ranks).all()
    assert (found.ranks.found == expected.found).all()
    order = np.argsort(squared, axis=1, kind="stable")[:, :100]
    gains = common_labels(query_labels, labels, found.neighbors.indices)
    ideal = -np.sort(-shared, axis=1)
    value = METRICS["ndcg_at_100"].function(gains, ideal_gains=ideal)
    assert value == pytest.approx(ndcg_at_k(np.take_along_axis(shared, order, 1), 100, ideal))


def test_a_training_run_cannot_coarsen_the_product() -> None:
    items = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    expected = Search(items).top(items[:20], 300)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = Search(torch.from_numpy(items), device=torch.device("cpu")).top(torch.from_numpy(items[:20]), 300)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert (found.indices == expected.indices).all()


def test_one_query_and_one_item() -> None:
    found = Search([[1.0, 2.0]]).rank([[1.0, 0.0]], SameClass(["pier"], ["pier"]), k=1)
    assert (found.neighbors.indices.tolist(), found.neighbors.distances.tolist()) == ([[0]], [[2.0]])
    assert found.ranks.ranks.tolist() == [1]


def test_progress_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    search = Search(np.eye(3))
    search.top(np.eye(3), 1)
    assert capsys.readouterr().err == ""
    search.top(np.eye(3), 1, progress=True)
    assert "3/3" in capsys.readouterr().err
