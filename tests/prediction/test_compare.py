"""Two models on the same images, against a bootstrap that draws one by one and asks scikit-learn."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, f1_score

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.intervals import SEED
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.compare import compare, compare_models, same_images
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.predictions_file import PredictionsInfo, SavedPredictions, ScoredPredictions
from mlrsnet_hf.reports.evaluation.report import write_evaluation
from tests.prediction.test_predictions_file import LABELS, SCENES, made_info

IMAGES, DRAWS = 60, 40


def saved(name: str, seed: int, labels: tuple[str, ...] = LABELS, kind: str = "labels") -> SavedPredictions:
    """Return predictions for the same images and labels, the better the lower the seed."""
    truth, draw = np.random.default_rng(0), np.random.default_rng(seed)
    targets = (truth.random((IMAGES, 3)) < [0.5, 0.3, 0.05]).astype(np.float32)
    scores = 1 / (1 + np.exp(-(draw.normal(0, 1 + seed, (IMAGES, 3)) + 2 * targets - 1)))
    columns = [LABELS.index(label) for label in labels]
    info: PredictionsInfo = made_info(kind, IMAGES)
    model = dataclasses.replace(info.model, name=name)
    thresholds = dict(zip(labels, (0.5, 0.4, 0.3), strict=False))
    scenes = truth.integers(0, 2, IMAGES) if kind == "labels+scene" else None
    scene_scores = draw.dirichlet([1, 1], IMAGES) if kind == "labels+scene" else None
    return SavedPredictions(
        info=dataclasses.replace(info, model=model, thresholds=thresholds),
        ids=tuple(f"{number:03d}" for number in range(IMAGES)),
        task=Task(kind=kind, label_names=labels, scene_names=SCENES if kind == "labels+scene" else ()),
        predictions=ScoredPredictions.of_scores(targets[:, columns], scores[:, columns], scenes, scene_scores),
        scenes=scenes,
    )


def macro_map(targets: np.ndarray, scores: np.ndarray) -> float:
    there = targets.any(axis=0)
    return float(average_precision_score(targets[:, there], scores[:, there], average="macro"))


def test_the_intervals_are_those_of_paired_draws() -> None:
    one, other = saved("one", 1), saved("other", 2)
    found = compare(one, other, DRAWS)
    draw = np.random.default_rng(SEED)
    targets, decided = one.predictions.targets, [side.predictions.scores > side.thresholds for side in (one, other)]
    maps, micro, precisions = [], [], []
    for _ in range(DRAWS):
        rows = draw.integers(0, IMAGES, IMAGES)
        truth = targets[rows]
        maps.append([macro_map(truth, side.predictions.scores[rows]) for side in (one, other)])
        micro.append([f1_score(truth, part[rows], average="micro") for part in decided])
        precisions.append(
            [average_precision_score(truth[:, 0], side.predictions.scores[rows][:, 0]) for side in (one, other)]
        )
    for pairs, score in (
        (maps, found.scores["map"]),
        (micro, (found.at_thresholds or {})["micro_f1"]),
        (precisions, found.labels[0].average_precision),
    ):
        differences = np.subtract(*np.transpose(pairs))
        low, high = np.quantile(differences, [0.025, 0.975])
        assert (score.bounds.low, score.bounds.high) == pytest.approx((low, high))
    first, second = (macro_map(targets, side.predictions.scores) for side in (one, other))
    score = found.scores["map"]
    assert (score.first, score.second, score.difference) == pytest.approx((first, second, first - second))
    assert "one less other" in found.report()


def test_a_model_differs_from_itself_by_nothing() -> None:
    found = compare(saved("one", 1), saved("one", 1), DRAWS)
    for score in found.scores.values():
        assert (score.difference, score.bounds.low, score.bounds.high) == (0, 0, 0)
        assert not score.is_sure


def test_labels_that_one_model_alone_knows_are_left_out_and_images_come_in_any_order() -> None:
    one, other = saved("one", 1), saved("other", 2, labels=(LABELS[2], LABELS[0]))
    order = np.random.default_rng(4).permutation(IMAGES)
    mixed = dataclasses.replace(
        other,
        ids=tuple(other.ids[row] for row in order),
        predictions=ScoredPredictions.of_scores(other.predictions.targets[order], other.predictions.scores[order]),
    )
    found = compare_models(one, mixed, DRAWS)
    assert [row.label for row in found.labels] == [LABELS[0], LABELS[2]]
    assert (found.only_in_first, found.only_in_second) == ((LABELS[1],), ())
    columns = [0, 2]
    expected = macro_map(one.predictions.targets[:, columns], one.predictions.scores[:, columns])
    assert found.scores["map"].first == pytest.approx(expected)
    expected = macro_map(one.predictions.targets[:, columns], saved("other", 2).predictions.scores[:, columns])
    assert found.scores["map"].second == pytest.approx(expected)


def test_scenes_are_compared_where_both_tell_them() -> None:
    with_scenes = saved("one", 1, kind="labels+scene"), saved("other", 2, kind="labels+scene")
    found = compare(*same_images(*with_scenes), DRAWS)
    right = [(side.predictions.scene_scores.argmax(1) == side.scenes).mean() for side in with_scenes]
    assert found.scores["scene_accuracy"].difference == pytest.approx(right[0] - right[1])
    assert "scene_accuracy" not in compare_models(with_scenes[0], saved("other", 2), DRAWS).scores


def test_other_images_or_labels_are_refused() -> None:
    one, other = saved("one", 1), saved("other", 2)
    few = dataclasses.replace(other, ids=("x", *other.ids[1:]))
    with pytest.raises(ConfigurationError, match="other images"):
        compare_models(one, few)
    other.predictions.targets[0, 0] = 1 - other.predictions.targets[0, 0]
    with pytest.raises(ConfigurationError, match="other labels"):
        compare_models(one, other)
    renamed = dataclasses.replace(saved("other", 2), task=Task(kind="labels", label_names=("x", "y", "z")))
    with pytest.raises(ConfigurationError, match="no label in common"):
        compare_models(one, renamed)


def test_two_files_are_compared_without_network_or_images(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        saved(name, seed).write(tmp_path / f"{name}.parquet")
    config = EvaluationConfig(output_dir=tmp_path / "both", draws=DRAWS)
    write_evaluation([str(tmp_path / "one.parquet"), str(tmp_path / "other.parquet")], config, DataConfig())
    content = json.loads((tmp_path / "both/comparison.json").read_text())
    found = compare(saved("one", 1), saved("other", 2), DRAWS)
    assert content["scores"]["map"]["difference"] == found.scores["map"].difference
    with (tmp_path / "both/comparison.csv").open(newline="") as file:
        rows = {(row["score"], row["label"]): row for row in csv.DictReader(file)}
    assert float(rows["mAP", ""]["low"]) == found.scores["map"].bounds.low
    assert float(rows["average precision", LABELS[0]]["difference"]) == found.labels[0].average_precision.difference
    assert rows["F1", f"'{LABELS[2]}"]["images"] == str(found.labels[2].images)
    for side in ("first", "second"):
        assert (tmp_path / "both" / side / "evaluation.json").is_file()


def test_two_runs_are_compared_and_looked_at(trained: Path, pictures: Path, tmp_path: Path) -> None:
    config = EvaluationConfig(output_dir=tmp_path / "both", draws=20)
    write_evaluation([str(trained), str(trained / "model")], config, DataConfig(dataset=str(pictures)))
    content = json.loads((tmp_path / "both/comparison.json").read_text())
    assert content["scores"]["map"]["difference"] == 0
    assert (tmp_path / "both/evaluation.html").stat().st_size > 10_000
    first = tmp_path / "both/first"
    table = pq.read_table(first / "predictions.parquet")
    pq.write_table(table.take(list(range(len(table)))[::-1]), first / "predictions.parquet")
    config = EvaluationConfig(output_dir=tmp_path / "mixed", draws=20, to_fiftyone=True)
    write_evaluation([str(first), str(trained)], config, DataConfig(dataset=str(pictures)))
    content = json.loads((tmp_path / "mixed/comparison.json").read_text())
    assert content["scores"]["map"]["difference"] == pytest.approx(0)
    truth, said = (
        json.loads((tmp_path / f"mixed/fiftyone/{name}.json").read_text())["labels"]
        for name in ("predictions", "predictions_2")
    )
    assert {key: [one["label"] for one in row] for key, row in truth.items()} == {
        key: [one["label"] for one in row] for key, row in said.items()
    }
