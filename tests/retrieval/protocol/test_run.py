"""Two models on the same queries, and the queries that are shown."""

import hashlib

import numpy as np
import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.protocol.measures import Measured, compare_common_labels, measure
from mlrsnet_hf.retrieval.protocol.query_database import LabeledEmbeddings, QueryDatabase
from mlrsnet_hf.retrieval.protocol.run import choose_queries, example_queries, names_of

SCENES = ("airplane", "beach", "stadium")
LABELS = ("water", "ships", "trees", "sand", "cars")


def measured_by(vectors: np.ndarray, labels: np.ndarray, scenes: np.ndarray, queries: int = 30) -> Measured:
    ids = [f"image_{row:03d}" for row in range(len(vectors))]
    rows = LabeledEmbeddings(ids, vectors.astype(np.float32), scenes, labels)
    parts = (rows.select(np.arange(queries)), rows.select(np.arange(queries, len(vectors))))
    info = EmbeddingInfo(
        model="net",
        architecture="test_resnet",
        model_fingerprint="f" * 64,
        layer="pre_logits",
        dimension=vectors.shape[1],
        dtype="float32",
        normalized=False,
        dataset_fingerprint="0",
        rows=len(vectors),
    )
    return measure(QueryDatabase(*parts, SCENES, LABELS, info))


@pytest.fixture(scope="module")
def two_models() -> tuple[Measured, Measured]:
    """One whose embeddings are the labels, one of noise."""
    draw = np.random.default_rng(3)
    labels, scenes = draw.random((150, len(LABELS))) < 0.5, draw.integers(0, len(SCENES), 150)
    noise = draw.normal(size=(150, 6))
    return measured_by(labels + 0.01 * draw.random(labels.shape), labels, scenes), measured_by(noise, labels, scenes)


def test_the_difference_is_that_of_the_same_queries(two_models: tuple[Measured, Measured]) -> None:
    first, second = two_models
    [at_10, at_100] = compare_common_labels(first, second)
    for one, k in ((at_10, 10), (at_100, 100)):
        means = [
            np.array(
                [
                    [
                        (model.data.queries.labels[query] & model.data.database.labels[item]).sum()
                        for item in model.neighbors.indices[query, :k]
                    ]
                    for query in range(30)
                ]
            ).mean(axis=1)
            for model in two_models
        ]
        assert (one.k, one.first, one.second) == (k, pytest.approx(means[0].mean()), pytest.approx(means[1].mean()))
        differences = means[0] - means[1]
        assert one.difference == pytest.approx(differences.mean())
        # A normal interval of the paired differences is near that of the bootstrap; an unpaired one is wider.
        half = 1.96 * differences.std(ddof=1) / np.sqrt(30)
        assert one.interval.low == pytest.approx(differences.mean() - half, abs=0.25 * half)
        assert one.interval.high == pytest.approx(differences.mean() + half, abs=0.25 * half)
    assert at_10.verdict == "more"
    assert compare_common_labels(second, first)[0].verdict == "fewer"
    same = compare_common_labels(first, first)[0]
    assert (same.difference, same.verdict) == (0.0, "neither more nor fewer")


def test_other_queries_cannot_be_compared(two_models: tuple[Measured, Measured]) -> None:
    draw = np.random.default_rng(0)
    labels, scenes = draw.random((150, len(LABELS))) < 0.5, draw.integers(0, len(SCENES), 150)
    other = measured_by(labels, labels, scenes, queries=20)
    with pytest.raises(ConfigurationError, match="queries"):
        compare_common_labels(two_models[0], other)


def test_examples_are_an_airplane_and_a_stadium_whatever_their_results(two_models: tuple[Measured, Measured]) -> None:
    chosen = [choose_queries(model) for model in two_models]
    assert chosen[0] == chosen[1]
    for image, scene in zip(chosen[0], ("airplane", "stadium"), strict=True):
        own = [
            one for one, name in zip(two_models[0].data.queries.ids, two_models[0].scenes, strict=True) if name == scene
        ]
        assert image == min(own, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert choose_queries(two_models[0], ["image_004", "image_002"]) == ["image_004", "image_002"]
    with pytest.raises(UnknownNameError, match="image_099"):
        choose_queries(two_models[0], ["image_099"])


def test_an_example_names_its_results_and_what_they_share(two_models: tuple[Measured, Measured]) -> None:
    model = two_models[0]
    [example] = example_queries(model, ["image_007"])
    assert example.query.id == "image_007"
    distances = np.linalg.norm(model.data.database.embeddings - model.data.queries.embeddings[7], axis=1)
    assert [hit.id for hit in example.results] == [model.data.database.ids[row] for row in np.argsort(distances)[:10]]
    for hit in example.results:
        assert example.common(hit) == set(example.query.labels) & set(hit.labels)
        assert hit.labels == tuple(np.array(LABELS)[model.data.database.labels[hit.row]])


@pytest.mark.parametrize(
    ("model", "compared", "names"),
    [
        ("/data/runs/resnet", None, ("resnet", None)),
        ("/data/runs/resnet", "resnet50", ("resnet", "resnet50")),
        ("/data/a/run", "/data/b/run", ("/data/a/run", "/data/b/run")),
        ("hf-hub:jane/model", "runs/resnet", ("hf-hub:jane/model", "runs/resnet")),
    ],
)
def test_a_model_is_called_by_the_last_part_of_its_place(
    model: str, compared: str | None, names: tuple[str, str | None]
) -> None:
    assert names_of(model, compared) == names
