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
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.taxonomy import LABEL_NAMES
from mlrsnet_hf.training import load_model
from mlrsnet_hf.training.models import build_model
from mlrsnet_hf.training.preprocessing import decode_image, model_preprocessing, normalise
from mlrsnet_hf.training.saved_model import save_model

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
    save_model(model, folder, preprocessing, LABEL_NAMES)
    return model.eval(), folder


def our_logits(model: nn.Module, path: Path, image_size: int | None, crop_pct: float) -> torch.Tensor:
    preprocessing = model_preprocessing(model, image_size, crop_pct)
    image = decode_image({"bytes": path.read_bytes(), "path": path.name}, path.stem)
    with torch.inference_mode():
        return model(normalise(torch.from_numpy(preprocessing.evaluation_transform()(image))[None], preprocessing))[0]


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
    assert loaded.label_names == LABEL_NAMES
    assert loaded.preprocessing == model_preprocessing(model, *case[1:])
    state = loaded.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_model_is_replaced_whole(tmp_path: Path) -> None:
    saved(tmp_path / "model", *CASES[0])
    other = build_model("test_resnet", len(LABEL_NAMES), "random")
    save_model(other, tmp_path / "model", model_preprocessing(other, None, 1.0), LABEL_NAMES)
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

    monkeypatch.setattr("mlrsnet_hf.training.saved_model.save_file", fail)
    with pytest.raises(ConfigurationError, match="No space left on device"):
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
    with pytest.raises(WeightsError, match="holds no saved model") as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
