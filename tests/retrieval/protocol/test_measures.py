"""The measures of the protocol against loops in float64, on random and on tied data, and what is left out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.protocol.measures import Measured, measure
from mlrsnet_hf.retrieval.protocol.query_database import LabeledEmbeddings, QueryDatabase, by_ids, from_two
from mlrsnet_hf.retrieval.search.relevance import best_common_labels

SCENES = ("beach", "forest", "harbor")
LABELS = tuple("abcdefg")


def info_of(dimension: int, **changes: object) -> EmbeddingInfo:
    fields = {
        "model": "net",
        "architecture": "test_resnet",
        "model_fingerprint": "f" * 64,
        "layer": "pre_logits",
        "dimension": dimension,
        "dtype": "float32",
        "normalized": False,
        "dataset_fingerprint": "0",
        "rows": 0,
        "label_names": LABELS,
        "scene_names": SCENES,
    }
    return EmbeddingInfo(**fields | changes)


def make(queries: int, items: int, tied: bool = False, seed: int = 0, dimension: int = 5) -> QueryDatabase:
    draw = np.random.default_rng(seed)
    size = (queries + items, dimension)
    vectors = draw.integers(0, 3, size) if tied else draw.normal(size=size)
    ids = [f"image_{row:04d}" for row in range(len(vectors))]
    rows = LabeledEmbeddings(
        ids,
        vectors.astype(np.float32),
        draw.integers(0, len(SCENES), len(vectors)),
        draw.random((len(vectors), 7)) < 0.4,
    )
    parts = rows.select(np.arange(queries)), rows.select(np.arange(queries, queries + items))
    return QueryDatabase(*parts, SCENES, LABELS, info_of(dimension))


def brute_force(data: QueryDatabase) -> dict[str, list[float]]:
    """Return every measure of every query, each by its formula, from a stable sort of float64 distances."""
    database, values = data.database.embeddings.astype(np.float64), {}
    members = [int((data.database.scenes == scene).sum()) for scene in data.queries.scenes]
    for query in range(len(data.queries)):
        distances = ((database - data.queries.embeddings[query].astype(np.float64)) ** 2).sum(axis=1)
        order = sorted(range(len(database)), key=lambda item: (distances[item], item))
        hits = [bool(data.database.scenes[item] == data.queries.scenes[query]) for item in order]
        gains = [int((data.queries.labels[query] & data.database.labels[item]).sum()) for item in order]
        for name, value in (one_query(hits, members[query], max(members)) | graded(gains)).items():
            values.setdefault(name, []).append(value)
    return values


def one_query(hits: list[bool], count: int, largest: int) -> dict[str, float]:
    ranks = [place + 1 for place, hit in enumerate(hits) if hit]
    cut = min(4 * count, 2 * largest)
    average = sum(rank if rank <= cut else 1.25 * cut for rank in ranks) / count
    precision = [sum(hits[:k]) / k for k in range(1, len(hits) + 1)]
    return {
        "anmrr": (average - 0.5 * (1 + count)) / (1.25 * cut - 0.5 * (1 + count)),
        "retrieval_map": sum(precision[:100]) / 100,
        **{f"precision_at_{k}": sum(hits[:k]) / k for k in (10, 50, 100, 500)},
        "recall_at_100": sum(hits[:100]) / count,
        "average_precision": sum(precision[rank - 1] for rank in ranks) / count,
    }


def graded(gains: list[int]) -> dict[str, float]:
    values = {}
    for k in (10, 100):
        top, best = gains[:k], sorted(gains, reverse=True)[:k]
        dcg, ideal = (sum((2**g - 1) / math.log2(r + 2) for r, g in enumerate(part)) for part in (top, best))
        means = [sum(top[: r + 1]) / (r + 1) for r in range(len(top)) if top[r]]
        values |= {
            f"ndcg_at_{k}": dcg / ideal if ideal else math.nan,
            f"acg_at_{k}": sum(top) / k,
            f"wap_at_{k}": sum(means) / len(means) if means else 0.0,
        }
    return values


@pytest.mark.parametrize("tied", [False, True])
def test_every_measure_of_every_query(tied: bool) -> None:
    data = make(40, 520, tied)
    measured = measure(data)
    expected = brute_force(data)
    assert list(measured.values) == list(expected)[:8] + [
        f"{name}_at_{k}" for name in ("ndcg", "acg", "wap") for k in (10, 100)
    ]
    for name, values in expected.items():
        np.testing.assert_allclose(measured.values[name].values, values, rtol=1e-12, err_msg=name)
    assert (measured.left_out, measured.queries_without) == ({}, {})
    assert measured.best_possible.keys() == {"precision_at_500", "recall_at_100"}  # about 173 images of each scene


def test_curves_are_the_best_precision_at_each_recall() -> None:
    data = make(6, 50, tied=True, seed=4)
    distances = ((data.queries.embeddings[:, None].astype(float) - data.database.embeddings) ** 2).sum(axis=2)
    curves = []
    for query, row in enumerate(distances):
        hits = (data.database.scenes == data.queries.scenes[query])[np.argsort(row, kind="stable")]
        points = [(hits[:k].sum() / hits.sum(), hits[:k].mean()) for k in range(1, len(hits) + 1)]
        curves.append([max(p for r, p in points if r >= level / 100 - 1e-12) for level in range(101)])
    np.testing.assert_allclose(measure(data).curve.precision, np.mean(curves, axis=0), rtol=1e-12)


def test_depths_beyond_the_database_are_left_out_and_said() -> None:
    data = make(9, 40)
    measured = measure(data)
    expected = brute_force(data)
    kept = ["anmrr", "precision_at_10", "average_precision", "ndcg_at_10", "acg_at_10", "wap_at_10"]
    assert list(measured.values) == kept
    for name in kept:
        np.testing.assert_allclose(measured.values[name].values, expected[name], rtol=1e-12)
    assert "40" in measured.left_out["precision_at_500"] and "500" in measured.left_out["precision_at_500"]
    assert measured.left_out.keys() == expected.keys() - set(kept)


def perfect(measured: Measured) -> dict[str, float]:
    """Return what a ranking scores that has all relevant images first."""
    largest, size = int(measured.relevant.max()), len(measured.data.database)
    rows = [one_query([True] * n + [False] * (size - n), n, largest) for n in measured.relevant.tolist()]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def test_the_best_possible_is_what_a_perfect_ranking_scores() -> None:
    measured = measure(make(20, 120, seed=2))
    best = perfect(measured)
    assert measured.best_possible == pytest.approx(
        {name: best[name] for name in measured.values if name in best and 0 < best[name] < 1}
    )
    assert measured.best_possible["retrieval_map"] < 1


def test_queries_of_a_scene_that_is_not_searched_are_left_out() -> None:
    data = make(12, 60)
    kept = data.database.select(np.flatnonzero(data.database.scenes != 1))
    measured = measure(QueryDatabase(data.queries, kept, SCENES, LABELS, data.info))
    assert measured.queries_without == {"forest": int((data.queries.scenes == 1).sum())}
    assert set(measured.scenes) == {"beach", "harbor"}
    only = QueryDatabase(data.queries.select(np.flatnonzero(data.queries.scenes == 1)), kept, SCENES, LABELS, data.info)
    with pytest.raises(ConfigurationError, match=str((data.queries.scenes == 1).sum())):
        measure(only)


def test_without_labels_the_measures_on_labels_are_left_out() -> None:
    data = make(5, 30)
    bare = [LabeledEmbeddings(p.ids, p.embeddings, p.scenes, None) for p in (data.queries, data.database)]
    measured = measure(QueryDatabase(*bare, SCENES, (), data.info))
    assert "labels" in measured.left_out["ndcg_at_10"]
    assert measured.gains is None
    assert "acg_at_10" not in measured.values


def test_nan_is_named() -> None:
    data = make(5, 30)
    data.database.embeddings[7, 2] = np.nan
    with pytest.raises(EmbeddingError, match="image_0012"):
        measure(data)


def table(part: LabeledEmbeddings, **changes: object) -> EmbeddingTable:
    labels = [np.flatnonzero(row).tolist() for row in part.labels]
    info = info_of(part.embeddings.shape[1], rows=len(part), **changes)
    return EmbeddingTable(part.ids, part.embeddings, part.scenes, labels, None, info)


def test_two_tables_or_one_with_ids_give_the_same() -> None:
    data = make(6, 30)
    queries, database = table(data.queries), table(data.database)
    mixed = np.random.default_rng(1).permutation(36)
    everything = LabeledEmbeddings(
        data.queries.ids + data.database.ids,
        np.concatenate([data.queries.embeddings, data.database.embeddings]),
        np.concatenate([data.queries.scenes, data.database.scenes]),
        np.concatenate([data.queries.labels, data.database.labels]),
    ).select(mixed)
    for taken in (from_two(queries, database), by_ids(table(everything), data.queries.ids, data.database.ids)):
        for part, own in ((taken.queries, data.queries), (taken.database, data.database)):
            assert part.ids == own.ids
            np.testing.assert_array_equal(part.embeddings, own.embeddings)
            np.testing.assert_array_equal(part.scenes, own.scenes)
            np.testing.assert_array_equal(part.labels, own.labels)


def test_tables_that_do_not_belong_together_are_refused() -> None:
    data = make(6, 30)
    queries, database = table(data.queries), table(data.database)
    narrow = make(6, 30, dimension=4)
    with pytest.raises(EmbeddingError, match=r"dimension\b.* 5 .* 4 "):
        from_two(queries, table(narrow.database))
    with pytest.raises(EmbeddingError, match="model fingerprint, layer"):
        from_two(queries, table(data.database, model_fingerprint="e" * 64, layer="logits"))
    with pytest.raises(ConfigurationError, match="label names"):
        from_two(queries, table(data.database, label_names=tuple("gfedcba")))
    with pytest.raises(ConfigurationError, match=r"6 .*image_0000"):
        from_two(queries, queries)
    with pytest.raises(ConfigurationError, match=r"1 of the 7 .* 30 .*unknown"):
        by_ids(database, database.ids[:6], ["unknown"])
    twice = data.queries.select(np.array([0, 1, 1]))
    with pytest.raises(ConfigurationError, match="1 "):
        by_ids(table(twice), ["image_0000"], ["image_0001"])
    without = EmbeddingTable(database.ids, database.embeddings, None, None, None, database.info)
    with pytest.raises(ConfigurationError, match="scene"):
        by_ids(without, database.ids[:1], database.ids[1:])


@given(data=st.data())
def test_best_common_labels_are_those_of_a_sort(data: st.DataObject) -> None:
    labels = data.draw(st.integers(1, 4))
    queries = data.draw(arrays(bool, (data.draw(st.integers(1, 4)), labels)))
    items = data.draw(arrays(bool, (data.draw(st.integers(1, 9)), labels)))
    k = data.draw(st.integers(1, len(items)))
    common = queries.astype(int) @ items.T.astype(int)
    np.testing.assert_array_equal(best_common_labels(queries, items, k), -np.sort(-common, axis=1)[:, :k])
