"""Scenes are matched by name too, and told apart among those that the data names."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from datasets import Sequence as ListFeature
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.prediction.predictions_file import SavedPredictions, read_predictions
from mlrsnet_hf.reports.evaluation.report import write_evaluation

LABELS, SCENES = ("water", "trees"), ("forest", "beach", "harbor_port")
IMAGES = 12


def saved_model(folder: Path, kind: str) -> torch.nn.Module:
    torch.manual_seed(5)
    task = Task(kind=kind, label_names=LABELS if kind != "scene" else (), scene_names=SCENES)
    model = timm.create_model("test_resnet", num_classes=task.outputs).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.3)
    save_model(model, folder, model_preprocessing(model, 32, 1.0), task)
    return model


def saved_data(folder: Path, scenes: list[str], labels: tuple[str, str] = ("trees", "sand")) -> Dataset:
    draw = np.random.default_rng(1)
    features = Features(
        {
            "id": Value("string"),
            "image": ImageFeature(),
            "labels": ListFeature(ClassLabel(names=list(labels))),
            "scene": ClassLabel(names=scenes),
        }
    )
    rows = {
        "id": [f"{number:02d}" for number in range(IMAGES)],
        "image": [Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(IMAGES)],
        "labels": [np.flatnonzero(draw.random(2) < 0.5).tolist() for _ in range(IMAGES)],
        "scene": [number % len(scenes) for number in range(IMAGES)],
    }
    split = Dataset.from_dict(rows, features=features)
    DatasetDict(test=split).save_to_disk(str(folder))
    return split


def logits_by_hand(model: torch.nn.Module, rows: Dataset) -> np.ndarray:
    settings = model.pretrained_cfg
    pixels = np.stack([np.asarray(row["image"], np.float32) / 255 for row in rows])
    pixels = (pixels - settings["mean"]) / settings["std"]
    with torch.inference_mode():
        return model(torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)).numpy()


def evaluated(model: Path, data: Path, folder: Path) -> tuple[EvaluationResult, SavedPredictions]:
    config = EvaluationConfig(output_dir=folder, draws=10, page=False)
    write_evaluation([str(model)], config, DataConfig(dataset=str(data)))
    return EvaluationResult.load(folder), read_predictions(folder)


def test_a_scene_is_one_of_those_that_the_data_names(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", "labels+scene")
    rows = saved_data(tmp_path / "data", ["Harbor&Port", "forest"])
    found, saved = evaluated(tmp_path / "model", tmp_path / "data", tmp_path / "e")
    logits = logits_by_hand(model, rows)
    best = logits[:, [2 + 2, 2 + 0]].argmax(axis=1)
    assert found.info.kind == "labels+scene"
    assert saved.task.scene_names == ("Harbor&Port", "forest")
    assert found.scores["scene_accuracy"] == pytest.approx((best == rows["scene"][:]).mean())
    assert [label.label for label in found.labels] == ["trees"]
    np.testing.assert_allclose(saved.predictions.scores[:, 0], 1 / (1 + np.exp(-logits[:, 1])), atol=1e-5)
    assert any("beach" in note for note in found.notes())
    assert [scene.images for scene in found.scenes] == [6, 6]


def test_where_scenes_are_not_known_labels_alone_are_scored(tmp_path: Path) -> None:
    saved_model(tmp_path / "model", "labels+scene")
    rows = saved_data(tmp_path / "data", ["forest", "city"])
    found, saved = evaluated(tmp_path / "model", tmp_path / "data", tmp_path / "e")
    assert found.info.kind == "labels"
    assert "scene_accuracy" not in found.scores
    assert saved.predictions.scenes is None
    assert saved.scenes is not None
    assert saved.scenes.tolist() == rows["scene"][:]
    assert [scene.scene for scene in found.scenes] == ["forest", "city"]


def test_labels_of_other_names_are_told_where_scenes_are_in_common(tmp_path: Path) -> None:
    saved_model(tmp_path / "model", "labels+scene")
    saved_data(tmp_path / "data", ["forest", "beach"], labels=("q1", "q2"))
    found, _ = evaluated(tmp_path / "model", tmp_path / "data", tmp_path / "e")
    assert found.info.kind == "scene"
    assert any("water, trees" in note and "q1, q2" in note for note in found.notes())


def test_a_model_of_scenes_is_measured_on_those_that_it_knows(tmp_path: Path) -> None:
    model = saved_model(tmp_path / "model", "scene")
    rows = saved_data(tmp_path / "data", ["city", "beach", "forest"])
    found, saved = evaluated(tmp_path / "model", tmp_path / "data", tmp_path / "e")
    known = rows.select([row for row, scene in enumerate(rows["scene"][:]) if scene])
    assert saved.ids == tuple(known["id"][:])
    best = logits_by_hand(model, known)[:, [1, 0]].argmax(axis=1) + 1
    assert found.scores["scene_accuracy"] == pytest.approx((best == known["scene"][:]).mean())
    assert [label.label for label in found.labels] == ["beach", "forest"]
    assert (found.info.only_in_data, found.info.only_in_model) == (("city",), ("harbor_port",))
    assert any("4 images" in note for note in found.notes())
    saved_data(tmp_path / "others", ["city", "sea"])
    with pytest.raises(ConfigurationError, match="no label in common"):
        evaluated(tmp_path / "model", tmp_path / "others", tmp_path / "none")
