"""Predictions as a file: `datasets` reads it, scikit-learn finds the same scores in it, and damage is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from sklearn.metrics import average_precision_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.scores import Predictions, evaluate
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.predictions_file import (
    DataIdentity,
    ModelIdentity,
    PredictionsInfo,
    SavedPredictions,
    ScoredPredictions,
    read_predictions,
)

LABELS, SCENES = ("water", "ships, boats", "=trees"), ("beach", "harbor")
IMAGES = 40


def made_info(kind: str, images: int = IMAGES) -> PredictionsInfo:
    model = ModelIdentity(name="run", architecture="resnet18", fingerprint="f" * 64, image_size=32)
    data = DataIdentity(
        dataset="pictures",
        hub_id=None,
        protocol=None,
        split="test",
        split_seed=None,
        label_version=None,
        is_mlrsnet=False,
        synthetic=False,
        images=images,
        fingerprint="e" * 32,
    )
    thresholds = {} if kind == "scene" else dict(zip(LABELS, (0.5, 0.25, -0.1), strict=True))
    return PredictionsInfo(
        kind=kind,
        model=model,
        data=data,
        symmetries=1,
        thresholds=thresholds,
        thresholds_from="the model",
        trained_on=None,
        only_in_data=("sand",),
        respelled={"water": "Water"},
    )


def logits_of(kind: str, seed: int = 0) -> Predictions:
    """Return predictions of random numbers, some of them so large that the sigmoid rounds to 1."""
    draw = np.random.default_rng(seed)
    width = 0 if kind == "scene" else len(LABELS)
    logits = draw.normal(0, 30, (IMAGES, width)).astype(np.float32)
    targets = (draw.random((IMAGES, width)) < 0.5).astype(np.float32)
    scenes = draw.integers(0, 2, IMAGES) if kind != "labels" else None
    scene_logits = draw.normal(0, 30, (IMAGES, 2)).astype(np.float32) if kind != "labels" else None
    return Predictions(targets, logits, scenes, scene_logits)


def make_saved(kind: str = "labels+scene", with_unknown: bool = True) -> SavedPredictions:
    made = logits_of(kind)
    if with_unknown and kind != "scene":
        made.targets[3, 1] = made.targets[5, 0] = np.nan
    scene_scores = None if made.scene_logits is None else made.scene_scores
    predictions = ScoredPredictions.of_scores(made.targets, made.scores, made.scenes, scene_scores)
    scenes = np.random.default_rng(9).integers(0, 2, IMAGES) if made.scenes is None else made.scenes
    return SavedPredictions(
        info=made_info(kind),
        ids=tuple(f"{number:03d}" for number in range(IMAGES)),
        task=Task(kind=kind, label_names=() if kind == "scene" else LABELS, scene_names=SCENES),
        predictions=predictions,
        scenes=scenes,
    )


@pytest.mark.parametrize("with_unknown", [False, True])
@pytest.mark.parametrize("kind", ["labels", "labels+scene", "scene"])
def test_what_was_written_is_read(kind: str, with_unknown: bool, tmp_path: Path) -> None:
    saved = make_saved(kind, with_unknown)
    saved.write(tmp_path / "predictions.parquet")
    read = read_predictions(tmp_path)
    assert (read.ids, read.task, read.info) == (saved.ids, saved.task, saved.info)
    for field in dataclasses.fields(ScoredPredictions):
        one, other = getattr(saved.predictions, field.name), getattr(read.predictions, field.name)
        assert (one is None) == (other is None), field.name
        np.testing.assert_array_equal(one, other, strict=one is not None)
    np.testing.assert_array_equal(read.scenes, saved.scenes)
    np.testing.assert_array_equal(read.thresholds, [] if kind == "scene" else [0.5, 0.25, -0.1])


def test_the_scores_are_those_of_the_logits() -> None:
    """Where the sigmoid tells logits apart, and where it does not."""
    for kind in ("labels", "labels+scene", "scene"):
        made = logits_of(kind)
        task = Task(kind=kind, label_names=() if kind == "scene" else LABELS, scene_names=SCENES)
        scene_scores = None if made.scene_logits is None else made.scene_scores
        scored = ScoredPredictions.of_scores(made.targets, made.scores, made.scenes, scene_scores)
        assert evaluate(scored, task) == evaluate(made, task)


def test_others_read_the_file(tmp_path: Path) -> None:
    saved = make_saved(with_unknown=False)
    saved.write(tmp_path / "predictions.parquet")
    rows = load_dataset("parquet", data_files=str(tmp_path / "predictions.parquet"), split="train")
    assert rows.features["labels"].feature.names == list(LABELS)
    assert rows.features["scene"].names == list(SCENES)
    assert rows["id"][:] == list(saved.ids)
    targets = np.zeros((IMAGES, len(LABELS)))
    for row, labels in enumerate(rows["labels"][:]):
        targets[row, labels] = 1
    scores = np.array(rows["scores"][:])
    assert scores.dtype == np.float64
    expected = np.mean([average_precision_score(targets[:, i], scores[:, i]) for i in range(len(LABELS))])
    assert evaluate(read_predictions(tmp_path).predictions, saved.task)["map"] == pytest.approx(expected, abs=1e-12)


def with_column(name: str, change: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        return table.set_column(at, field, pa.array(change(table[name].to_pylist()), field.type))

    return changed


def with_features(table: pa.Table, old: bytes, new: bytes) -> pa.Table:
    metadata = {key: value.replace(old, new) for key, value in table.schema.metadata.items()}
    assert metadata != table.schema.metadata
    return table.replace_schema_metadata(metadata)


DAMAGES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a row is missing": (lambda table: table.slice(1), "39 rows"),
    "a column is missing": (lambda table: table.drop_columns(["scores"]), "scores"),
    "a column stands twice": (lambda table: table.append_column("id", table["id"]), "twice"),
    "an id stands twice": (with_column("id", lambda ids: [ids[0], ids[0], *ids[2:]]), "same id"),
    "an id is missing": (with_column("id", lambda ids: [None, *ids[1:]]), "id"),
    "a score of 2": (with_column("scores", lambda rows: [[2.0, 0, 0], *rows[1:]]), "scores"),
    "a score that is NaN": (with_column("scores", lambda rows: [[np.nan, 0, 0], *rows[1:]]), "scores"),
    "a score is missing": (with_column("scores", lambda rows: [[None, 0, 0], *rows[1:]]), "scores"),
    "scores are missing": (with_column("scores", lambda rows: [None, *rows[1:]]), "scores"),
    "a label beyond": (with_column("labels", lambda rows: [[3], *rows[1:]]), "labels"),
    "a label below": (with_column("labels", lambda rows: [[-1], *rows[1:]]), "labels"),
    "a label is missing": (with_column("labels", lambda rows: [[None], *rows[1:]]), "labels"),
    "labels are missing": (with_column("labels", lambda rows: [None, *rows[1:]]), "labels"),
    "a scene beyond": (with_column("scene", lambda rows: [2, *rows[1:]]), "scene"),
    "there and unknown": (with_column("unknown_labels", lambda _: [[0, 1, 2]] * IMAGES), "unknown"),
    "no metadata": (lambda table: table.replace_schema_metadata(None), "mlrsnet evaluate"),
    "another format": (lambda table: with_features(table, b'"format": 1', b'"format": 7'), "format"),
    "two labels alike": (lambda table: with_features(table, b"=trees", b"water"), "same name"),
    "other thresholds": (lambda table: with_features(table, b'"water": 0.5', b'"waters": 0.5'), "threshold"),
    "other scores": (lambda table: with_features(table, b'"length": 3', b'"length": 4'), ""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    make_saved().write(path)
    change, named = DAMAGES[damage]
    pq.write_table(change(pq.read_table(path)), path)
    if damage == "other scores":  # what the features say of a length, the names say better
        assert read_predictions(path).task.label_names == LABELS
        return
    with pytest.raises(ConfigurationError) as caught:
        read_predictions(path)
    assert named in caught.value.found and str(path) in caught.value.found


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("id,scores")
    for path in (tmp_path / "text.parquet", tmp_path / "missing.parquet", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            read_predictions(path)
        assert str(path) in caught.value.found
