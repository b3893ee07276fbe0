"""Wrong labels that were put in are found, by each kind of evidence and by all together."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.vocabulary import SceneVocabulary, Vocabulary, write_vocabulary
from mlrsnet_hf.curation.wrong_labels import LabeledImages, WrongLabels, find_wrong_labels, neighbor_shares
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.predictions_file import (
    SavedPredictions,
    ScoredPredictions,
)
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from tests.prediction.test_predictions_file import made_info

pytest.importorskip("cleanlab")
NAMES = ("sea", "sand", "trees", "cars", "grass")
SCENES = ("beach", "park", "street")
RATES = np.array([[0.97, 0.9, 0.3, 0.05, 0.02], [0.02, 0.05, 0.95, 0.3, 0.9], [0.01, 0.02, 0.5, 0.95, 0.3]])


def drawn(seed: int = 0, images: int = 450, noise: float = 0.05) -> tuple[LabeledImages, np.ndarray]:
    """Return images whose embeddings show their true labels, and which of their labels were turned."""
    generator = np.random.default_rng(seed)
    scenes = generator.integers(0, 3, images)
    truth = generator.random((images, 5)) < RATES[scenes]
    directions = generator.standard_normal((5, 24))
    embeddings = (truth @ directions + 0.8 * generator.standard_normal((images, 24))).astype(np.float32)
    is_wrong = generator.random(truth.shape) < noise
    labels = truth ^ is_wrong
    made = LabeledImages(
        ids=[f"image {i}" for i in range(images)],
        label_names=NAMES,
        labels=labels,
        scene_names=SCENES,
        scenes=scenes,
        scores=out_of_fold_scores(embeddings, labels),
        embeddings=embeddings,
    )
    return made, is_wrong


def test_wrong_labels_are_found() -> None:
    images, is_wrong = drawn()
    result = find_wrong_labels(images)
    assert set(result.evidence) == {"model", "neighbors", "scene rate"}

    def precision(wrong: np.ndarray) -> float:
        return float(average_precision_score(is_wrong.ravel(), wrong.ravel()))

    alone = {name: precision(np.abs(images.labels - part)) for name, part in result.evidence.items()}
    together = precision(result.wrong)
    assert together > np.mean(list(alone.values()))
    assert together > 0.85
    places = result.ranked(0.5)
    assert np.mean([is_wrong[place] for place in places[:50]]) > 0.85
    assert [result.wrong[place] for place in places] == sorted((result.wrong[place] for place in places), reverse=True)
    # By hand: the mean of the logits, against what is given, all shifted alike.
    logits = np.mean([np.log(part / (1 - part)) for part in result.evidence.values()], axis=0)
    against = np.where(images.labels, -logits, logits)
    inside = (result.wrong > 1e-6) & (result.wrong < 1 - 1e-6) & (np.abs(logits) < 3)
    shift = np.log(result.wrong / (1 - result.wrong))[inside] - against[inside]
    assert shift == pytest.approx(shift[0], abs=0.01)
    assert result.wrong.sum() == pytest.approx(result.found.sum() + 1, rel=1e-3)
    # A careful probability: of those said to be wrong with 0.5 and more, as many are as it says, or more.
    sure = result.wrong >= 0.5
    assert is_wrong[sure].mean() > result.wrong[sure].mean() - 0.1


def test_what_is_unknown_is_not_judged() -> None:
    images, _ = drawn()
    unknown = np.zeros_like(images.labels)
    unknown[:100, 0] = True
    fields = {name: getattr(images, name) for name in images.__dataclass_fields__}
    result = find_wrong_labels(LabeledImages(**fields | {"unknown": unknown}))
    assert not result.found[unknown].any() and not result.wrong[unknown].any()


def test_labels_alone() -> None:
    images, _ = drawn()
    result = find_wrong_labels(LabeledImages(ids=images.ids, label_names=NAMES, labels=images.labels))
    assert set(result.evidence) == {"other labels"}
    nothing = LabeledImages(ids=["a", "b"], label_names=["x"], labels=np.zeros((2, 1), bool))
    assert find_wrong_labels(nothing).ranked(0.5) == []


def test_neighbors_against_a_loop() -> None:
    generator = np.random.default_rng(4)
    embeddings = generator.standard_normal((40, 3)).astype(np.float32)
    embeddings[5] = embeddings[6]  # equal images are each other's first neighbor
    embeddings[7] = 0
    labels = generator.random((40, 2)) < 0.4
    found = neighbor_shares(embeddings, labels, 4)
    for row in range(40):
        if row == 7:
            assert found[row] == pytest.approx(labels.mean(axis=0))
            continue
        others = [other for other in range(40) if other not in (row, 7)]
        unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        nearest = sorted(others, key=lambda other: -float(unit[other] @ unit[row]))[:4]
        assert found[row] == pytest.approx((labels[nearest].sum(axis=0) + labels.mean(axis=0)) / 5)


def test_the_probe_scores_images_that_it_has_not_seen() -> None:
    # Copies know each other's labels, which are drawn at random: only where they stay in one fold does the probe not.
    generator = np.random.default_rng(0)
    once = generator.standard_normal((100, 60)).astype(np.float32)
    embeddings, groups = np.repeat(once, 2, axis=0), np.repeat(np.arange(100), 2)
    labels = np.repeat(generator.random((100, 2)) < 0.5, 2, axis=0)

    def right(scores: np.ndarray) -> float:
        return float(((scores > 0.5) == labels).mean())

    assert right(out_of_fold_scores(embeddings, labels)) > 0.7
    assert right(out_of_fold_scores(embeddings, labels, groups=groups)) < 0.62
    scores = out_of_fold_scores(embeddings, np.ones((200, 1), bool))
    assert (scores > 0.99).all() and (scores < 1).all()
    with pytest.raises(ConfigurationError, match="folds"):
        out_of_fold_scores(embeddings[:3], labels[:3])


def embeddings_folder(folder: Path, images: LabeledImages) -> None:
    assert images.embeddings is not None and images.scenes is not None
    info = EmbeddingInfo(
        model="net",
        architecture="resnet18",
        model_fingerprint="f" * 64,
        layer="pre_logits",
        dimension=images.embeddings.shape[1],
        dtype="float32",
        normalized=False,
        dataset_fingerprint="0" * 64,
        rows=len(images.ids),
        label_names=NAMES,
        scene_names=SCENES,
    )
    (folder / "data").mkdir(parents=True)
    write_json(folder / INFO_FILE, info.to_json())
    rows = EmbeddingRows(
        ids=list(images.ids),
        embeddings=images.embeddings,
        scenes=images.scenes,
        labels=[np.flatnonzero(row).tolist() for row in images.labels],
    )
    write_rows(rows, info, folder / "data" / "0.parquet")


def predictions_file(path: Path, images: LabeledImages, trained_on: int | None = 0) -> None:
    assert images.scores is not None and images.scenes is not None
    info = dataclasses.replace(
        made_info("labels", len(images.ids)), thresholds=dict.fromkeys(NAMES, 0.5), trained_on=trained_on
    )
    SavedPredictions(
        info=info,
        ids=tuple(images.ids),
        task=Task(kind="labels", label_names=NAMES, scene_names=SCENES),
        predictions=ScoredPredictions.of_scores(images.labels.astype(np.float32), images.scores),
        scenes=images.scenes,
    ).write(path)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LabeledImages, np.ndarray]:
    folder = tmp_path_factory.mktemp("sources")
    images, is_wrong = drawn()
    embeddings_folder(folder / "embeddings", images)
    predictions_file(folder / "predictions.parquet", images)
    vocabulary = {
        scene: SceneVocabulary(
            images=100, labels={name: int(100 * rate) for name, rate in zip(NAMES, rates, strict=True) if rate > 0.05}
        )
        for scene, rates in zip(SCENES, RATES, strict=True)
    }
    write_vocabulary(Vocabulary(scenes=vocabulary), folder / "vocabulary.yaml")
    return folder, images, is_wrong


def test_from_embeddings_alone(
    sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images, is_wrong = sources
    table = tmp_path / "wrong.csv"
    words = ["curate", "find-errors", str(folder / "embeddings"), "--output", str(table)]
    main([*words, "--vocabulary", str(folder / "vocabulary.yaml")])
    assert str(table) in capsys.readouterr().out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = find_wrong_labels(images)
    assert len(rows) >= len(expected.ranked(0.5))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows[:50]:
        place = (images.ids.index(row["image"]), NAMES.index(row["label"]))
        assert int(row["given"]) == images.labels[place]
        assert row["scene"] == SCENES[images.scenes[place[0]]]  # type: ignore[index]
        assert float(row["model"]) == pytest.approx(images.scores[place], abs=1e-4)  # type: ignore[index]
    worst = [is_wrong[images.ids.index(row["image"]), NAMES.index(row["label"])] for row in rows[:50]]
    assert np.mean(worst) > 0.6  # this vocabulary rules out what a few images carry


def test_from_predictions_with_embeddings(sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path) -> None:
    folder, images, _ = sources
    words = ["curate", "find-errors", str(folder), "--embeddings", str(folder / "embeddings"), "--least", "0.3"]
    main([*words, "--output", str(tmp_path / "wrong.parquet")])
    table = pq.read_table(tmp_path / "wrong.parquet").to_pydict()
    expected: WrongLabels = find_wrong_labels(images)
    places = expected.ranked(0.3)
    assert table["image"] == [images.ids[row] for row, _ in places]
    assert table["wrong"] == pytest.approx([expected.wrong[place] for place in places])
    assert {"model", "neighbors", "scene", "scene_rate", "found", "given"} <= set(table)


def test_faults(
    sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images, _ = sources
    predictions_file(tmp_path / "seen.parquet", images, trained_on=7)
    (tmp_path / "there.csv").touch()
    for words, named in (
        ([str(tmp_path / "seen.parquet")], "trained on 7"),
        ([str(folder), "--output", str(tmp_path / "there.csv")], "there.csv"),
        ([str(folder), "--output", str(tmp_path / "x.txt")], ".parquet"),
        ([str(tmp_path / "nothing")], "nothing"),
        ([str(folder / "embeddings"), "--embeddings", str(folder / "embeddings")], "source"),
        ([str(folder), "--vocabulary", str(tmp_path / "none.yaml")], "none.yaml"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["curate", "find-errors", *words])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err
