"""The saved folder through other eyes: timm's and transformers' own loading and preprocessing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save_model as save_model_file
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.inputs.pixels.decoding import decode_rgb
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.preprocessing import model_preprocessing, normalize_pixels
from mlrsnet_hf.models.saved_model import copy_model, load_model, save_model
from mlrsnet_hf.taxonomy import LABEL_NAMES

LABELS = Task(kind="labels", label_names=LABEL_NAMES)
BOTH = Task(kind="labels+scene", label_names=("a", "b", "c"), scene_names=("x", "y"))
SCENES = Task(kind="scene", label_names=(), scene_names=("x", "y"))

SIZES = [(256, 256), (300, 200), (120, 333), (600, 600)]
CASES = [
    ("test_resnet", None, 1.0),
    ("test_efficientnet", 96, 1.0),
    ("test_vit", 64, 1.0),
    ("test_convnext", 64, 0.9),
]


def saved(folder: Path, name: str, image_size: int | None, crop_pct: float) -> tuple[nn.Module, Path]:
    """Save a model whose batch statistics are not the initial ones."""
    torch.manual_seed(0)
    model = build_model(name, len(LABEL_NAMES), "random", image_size)
    preprocessing = model_preprocessing(model, image_size, crop_pct)
    model.train()(torch.randn(4, 3, preprocessing.image_size, preprocessing.image_size))
    save_model(model, folder, preprocessing, LABELS)
    return model.eval(), folder


def our_logits(model: nn.Module, path: Path, image_size: int | None, crop_pct: float) -> torch.Tensor:
    preprocessing = model_preprocessing(model, image_size, crop_pct)
    image = decode_rgb({"bytes": path.read_bytes(), "path": path.name}, path.stem)
    with torch.inference_mode():
        pixels = torch.from_numpy(preprocessing.evaluation_transform()(image))[None]
        return model(normalize_pixels(pixels, preprocessing))[0]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_timm_and_transformers_give_our_logits(tmp_path: Path, case: tuple, picture: Callable) -> None:
    model, folder = saved(tmp_path / "model", *case)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=by_timm), is_training=False)
    processor = AutoImageProcessor.from_pretrained(folder)
    by_transformers = AutoModelForImageClassification.from_pretrained(folder).eval()
    ask = pipeline("image-classification", model=str(folder), top_k=60, function_to_apply="sigmoid")
    for number, size in enumerate(SIZES):
        path = tmp_path / f"{number}.jpg"
        picture([0, 3], number, size).save(path)
        expected = our_logits(model, path, *case[1:])
        with torch.inference_mode():
            timms = by_timm(transform(Image.open(path).convert("RGB"))[None])[0]
            transformers = by_transformers(**processor(Image.open(path), return_tensors="pt")).logits[0]
        torch.testing.assert_close(timms, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(transformers, expected, atol=1e-4, rtol=0)
        answers = {answer["label"]: answer["score"] for answer in ask(str(path))}
        assert sorted(answers) == sorted(LABEL_NAMES)
        np.testing.assert_allclose([answers[name] for name in LABEL_NAMES], expected.sigmoid(), atol=1e-4)
    assert by_transformers.config.problem_type == "multi_label_classification"
    assert tuple(by_transformers.config.id2label.values()) == LABEL_NAMES
    assert tuple(by_timm.pretrained_cfg["label_names"]) == LABEL_NAMES


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_load_model_gives_back_what_was_saved(tmp_path: Path, case: tuple) -> None:
    model, folder = saved(tmp_path / "model", *case)
    loaded = load_model(folder)
    assert loaded.task == LABELS
    assert loaded.label_names == LABEL_NAMES
    assert loaded.thresholds is None
    assert loaded.preprocessing == model_preprocessing(model, *case[1:])
    state = loaded.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_layers_that_share_tensors_are_saved(tmp_path: Path) -> None:
    """One positional encoding in several blocks; safetensors itself refuses them."""
    torch.manual_seed(0)
    task = Task(kind="labels", label_names=("a", "b"))
    model = build_model("coat_lite_tiny", ["a", "b"], "random").eval()
    save_model(model, tmp_path / "model", model_preprocessing(model, None, 1.0), task)
    state, images = model.state_dict(), torch.randn(1, 3, 224, 224)
    assert len({tensor.data_ptr() for tensor in state.values()}) < len(state)
    assert load_file(tmp_path / "model" / "model.safetensors").keys() == state.keys()
    with torch.inference_mode():
        expected = model(images)
        for other in (
            load_model(tmp_path / "model").model,
            timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval(),
        ):
            assert torch.equal(other(images), expected)
            assert torch.equal(other.state_dict()["cpe1.proj.weight"], state["cpe1.proj.weight"])
        by_transformers = AutoModelForImageClassification.from_pretrained(tmp_path / "model").eval()
        assert torch.allclose(by_transformers(images).logits, expected, atol=1e-6)
    save_model_file(model, str(tmp_path / "once.safetensors"))  # a file with each of them under one name
    assert len(load_file(tmp_path / "once.safetensors")) < len(state)
    loaded = build_model("coat_lite_tiny", ["a", "b"], str(tmp_path / "once.safetensors")).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("arguments", ["as written", None], ids=["as written", "null"])
@pytest.mark.parametrize("task", [LABELS, BOTH], ids=["labels", "with scenes"])
def test_a_model_that_transformers_has_saved_again(tmp_path: Path, task: Task, arguments: str | None) -> None:
    torch.manual_seed(0)
    model = build_model("test_resnet", task.outputs, "random").eval()
    save_model(model, tmp_path / "model", model_preprocessing(model, 64, 0.9), task)
    AutoModelForImageClassification.from_pretrained(tmp_path / "model").save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["model_args"] == {}
    if arguments is None:  # as transformers writes where it finds nothing
        (tmp_path / "again" / "config.json").write_text(json.dumps(config | {"model_args": None}))
    saved_again, images = load_model(tmp_path / "again"), torch.randn(2, 3, 64, 64)
    started = build_model("test_resnet", task.label_names, str(tmp_path / "again")).eval()
    assert saved_again.task == Task(kind="labels", label_names=task.label_names)
    assert (saved_again.preprocessing.image_size, saved_again.preprocessing.crop_pct) == (64, 0.9)
    with torch.inference_mode():
        expected = model(images)[:, : task.label_outputs]
        for other in (saved_again.model, started):
            assert torch.allclose(other(images), expected, atol=1e-6)


def test_a_model_is_replaced_whole(tmp_path: Path) -> None:
    saved(tmp_path / "model", *CASES[0])
    other = build_model("test_resnet", len(LABEL_NAMES), "random")
    save_model(other, tmp_path / "model", model_preprocessing(other, None, 1.0), LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    state = load_file(tmp_path / "model/model.safetensors")
    assert all(torch.equal(state[key], value) for key, value in other.state_dict().items())


@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_save_leaves_nothing_or_the_earlier_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    folder = tmp_path / "model"
    if earlier:
        saved(folder, *CASES[0])
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(state: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlrsnet_hf.models.weights.save_file", fail)
    with pytest.raises(ConfigurationError, match="No space left"):
        saved(folder, *CASES[0])
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if earlier else [])
    if earlier:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["no folder", "no weights", "no config", "cut weights", "bad config"])
def test_what_is_no_saved_model_is_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage != "no folder":
        saved(folder, *CASES[0])
    if damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "no config":
        (folder / "config.json").unlink()
    elif damage == "cut weights":
        (folder / "model.safetensors").write_bytes(b"1234567890")
    elif damage == "bad config":
        (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    with pytest.raises(WeightsError, match=r"config\.json") as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)


def network(task: Task, name: str = "test_resnet", **sizes: int) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, task.outputs, "random", **sizes).eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "deit_tiny_distilled_patch16_224"])
def test_a_scene_head_lies_beside_a_model_of_the_labels(tmp_path: Path, name: str) -> None:
    """One of the networks has two classifiers, one its classifier within a head."""
    model, folder = network(BOTH, name), tmp_path / "model"
    preprocessing = model_preprocessing(model, None, 1.0)
    save_model(model, folder, preprocessing, BOTH)
    loaded = load_model(folder)
    assert loaded.task == BOTH
    image = torch.randn(1, 3, preprocessing.image_size, preprocessing.image_size)
    expected = model(image)
    assert torch.equal(loaded.model(image), expected)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    by_transformers = AutoModelForImageClassification.from_pretrained(folder).eval()
    for logits in (by_timm(image), by_transformers(pixel_values=image).logits):
        torch.testing.assert_close(logits, expected[:, :3], atol=1e-5, rtol=0)
    assert list(by_transformers.config.id2label.values()) == ["a", "b", "c"]


def test_a_model_of_scenes_is_one_of_single_labels(tmp_path: Path) -> None:
    model, folder = network(SCENES), tmp_path / "model"
    save_model(model, folder, model_preprocessing(model, None, 1.0), SCENES)
    assert load_model(folder).task == SCENES
    assert load_model(folder).label_names == ("x", "y")
    config = AutoModelForImageClassification.from_pretrained(folder).config
    assert config.problem_type == "single_label_classification"
    assert config.id2label == {0: "x", 1: "y"}
    Image.new("RGB", (40, 40)).save(tmp_path / "image.png")
    answers = pipeline("image-classification", model=str(folder))(str(tmp_path / "image.png"))
    assert sum(answer["score"] for answer in answers) == pytest.approx(1)  # softmax, chosen by the problem type


def test_a_scene_head_goes_when_the_next_model_has_none(tmp_path: Path) -> None:
    for task in (BOTH, SCENES):
        model = network(task)
        save_model(model, tmp_path / "model", model_preprocessing(model, None, 1.0), task)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    assert load_model(tmp_path / "model").task == SCENES


def test_thresholds_are_kept(tmp_path: Path) -> None:
    model, folder = network(BOTH), tmp_path / "model"
    thresholds = {"a": 0.25, "b": 0.5, "c": 0.75}
    save_model(model, folder, model_preprocessing(model, None, 1.0), BOTH, thresholds)
    assert load_model(folder).thresholds == thresholds
    copy_model(folder, tmp_path / "copy")
    assert load_model(tmp_path / "copy").thresholds == thresholds
    copy_model(folder, tmp_path / "copy", dict.fromkeys("abc", 0.1))
    assert load_model(tmp_path / "copy").thresholds == dict.fromkeys("abc", 0.1)
    assert timm.create_model(f"local-dir:{tmp_path / 'copy'}", pretrained=True).num_classes == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "model"]


def test_windows_of_another_image_size_come_back(tmp_path: Path) -> None:
    """timm's set_input_size changes a Swin's windows as well, which config.json cannot say."""
    model = network(LABELS, "swin_tiny_patch4_window7_224", image_size=64, varied=True)
    folder = tmp_path / "model"
    save_model(model, folder, model_preprocessing(model, 64, 1.0), LABELS)
    image = torch.randn(1, 3, 64, 64)
    expected = model(image)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    by_transformers = AutoModelForImageClassification.from_pretrained(folder).eval()
    for logits in (load_model(folder).model(image), by_timm(image), by_transformers(pixel_values=image).logits):
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
