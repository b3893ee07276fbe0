"""Wrong labels that were put in are found, by each kind of evidence and by all together."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from mlrsnet_hf.cli import main
from mlrsnet_hf.curation.config import FindErrorsConfig
from mlrsnet_hf.curation.vocabulary.vocabulary import SceneVocabulary, Vocabulary, write_vocabulary
from mlrsnet_hf.curation.wrong_labels import ranking as module
from mlrsnet_hf.curation.wrong_labels.calibration import calibrated
from mlrsnet_hf.curation.wrong_labels.find import find_errors
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, WrongLabels, find_wrong_labels, neighbor_shares
from mlrsnet_hf.curation.wrong_labels.weights import weighed
from mlrsnet_hf.curation.wrong_labels.whole_scenes import contradicted_scenes
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
    # A careful probability: of those said to be wrong with 0.5 and more, as many are as it says, or more.
    sure = result.wrong >= 0.5
    assert is_wrong[sure].mean() > result.wrong[sure].mean() - 0.1
    # As many of each label are found as confident learning counts, and they are the worst.
    for wrong, found in zip(result.wrong.T, result.found.T, strict=True):
        assert wrong[found].min() >= wrong[~found].max()


def test_what_all_evidence_plainly_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the weighed sum of the logits, against what is given, all shifted alike."""
    monkeypatch.setattr(module, "_PLAIN", 1.0)
    images, _ = drawn()
    result = find_wrong_labels(images)
    clipped = {name: np.clip(part, 1e-4, 1 - 1e-4) for name, part in result.evidence.items()}
    logits = sum(result.weights[name] * np.log(part / (1 - part)) for name, part in clipped.items())
    offset = weighed(
        np.stack([np.log(part / (1 - part)).ravel() for part in clipped.values()], axis=1), images.labels.ravel()
    )[1]
    logits = logits + offset
    against = np.where(images.labels, -logits, logits)
    inside = (result.wrong > 1e-6) & (result.wrong < 1 - 1e-6) & (np.abs(logits) < 3)
    shift = np.log(result.wrong / (1 - result.wrong))[inside] - against[inside]
    assert shift == pytest.approx(shift[0], abs=0.01)


@pytest.mark.parametrize("has_scenes", [True, False])
@pytest.mark.parametrize("kind", ["left out", "exchanged", "one label", "misfiled", "few images"])
def test_the_ranking_is_not_behind_the_loss(kind: str, has_scenes: bool) -> None:
    images, _ = drawn(3, images=120 if kind == "few images" else 450, noise=0)
    generator = np.random.default_rng(4)
    labels, scenes = images.labels.copy(), images.scenes
    assert scenes is not None and images.embeddings is not None
    if kind == "one label":
        labels[generator.random(450) < 0.3, 1] = False
    elif kind in ("exchanged", "misfiled"):
        order = np.arange(450)
        order[:45] = np.roll(order[:45], 1)
        labels = labels[order]
        scenes = scenes[order] if kind == "misfiled" else scenes
    else:
        labels &= generator.random(labels.shape) >= 0.2
    scores = out_of_fold_scores(images.embeddings, labels)
    changed = dataclasses.replace(
        images,
        labels=labels,
        scores=scores,
        scenes=scenes if has_scenes else None,
        scene_scores=out_of_fold_scores(images.embeddings, given_scenes(scenes, 3) == 1) if has_scenes else None,
    )
    is_wrong = (labels != images.labels).ravel()
    loss = average_precision_score(is_wrong, np.abs(labels - scores).ravel())
    assert average_precision_score(is_wrong, find_wrong_labels(changed).wrong.ravel()) > loss


def test_what_is_unknown_is_not_judged() -> None:
    images, _ = drawn()
    unknown = np.zeros_like(images.labels)
    unknown[:100, 0] = True
    fields = {name: getattr(images, name) for name in images.__dataclass_fields__}
    result = find_wrong_labels(LabeledImages(**fields | {"unknown": unknown}))
    assert not result.found[unknown].any() and not result.wrong[unknown].any()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_unknown_is_no_evidence(share: float) -> None:
    """An image of which nothing is known speaks neither for a label nor against it: it might as well not be there."""
    images, is_wrong = drawn(images=1500, noise=0.06)
    assert images.scores is not None and images.scenes is not None and images.embeddings is not None
    unknown = np.zeros_like(images.labels)
    unknown[:, 0] = np.random.default_rng(1).random(len(unknown)) < share
    labels, rows = images.labels & ~unknown, ~unknown[:, 0]
    found = find_wrong_labels(dataclasses.replace(images, labels=labels, unknown=unknown))
    without = find_wrong_labels(
        dataclasses.replace(
            images,
            ids=np.array(images.ids)[rows].tolist(),
            labels=images.labels[rows],
            scores=images.scores[rows],
            scenes=images.scenes[rows],
            embeddings=images.embeddings[rows],
            scene_scores=None if images.scene_scores is None else images.scene_scores[rows],
        )
    )
    truth = is_wrong[rows, 0]
    assert truth.sum() > 5
    here, there = (average_precision_score(truth, one) for one in (found.wrong[rows, 0], without.wrong[:, 0]))
    assert here > there - 0.1
    assert found.found[:, 0].sum() < 2 * truth.sum()


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("columns", [slice(2, 3), slice(None)])
def test_labels_that_all_images_carry_or_none(given: bool, columns: slice) -> None:
    images, _ = drawn()
    labels = images.labels.copy()
    labels[:, columns] = given
    assert images.embeddings is not None
    made = dataclasses.replace(images, labels=labels, scores=out_of_fold_scores(images.embeddings, labels))
    result = find_wrong_labels(made)
    assert not result.found[:, columns].any() and np.isfinite(result.wrong).all()
    assert (result.wrong[:, columns] < 0.5).all()


def test_labels_alone() -> None:
    images, _ = drawn()
    result = find_wrong_labels(LabeledImages(ids=images.ids, label_names=NAMES, labels=images.labels))
    assert set(result.evidence) == {"other labels"}
    nothing = LabeledImages(ids=["a", "b"], label_names=["x"], labels=np.zeros((2, 1), bool))
    assert find_wrong_labels(nothing).ranked(0.5) == []


def test_neighbors_of_which_nothing_is_known_are_not_asked() -> None:
    embeddings = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3]], np.float32)
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
    judged = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], bool)
    found = neighbor_shares(embeddings, labels, 2, None, judged)
    rates = np.array([2 / 3, 2 / 4])
    # The nearest two of the first are the second and the third, of which the first label is not known: the fourth is.
    assert found[0] == pytest.approx([(1 + rates[0]) / 3, (1 + rates[1]) / 3])


@pytest.mark.parametrize("group", [1, 4, 25])
def test_neighbors_against_a_loop(group: int) -> None:
    generator = np.random.default_rng(4)
    embeddings = generator.standard_normal((40, 3)).astype(np.float32)
    embeddings[5] = embeddings[6]  # equal images are each other's first neighbor
    embeddings[7] = 0
    labels = generator.random((40, 2)) < 0.4
    groups = np.r_[np.arange(25) // group, np.arange(25, 40)] if group > 1 else None
    found = neighbor_shares(embeddings, labels, 4, groups)
    for row in range(40):
        if row == 7:
            assert found[row] == pytest.approx(labels.mean(axis=0))
            continue
        others = [other for other in range(40) if other not in (row, 7)]
        if groups is not None:
            others = [other for other in others if groups[other] != groups[row]]
        unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
        nearest = sorted(others, key=lambda other: -float(unit[other] @ unit[row]))[:4]
        assert found[row] == pytest.approx((labels[nearest].sum(axis=0) + labels.mean(axis=0)) / 5)


def test_near_duplicates_whose_labels_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: three of a group carry the label, one does not; all other evidence counts as one more of the others."""
    monkeypatch.setattr(module, "_PLAIN", 1.0)
    labels = np.array([[True], [True], [True], [False], [True], [False]])
    images = LabeledImages(
        ids=list("abcdef"),
        label_names=["x"],
        labels=labels,
        scores=np.full((6, 1), 0.6),
        groups=np.array([3] * 4 + [0, 1]),
    )
    result = find_wrong_labels(images)
    # Others of the group: of a, b and c (2 + 0.6) / 4, of d (3 + 0.6) / 4; e and f have none, and keep 0.6.
    probable = np.array([0.65, 0.65, 0.65, 0.9, 0.6, 0.6])
    against = np.where(labels[:, 0], 1 - probable, probable)
    shifted = np.log(result.wrong[:, 0] / (1 - result.wrong[:, 0])) - np.log(against / (1 - against))
    assert shifted == pytest.approx(shifted[0])
    # Nothing is said where they agree, or where nothing is known of the one that differs.
    unknown = np.zeros_like(labels)
    unknown[3] = True
    alike = find_wrong_labels(dataclasses.replace(images, unknown=unknown)).wrong
    assert alike[0] == pytest.approx(alike[4])


def test_scenes_are_not_asked() -> None:
    images, _ = drawn()
    assert set(find_wrong_labels(images, with_scene_rates=False).evidence) == {"model", "neighbors"}


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


def predictions_file(
    path: Path,
    images: LabeledImages,
    trained_on: int | None = 0,
    order: tuple[int, ...] = (0, 1, 2, 3, 4),
    names: tuple[str, ...] = NAMES,
) -> None:
    """Write predictions of images, their labels, and scenes too, in another order."""
    assert images.scores is not None and images.scenes is not None
    info = dataclasses.replace(
        made_info("labels", len(images.ids)), thresholds=dict.fromkeys(names, 0.5), trained_on=trained_on
    )
    is_same = order == tuple(range(5))
    path.parent.mkdir(exist_ok=True)
    SavedPredictions(
        info=info,
        ids=tuple(images.ids),
        task=Task(
            kind="labels",
            label_names=tuple(names[column] for column in order),
            scene_names=SCENES if is_same else SCENES[::-1],
        ),
        predictions=ScoredPredictions.of_scores(
            images.labels[:, order].astype(np.float32), np.ascontiguousarray(images.scores[:, order])
        ),
        scenes=images.scenes if is_same else 2 - images.scenes,
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
    assert images.scores is not None
    one_fold = np.zeros(len(images.ids), np.int64)
    scores = calibrated(images.scores, images.labels, one_fold)
    assert images.scenes is not None and images.embeddings is not None
    scene_scores = out_of_fold_scores(images.embeddings, given_scenes(images.scenes, 3) == 1)
    expected: WrongLabels = find_wrong_labels(dataclasses.replace(images, scores=scores, scene_scores=scene_scores))
    assert expected.scenes is not None
    places = expected.ranked(0.3)
    assert table["image"] == [images.ids[row] for row, _ in places]
    assert table["wrong"] == pytest.approx([expected.wrong[place] for place in places])
    assert {"model", "neighbors", "scene", "scene_rate", "found", "given"} <= set(table)
    assert table["likely_scene"] == [SCENES[expected.scenes[row]] for row, _ in places]


def test_what_a_whole_scene_carries(sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path) -> None:
    """A label that is put on all images of a scene is right to each of them, and contradicted by the other scenes."""
    generator = np.random.default_rng(0)
    scenes = np.arange(600) % 10
    truth = generator.random((600, 5)) < generator.uniform(0.2, 0.8, (10, 5))[scenes]
    embeddings = truth @ generator.standard_normal((5, 24)) + 0.5 * generator.standard_normal((600, 24))
    labels = truth.copy()
    labels[scenes == 4, 3] = True
    images = LabeledImages(
        ids=[f"{row}" for row in range(600)],
        label_names=NAMES,
        labels=labels,
        scene_names=[f"scene {scene}" for scene in range(10)],
        scenes=scenes,
        embeddings=embeddings.astype(np.float32),
    )
    [found] = contradicted_scenes(images)
    assert (found.scene, found.label, found.images, found.given) == ("scene 4", "cars", 60, 1)
    assert found.expected == pytest.approx(truth[scenes == 4, 3].mean(), abs=0.15)
    assert contradicted_scenes(dataclasses.replace(images, labels=truth)) == []
    # What is unknown of the other scenes does not contradict it.
    unknown = np.zeros_like(labels)
    unknown[:, 3] = (scenes != 4) & (generator.random(600) < 0.4)
    [found] = contradicted_scenes(dataclasses.replace(images, labels=labels & ~unknown, unknown=unknown))
    assert (found.scene, found.label, found.images, found.given) == ("scene 4", "cars", 60, 1)
    assert found.expected == pytest.approx(truth[scenes == 4, 3].mean(), abs=0.2)
    assert contradicted_scenes(dataclasses.replace(images, labels=truth & ~unknown, unknown=unknown)) == []
    # Of 19 images of other scenes no label is learned.
    few = np.zeros_like(labels)
    few[scenes == 4, 3] = True
    few[np.flatnonzero(scenes == 5)[:19], 3] = True
    assert contradicted_scenes(dataclasses.replace(images, labels=few)) == []
    folder, *_ = sources
    words = ["curate", "find-errors", str(folder / "embeddings"), "--output", str(tmp_path / "wrong.csv")]
    main([*words, "--whole-scenes", str(tmp_path / "scenes.parquet")])
    table = pq.read_table(tmp_path / "scenes.parquet").to_pydict()
    assert set(table) == {"scene", "label", "images", "given", "expected", "difference"}
    without = ["curate", "find-errors", str(folder / "predictions.parquet"), "--output", str(tmp_path / "x.csv")]
    with pytest.raises(SystemExit):
        main([*without, "--whole-scenes", str(tmp_path / "more.csv")])
    assert not (tmp_path / "x.csv").exists()


def part_of(images: LabeledImages, rows: np.ndarray) -> LabeledImages:
    assert images.scores is not None and images.scenes is not None
    return dataclasses.replace(
        images,
        ids=[images.ids[row] for row in rows],
        labels=images.labels[rows],
        scores=images.scores[rows],
        scenes=images.scenes[rows],
        embeddings=None,
    )


def test_folds_are_put_together(sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path) -> None:
    """Each fold by another network, the second much too sure and with its labels in another order."""
    _, images, _ = sources
    assert images.scores is not None
    logits = np.log(images.scores / (1 - images.scores))
    sure = dataclasses.replace(images, scores=1 / (1 + np.exp(-4 * logits - 3)))
    first, second = np.arange(0, 450, 2), np.arange(1, 450, 2)
    predictions_file(tmp_path / "1" / "predictions.parquet", part_of(images, first))
    predictions_file(tmp_path / "2" / "predictions.parquet", part_of(sure, second), order=(2, 0, 1, 4, 3))
    words = ["curate", "find-errors", str(tmp_path / "1"), str(tmp_path / "2"), "--least", "1e-12"]
    main([*words, "--output", str(tmp_path / "wrong.parquet")])
    table = pq.read_table(tmp_path / "wrong.parquet").to_pydict()
    assert len(table["image"]) == images.labels.size
    rows = {name: row for row, name in enumerate(images.ids)}
    places = [(rows[image], NAMES.index(label)) for image, label in zip(table["image"], table["label"], strict=True)]
    assert table["given"] == [images.labels[place] for place in places]
    assert images.scenes is not None
    assert table["scene"] == [SCENES[images.scenes[row]] for row, _ in places]
    # One curve of the second fold undoes what makes it sure: both speak alike, as one network would.
    fold_of = np.zeros(450, np.int64)
    alone = calibrated(images.scores, images.labels, fold_of)
    assert table["model"] == pytest.approx([alone[place] for place in places], abs=0.1)


def test_faults_of_folds(
    sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, images, _ = sources
    predictions_file(tmp_path / "a.parquet", part_of(images, np.arange(5)))
    predictions_file(tmp_path / "b.parquet", part_of(images, np.arange(4, 9)))
    predictions_file(tmp_path / "c.parquet", part_of(images, np.arange(9, 12)), names=(*NAMES[:4], "<b>"))
    (tmp_path / "groups.csv").write_text("id,group\nelse,1\n")
    for words, named in (
        (["a.parquet", "b.parquet"], "'image 4'"),
        (["a.parquet", "a.parquet"], "'image 0'"),
        (["a.parquet", "c.parquet"], "'<b>'"),
        (["a.parquet", str(folder / "embeddings")], "embeddings"),
        (["a.parquet", "--near-duplicates", str(tmp_path / "groups.csv")], "groups.csv"),
        (["a.parquet", "--near-duplicates", "search"], "near-duplicates are searched for"),
    ):
        with pytest.raises(SystemExit) as caught:
            paths = [str(tmp_path / word) if word.endswith(".parquet") else word for word in words]
            main(["curate", "find-errors", *paths, "--output", str(tmp_path / "x.csv")])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err


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
        ([str(tmp_path / "there.csv")], "mlrsnet embed"),
        ([str(folder / "embeddings"), "--embeddings", str(folder / "embeddings")], "source"),
        ([str(folder), "--vocabulary", str(tmp_path / "none.yaml")], "none.yaml"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["curate", "find-errors", *words])
        assert caught.value.code == 2
        assert named in capsys.readouterr().err


def test_what_cannot_be_written_or_read_is_told_before_anything_is_computed(
    sources: tuple[Path, LabeledImages, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, *_ = sources
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "there.csv").touch()
    monkeypatch.setattr("mlrsnet_hf.curation.wrong_labels.find.read_images", lambda *given: 1 / 0)
    for more in (
        {"output": tmp_path / "none" / "a.csv"},
        {"html": tmp_path / "none" / "a.html"},
        {"whole_scenes": tmp_path / "none" / "b.csv"},
        {"vocabulary": tmp_path / "none.yaml"},
        {"output": Path("~/there.csv")},
    ):
        settings = {"output": tmp_path / "a.csv"} | more
        with pytest.raises(ConfigurationError, match=next(iter(more.values())).name):
            find_errors(FindErrorsConfig(sources=(folder / "embeddings",), **settings))
    with pytest.raises(ZeroDivisionError):  # else it computes
        find_errors(FindErrorsConfig(sources=(folder / "embeddings",), output=Path("~/a.csv")))


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = FindErrorsConfig(sources=(tmp_path / "nonesuch",), output=tmp_path / "t.csv", review=tmp_path / "review")
    with pytest.raises(ConfigurationError, match="nonesuch"):
        find_errors(config)
