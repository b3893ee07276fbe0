"""`mlrsnet evaluate`: scores as the network run by hand and scikit-learn give them, from any data with such labels."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from datasets import ClassLabel, Dataset, DatasetDict, load_from_disk
from sklearn.metrics import average_precision_score, f1_score

from mlrsnet_hf.errors import ConfigurationError, ImageError, UnknownNameError, WeightsError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.prediction.export import export_model
from mlrsnet_hf.prediction.predictions_file import read_predictions
from mlrsnet_hf.reports.evaluation.report import write_evaluation
from mlrsnet_hf.training.results import TrainingResult

COMMON = {"Striped": 3, "blue": 2, "RED": 0, "never": 4}
"""Labels of the pictures to outputs of the network."""
LIGHT = {"draws": 50, "page": False, "batch_size": 4}


def by_hand(trained: Path, rows: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and scores of the common labels, by timm alone, one image at a time."""
    settings = json.loads((trained / "model/config.json").read_text())
    model = timm.create_model(f"local-dir:{trained / 'model'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    assert settings["label_names"] == ["red", "green", "blue", "striped", "never"]
    scores, targets = [], []
    for row in rows:
        with torch.inference_mode():
            logits = model(transform(row["image"].convert("RGB"))[None])[0].double()
        scores.append(logits.sigmoid().numpy()[list(COMMON.values())])
        names = rows.features["labels"].feature.int2str(row["labels"])
        targets.append([name in names for name in COMMON])
    return np.array(targets, int), np.array(scores)


def evaluated(models: list[Any], data: DataConfig | Path, folder: Path, **config: Any) -> EvaluationResult:  # noqa: ANN401
    source = data if isinstance(data, DataConfig) else DataConfig(dataset=str(data))
    write_evaluation([str(model) for model in models], EvaluationConfig(output_dir=folder, **LIGHT | config), source)
    return EvaluationResult.load(folder)


@pytest.fixture(scope="module")
def result(trained: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EvaluationResult]:
    folder = tmp_path_factory.mktemp("evaluated") / "evaluation"
    return folder, evaluated([trained], pictures, folder, page=True, thresholds_from="validation")


def test_the_scores_are_those_of_the_network_run_by_hand(
    result: tuple[Path, EvaluationResult], trained: Path, pictures: Path
) -> None:
    folder, found = result
    rows = load_from_disk(str(pictures))["test"]
    targets, scores = by_hand(trained, rows)
    saved = read_predictions(folder)
    assert saved.ids == tuple(rows["id"])
    assert saved.task.label_names == tuple(COMMON)
    np.testing.assert_array_equal(saved.predictions.targets, targets)
    np.testing.assert_allclose(saved.predictions.scores, scores, atol=1e-5)
    scores = saved.predictions.scores  # equal from here on
    precisions = {name: average_precision_score(targets[:, i], scores[:, i]) for i, name in enumerate(COMMON) if i < 3}
    for label in found.labels:
        expected = precisions.get(label.label, np.nan)
        assert label.average_precision == pytest.approx(expected, nan_ok=True)
        assert label.images == targets[:, list(COMMON).index(label.label)].sum()
    assert found.scores["map"] == pytest.approx(np.mean(list(precisions.values())))
    assert found.scores["sample_f1"] == pytest.approx(
        f1_score(targets, scores > 0.5, average="samples", zero_division=0)
    )
    assert found.info.only_in_data == ("ice",)
    assert found.info.only_in_model == ("green",)
    assert found.info.respelled == {"Striped": "striped", "RED": "red"}
    assert (folder / "evaluation.html").stat().st_size > 10_000


def test_thresholds_are_chosen_on_another_split(
    result: tuple[Path, EvaluationResult], trained: Path, pictures: Path
) -> None:
    """Each gives the best F1 there that any threshold gives."""
    _, found = result
    targets, scores = by_hand(trained, load_from_disk(str(pictures))["validation"])
    for label, name in enumerate(COMMON):
        own, truth = scores[:, label], targets[:, label]
        candidates = [f1_score(truth, own >= value, zero_division=0) for value in own]
        threshold = found.info.thresholds[name]
        if truth.any():
            assert f1_score(truth, own > threshold, zero_division=0) == pytest.approx(max(candidates))
        else:
            assert threshold == 0.5
    saved = read_predictions(result[0])
    decided = saved.predictions.scores > saved.thresholds
    expected = f1_score(saved.predictions.targets, decided, average="micro", zero_division=0)
    assert found.at_thresholds is not None
    assert found.at_thresholds["micro_f1"] == pytest.approx(expected)
    assert found.info.thresholds_from == "the validation split"


def test_each_scene_has_the_scores_of_its_images(result: tuple[Path, EvaluationResult]) -> None:
    folder, found = result
    saved = read_predictions(folder)
    assert [scene.scene for scene in found.scenes] == ["b", "a"]
    for number, scene in enumerate(found.scenes):
        own = np.flatnonzero(np.arange(13) % 2 == number)
        targets, scores = saved.predictions.targets[own], saved.predictions.scores[own]
        assert scene.images == len(own)
        decided = scores > saved.thresholds
        assert scene.scores["sample_f1"] == pytest.approx(
            f1_score(targets, decided, average="samples", zero_division=0)
        )
        occurring = targets.any(axis=0)
        expected = average_precision_score(targets[:, occurring], scores[:, occurring])
        assert scene.scores["map"] == pytest.approx(expected)


def test_the_file_alone_gives_the_same_scores(result: tuple[Path, EvaluationResult], tmp_path: Path) -> None:
    folder, found = result
    write_evaluation([str(folder)], EvaluationConfig(output_dir=tmp_path / "again", draws=50), DataConfig())
    assert EvaluationResult.load(tmp_path / "again") == found
    assert not (tmp_path / "again/evaluation.html").exists()
    config = EvaluationConfig(
        output_dir=tmp_path / "other", draws=50, thresholds=0.9, page=False, save_predictions=False
    )
    write_evaluation([str(folder / "predictions.parquet")], config, DataConfig())
    other = EvaluationResult.load(tmp_path / "other")
    assert set(other.info.thresholds.values()) == {0.9}
    assert not (tmp_path / "other/predictions.parquet").exists()
    assert other.scores == found.scores and other.at_thresholds != found.at_thresholds


def test_the_pictures_join_a_file_that_is_looked_at(
    result: tuple[Path, EvaluationResult], pictures: Path, tmp_path: Path
) -> None:
    folder, found = result
    config = EvaluationConfig(output_dir=tmp_path / "again", draws=50)
    write_evaluation([str(folder)], config, DataConfig(dataset=str(pictures)))
    assert EvaluationResult.load(tmp_path / "again") == found
    assert (tmp_path / "again/evaluation.html").stat().st_size > 10_000
    with pytest.raises(ConfigurationError, match="test_"):
        write_evaluation(
            [str(folder)],
            EvaluationConfig(output_dir=tmp_path / "none", split="validation"),
            DataConfig(dataset=str(pictures)),
        )
    assert not (tmp_path / "none").exists()


def test_what_a_run_would_accumulate_is_nothing_to_an_evaluation(
    trained: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    assert evaluated([trained], pictures, tmp_path / "e", page=False).scores


def test_the_views_are_averaged(trained: Path, pictures: Path, tmp_path: Path) -> None:
    found = evaluated([trained], pictures, tmp_path / "e", symmetries=2, thresholds=0.25)
    settings = {"symmetries": 2, "thresholds": set(found.info.thresholds.values())}
    assert settings == {"symmetries": found.info.symmetries, "thresholds": {0.25}}
    rows = load_from_disk(str(pictures))["test"]
    model = timm.create_model(f"local-dir:{trained / 'model'}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    pixels = torch.stack([transform(row["image"].convert("RGB")) for row in rows])
    with torch.inference_mode():
        logits = (model(pixels) + model(pixels.flip(-1))).double() / 2
    scores = read_predictions(tmp_path / "e").predictions.scores
    np.testing.assert_allclose(scores, logits.sigmoid().numpy()[:, list(COMMON.values())], atol=1e-5)


def test_images_that_the_model_learned_are_refused(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """A run tells its data by their fingerprint."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    results = json.loads((run / "results.json").read_text())
    results["data"] |= {"dataset": "pictures"}
    results["data"]["fingerprint"] = load_data(DataConfig(dataset=str(pictures))).source["fingerprint"]
    (run / "results.json").write_text(json.dumps(results))
    with pytest.raises(ConfigurationError, match="32 of the 32"):
        evaluated([run], pictures, tmp_path / "none", split="train")
    assert not (tmp_path / "none").exists()
    found = evaluated([run / "model"], pictures, tmp_path / "allowed", split="train", allow_trained=True)
    assert found.info.trained_on == 32
    assert any("trained" in note for note in found.notes())
    assert evaluated([run], pictures, tmp_path / "test").info.trained_on == 0
    notes = [
        evaluated([run], pictures, tmp_path / f"of_{name}", split=name).info.notes for name in ("validation", "test")
    ]
    assert [sum("chose the epoch" in note for note in found) for found in notes] == [1, 0]
    with pytest.raises(ConfigurationError, match="trained on 32 of the"):
        evaluated([run], pictures, tmp_path / "none", split="train+test")
    (run / "results.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"results\.json"):
        evaluated([run], pictures, tmp_path / "none")


def test_no_common_label_is_one_sentence(trained: Path, pictures: Path, tmp_path: Path) -> None:
    splits = load_from_disk(str(pictures))
    for name in splits:
        names = ["sea", "sand", "wood", "rock", "snow"]
        feature = splits[name].features.copy()
        feature["labels"] = type(feature["labels"])(ClassLabel(names=names))
        splits[name] = splits[name].cast(feature)
    splits.save_to_disk(str(tmp_path / "others"))
    with pytest.raises(ConfigurationError) as caught:
        evaluated([trained], tmp_path / "others", tmp_path / "none")
    assert "sand" in caught.value.found and "striped" in caught.value.found
    assert "scenes" not in caught.value.found, "of which the model knows none"
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_evaluated_is_told_before_anything_is_written(
    trained: Path, pictures: Path, result: tuple[Path, EvaluationResult], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    cases: list[tuple[type[Exception], str, list[Any], dict[str, Any]]] = [
        (ConfigurationError, "there", [trained], {"output_dir": tmp_path / "there"}),
        (UnknownNameError, "tset", [trained], {"split": "tset"}),
        (ConfigurationError, "test_resnet", ["test_resnet"], {}),
        (WeightsError, "config.json", [tmp_path / "there"], {}),
        (ConfigurationError, "3 models", [trained] * 3, {}),
        (ConfigurationError, "thresholds_from", [result[0]], {"thresholds_from": "validation"}),
        (ConfigurationError, "to-fiftyone", [result[0]], {"to_fiftyone": True, "no_data": True}),
    ]
    for kind, named, models, settings in cases:
        data = DataConfig() if settings.pop("no_data", False) else DataConfig(dataset=str(pictures))
        config = EvaluationConfig(**{"output_dir": tmp_path / "none"} | LIGHT | settings)
        with pytest.raises(kind) as caught:
            write_evaluation([str(model) for model in models], config, data)
        assert named in str(caught.value)
        assert not (tmp_path / "none").exists()


def test_an_image_that_cannot_be_read_is_named(
    trained: Path,
    pictures: Path,
    tmp_path: Path,
    damaged: Any,  # noqa: ANN401
) -> None:
    splits = load_from_disk(str(pictures))
    splits["test"] = damaged(splits["test"], 7)
    DatasetDict(splits).save_to_disk(str(tmp_path / "damaged"))
    with pytest.raises(ImageError, match=splits["test"]["id"][7]):
        evaluated([trained], tmp_path / "damaged", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damaged", [None, "{", '{"data": {}, "few_images": {}}'])
def test_an_exported_model_still_knows_what_it_learned(
    trained: Path, pictures: Path, tmp_path: Path, damaged: str | None
) -> None:
    onnx = pytest.importorskip("onnx")
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    results = json.loads((run / "results.json").read_text())
    results["data"] |= {"dataset": "pictures"}
    results["data"]["fingerprint"] = load_data(DataConfig(dataset=str(pictures))).source["fingerprint"]
    (run / "results.json").write_text(json.dumps(results))
    export_model(ModelChoice(model=str(run)), tmp_path / "out")
    file = (tmp_path / "out" / "model.onnx").rename(tmp_path / "alone.onnx")
    if damaged is not None:
        content = onnx.load(file)
        onnx.helper.set_model_props(content, {p.key: p.value for p in content.metadata_props} | {"run": damaged})
        onnx.save_model(content, file)
        with pytest.raises(ConfigurationError, match=r"alone\.onnx.*which images the model was trained on"):
            evaluated([file], pictures, tmp_path / "none")
        assert evaluated([file], pictures, tmp_path / "allowed", allow_trained=True).info.trained_on is None
        return
    with pytest.raises(ConfigurationError, match="32 of the 32"):
        evaluated([file], pictures, tmp_path / "none", split="train")
    assert evaluated([file], pictures, tmp_path / "test").info.trained_on == 0


def test_thresholds_that_few_images_chose_are_told(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """By the data's names of the labels; not where other thresholds are taken."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    results = json.loads((run / "results.json").read_text())
    scores = results["scores"]["validation"]
    thresholds = {"red": 0.4, "green": 0.5, "blue": 0.00004, "striped": 0.6, "never": 0.5}
    tuned = {"thresholds": thresholds, "untuned": [], "validation": scores, "test": scores, "few": {"striped": 3}}
    (run / "results.json").write_text(json.dumps(results | {"tuned": tuned}))
    config = json.loads((run / "model" / "config.json").read_text())
    (run / "model" / "config.json").write_text(json.dumps(config | {"thresholds": thresholds}))
    first, second = evaluated([run], pictures, tmp_path / "own").info.threshold_notes
    assert "Striped (3)" in first and "blue (< 0.001)" in second
    assert evaluated([run], pictures, tmp_path / "half", thresholds=0.5).info.threshold_notes == ()


def test_labels_of_all_splits_count_as_in_training(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """A label of a table that no image of the split has is still one that may be said wrongly."""
    splits = load_from_disk(str(pictures))
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, split in splits.items():
        lines = ["image,labels"]
        for row in split:
            row["image"].save(folder / f"{row['id']}.png")
            names = split.features["labels"].feature.int2str(row["labels"])
            kept = [one for one in names if name == "train" or one != "RED"]
            lines.append(f"{row['id']}.png,{'|'.join(kept)}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    data = DataConfig(dataset=f"{folder}/*.csv", label_separator="|", missing="negative")
    found = evaluated([trained], data, tmp_path / "e")
    assert {label.label: label.images for label in found.labels}["RED"] == 0
    assert found.info.only_in_model == ("green", "never")
    for label in found.labels:
        assert (label.average_precision == label.average_precision) == (label.images > 0)


@pytest.mark.slow
def test_two_processes_give_the_scores_of_one(
    trained: Path, pictures: Path, tmp_path: Path, result: tuple[Path, EvaluationResult]
) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "mlrsnet_hf", "evaluate"]
    options = ["--dataset", str(pictures), "--draws", "50", "--no-page", "--batch-size", "4"]
    options += ["--thresholds-from", "validation", "--output-dir", str(tmp_path / "two")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([*command, str(trained), *options], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    one, two = read_predictions(result[0]), read_predictions(tmp_path / "two")
    assert one.ids == two.ids
    np.testing.assert_allclose(one.predictions.scores, two.predictions.scores, atol=1e-6)
    assert run.stdout.count("results: ") == 1


def test_a_run_tells_its_scores_again(run: TrainingResult, trained: Path, data: DatasetDict, tmp_path: Path) -> None:
    data.save_to_disk(str(tmp_path / "data"))
    found = evaluated([trained], tmp_path / "data", tmp_path / "e")
    assert run.scores.test is not None
    for name, value in run.scores.test.items():
        assert found.scores[name] == pytest.approx(value, abs=1e-5)


def test_images_of_mlrsnet_are_known_by_protocol_and_seed(
    trained: Path, make_release: Callable[..., Path], tmp_path: Path
) -> None:
    """What a run of one split seed has learned, another seed puts into its test split."""
    root = make_release({"beach": 20, "airport": 20, "forest": 20})
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    settings = json.loads((run / "model/config.json").read_text())
    settings["label_names"] = ["water", "habor", "buildings", "sand", "trees"]
    del settings["thresholds"]
    (run / "model/config.json").write_text(json.dumps(settings))
    results = json.loads((run / "results.json").read_text())
    results["data"] |= {"dataset": "mlrsnet", "protocol": "ratio40", "split_seed": 0}
    (run / "results.json").write_text(json.dumps(results))

    def data(seed: int) -> DataConfig:
        return DataConfig(data_dir=str(root), protocol="ratio20", split_seed=seed)

    learned = set(load_data(DataConfig(data_dir=str(root), protocol="ratio40")).splits["train"]["id"])
    shared = {seed: len(learned & set(load_data(data(seed)).splits["test"]["id"])) for seed in (0, 1)}
    assert shared[0] and shared[1]  # ratio40 learns what ratio20 tests
    for seed, count in shared.items():
        with pytest.raises(ConfigurationError, match=f"{count} of the"):
            evaluated([run], data(seed), tmp_path / "none")
    found = evaluated([run], DataConfig(data_dir=str(root), protocol="ratio40"), tmp_path / "own")
    assert found.info.trained_on == 0
    assert found.info.respelled == {"harbor": "habor"}
    allowed = evaluated([run], data(1), tmp_path / "allowed", allow_trained=True)
    assert allowed.info.trained_on == shared[1]
