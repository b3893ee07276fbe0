"""An exported model: onnxruntime alone gives the network's logits, and the file serves wherever the network does."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from mlrsnet_hf import Classifier
from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.prediction import export
from mlrsnet_hf.prediction.export import export_model
from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model
from mlrsnet_hf.synthetic import synthetic_records
from mlrsnet_hf.taxonomy import SCENES

LABELS = ("water", "ships", "Beaches, dunes, sands", 'a "name"')
SCENE_NAMES = ("beach", "forest", "harbor")
THRESHOLDS = dict(zip(LABELS, (0.3, 0.5, 0.7, 0.5), strict=True))
LABELED = Task(kind="labels", label_names=LABELS)
BOTH = Task(kind="labels+scene", label_names=LABELS, scene_names=SCENE_NAMES)
CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared" / "data" / "ucm_release" / "Images"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real aerial images where they are there, else of drawn ones."""
    folder = tmp_path_factory.mktemp("images")
    if SHARED.is_dir():
        for scene in sorted(SHARED.iterdir())[::4]:
            first = min(scene.iterdir())
            shutil.copyfile(first, folder / first.name)
    else:
        for record in synthetic_records(dict.fromkeys(SCENES[:5], 1)):
            (folder / record.file_name).write_bytes(record.image or b"")
    return folder


def save_network(
    name: str, folder: Path, task: Task, side: int = 160, reading: Reading | None = None, **options: float
) -> Path:
    """Save a network of random weights whose logits differ from image to image; return the run's folder."""
    torch.manual_seed(3)
    channels = {} if reading is None else {"in_chans": reading.channels}
    model = timm.create_model(name, num_classes=task.outputs, **channels).eval()
    nn.init.normal_(model.get_classifier().weight, std=0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    if reading is not None:
        statistics = {"mean": (0.5,) * reading.channels, "std": (0.5,) * reading.channels}
        model.pretrained_cfg |= {"input_size": (reading.channels, side, side), **statistics}
    preprocessing = model_preprocessing(model, side, options.get("crop_pct", 1.0), reading or Reading())
    thresholds = THRESHOLDS if task.label_outputs else None
    save_model(model, folder / "model", preprocessing, task, thresholds)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, images: Path) -> tuple[Path, Path]:
    """A run and the folder that it is exported to."""
    folder = tmp_path_factory.mktemp("exported")
    run = save_network("test_resnet", folder / "run", BOTH, crop_pct=0.875)
    export_model(ModelChoice(model=str(run)), folder / "out", str(images))
    return run, folder / "out"


def logits_by_hand(file: Path, images: list[Path], size: int) -> np.ndarray:
    """Return the logits by onnxruntime, timm's transform and what the file says of itself, so many images at once."""
    session = onnxruntime.InferenceSession(file)
    told = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
    transform = timm.data.create_transform(**told, is_training=False)
    pixels = np.stack([transform(Image.open(image).convert("RGB")).numpy() for image in images])
    parts = [session.run(None, {"pixels": pixels[i : i + size]})[0] for i in range(0, len(pixels), size)]
    return np.concatenate(parts)


def logits_of_network(run: Path, images: list[Path]) -> np.ndarray:
    named = load_named_model(ModelChoice(model=str(run)))
    transform = timm.data.create_transform(**named.preprocessing.timm_config(), is_training=False)
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.open(image).convert("RGB")) for image in images])
        return named.model(pixels).numpy()


def test_onnxruntime_gives_the_networks_logits(exported: tuple[Path, Path], images: Path) -> None:
    run, out = exported
    files = sorted(images.iterdir())
    expected = logits_of_network(run, files)
    assert expected.std(axis=0).min() > 1e-2, "the images must differ, or the test says nothing"
    for size in (1, 2, len(files)):
        found = logits_by_hand(out / "model.onnx", files, size)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert sorted(path.name for path in out.iterdir()) == ["model.onnx", "preprocessing.json"]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "task"), [("test_vit", LABELED), ("test_convnext", BOTH)])
def test_other_networks_too(network: str, task: Task, images: Path, tmp_path: Path) -> None:
    run = save_network(network, tmp_path / "run", task)
    made = export_model(ModelChoice(model=str(run)), tmp_path / "out", str(images))
    files = sorted(images.iterdir())
    assert made.images == len(files)
    assert made.difference < 1e-4
    found = logits_by_hand(tmp_path / "out" / "model.onnx", files, 2)
    np.testing.assert_allclose(found, logits_of_network(run, files), atol=1e-4)


@pytest.mark.slow
def test_the_command_exports_scenes_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(kind="scene", label_names=(), scene_names=SCENE_NAMES)
    run = save_network("test_efficientnet", tmp_path / "run", task)
    main(["export", str(run), "--format", "onnx", "--output-dir", str(tmp_path / "out")])
    assert str(tmp_path / "out" / "model.onnx") in capsys.readouterr().out
    named = load_named_model(ModelChoice(model=str(tmp_path / "out")))
    assert named.task == task
    assert named.thresholds is None


def test_the_file_says_what_its_outputs_are(exported: tuple[Path, Path]) -> None:
    _, out = exported
    metadata = onnxruntime.InferenceSession(out / "model.onnx").get_modelmeta().custom_metadata_map
    told = {key: json.loads(value) for key, value in metadata.items()}
    assert told["label_names"] == list(LABELS)
    assert told["scene_names"] == list(SCENE_NAMES)
    assert told["thresholds"] == THRESHOLDS
    assert told["architecture"] == "test_resnet"
    assert told["preprocessing"] == json.loads((out / "preprocessing.json").read_text())
    assert told["preprocessing"]["input_size"] == [3, 160, 160]
    assert told["preprocessing"]["crop_pct"] == 0.875


def test_the_file_is_a_model_like_any_other(exported: tuple[Path, Path], images: Path) -> None:
    run, out = exported
    files = sorted(images.iterdir())
    by_network = Classifier.from_pretrained(run, batch_size=2, symmetries=4)
    for place in (out / "model.onnx", out):
        by_file = Classifier.from_pretrained(place, batch_size=2, symmetries=4)
        assert (by_file.label_names, by_file.scene_names) == (LABELS, SCENE_NAMES)
        np.testing.assert_array_equal(by_file.thresholds, by_network.thresholds)
        np.testing.assert_allclose(by_file.scores(files), by_network.scores(files), atol=1e-4)
        np.testing.assert_allclose(by_file.scene_scores(files), by_network.scene_scores(files), atol=1e-4)
    named = load_named_model(ModelChoice(model=str(out / "model.onnx")))
    assert (named.name, named.architecture) == ("run.onnx", "test_resnet")
    assert named.preprocessing == load_named_model(ModelChoice(model=str(run))).preprocessing
    other = out.with_name("copy.onnx")
    shutil.copyfile(out / "model.onnx", other)
    assert load_named_model(ModelChoice(model=str(other))).fingerprint == named.fingerprint


def test_the_pages_example_needs_no_other_package(
    exported: tuple[Path, Path],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = exported
    (code,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "docs" / "export.md").read_text(), re.DOTALL)
    assert "mlrsnet_hf" not in code
    shutil.copytree(out, tmp_path / "exported")
    shutil.copyfile(min(images.iterdir()), tmp_path / "harbor.jpg")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(code, found)
    np.testing.assert_allclose(found["scores"], Classifier.from_pretrained(run).scores("harbor.jpg")[0], atol=1e-4)
    (prediction,) = Classifier.from_pretrained(run).predict("harbor.jpg")
    printed = {line.rpartition(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert printed == set(prediction.labels)


def test_the_file_has_no_embeddings(exported: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigurationError, match="no embeddings"):
        load_embedding_model(ModelChoice(model=str(exported[1])))


def test_bands_are_told(tmp_path: Path) -> None:
    reading = Reading(bands=(4, 3, 2, 8), band_count=13, value_range=((0.0, 3000.0),), value_kind="integer")
    run = save_network("test_resnet", tmp_path / "run", LABELED, side=64, reading=reading)
    export_model(ModelChoice(model=str(run)), tmp_path / "out")
    named = load_named_model(ModelChoice(model=str(tmp_path / "out")))
    assert named.preprocessing.reading == reading
    told = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert (told["bands"], told["value_range"]) == ([4, 3, 2, 8], [[0.0, 3000.0]])


def test_a_file_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    class Shifted(nn.Module):
        """Gives, from the exporter on, other logits than before."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network
            self.pretrained_cfg = network.pretrained_cfg

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.network(pixels) + (3e-4 if torch.compiler.is_exporting() else 0)

    def shifted(choice: ModelChoice) -> object:
        import dataclasses

        named = load_named_model(choice)
        return dataclasses.replace(named, model=Shifted(named.model))

    run = save_network("test_resnet", tmp_path / "run", LABELED, side=64)
    monkeypatch.setattr(export, "load_named_model", shifted)
    with pytest.raises(ConfigurationError, match=r"0\.0003"):
        export_model(ModelChoice(model=str(run)), tmp_path / "out", str(images))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_cannot_be_exported_is_refused(exported: tuple[Path, Path], tmp_path: Path) -> None:
    run, out = exported
    refused = [
        (ModelChoice(model=str(out / "model.onnx")), tmp_path / "a", None, "ONNX file already"),
        (ModelChoice(model=str(run)), out, None, "exists"),
        (ModelChoice(model=str(run)), tmp_path / "a", str(tmp_path), "no image"),
        (ModelChoice(model="test_resnet", weights="random"), tmp_path / "a", None, "names no labels"),
    ]
    for choice, folder, images, words in refused:
        with pytest.raises(ConfigurationError, match=words):
            export_model(choice, folder, images)
    with pytest.raises(WeightsError):
        export_model(ModelChoice(model=str(tmp_path / "none.onnx")), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
