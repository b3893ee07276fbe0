"""A config.json that names another network, or values that no network has, beside the weights of a small one."""

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_config import require_enough, stored_numbers
from mlrsnet_hf.models.saved_model import load_model, save_model

NAMES = ("red", "green", "blue")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3)
    task = Task(kind="labels", label_names=NAMES)
    save_model(model, tmp_path / "model", model_preprocessing(model, 64, 1.0), task, dict.fromkeys(NAMES, 0.4))
    return tmp_path / "model"


def change(folder: Path, **values: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    config = json.loads((folder / "config.json").read_text())
    for name, value in values.items():
        part = config["pretrained_cfg"] if name in config["pretrained_cfg"] and name != "num_classes" else config
        part[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", ["vit_giant_patch14_dinov2", "eva02_enormous_patch14_clip_224", "vgg16"])
def test_a_large_network_is_not_built_beside_small_weights(folder: Path, name: str) -> None:
    """1.1, 4.4 and 0.14 billion numbers, of which 4 bytes each would be taken."""
    change(folder, architecture=name)
    before = peak_megabytes()
    with pytest.raises(WeightsError, match=r"config\.json: the network has more than .*beside it [\d,]+\."):
        load_model(folder)
    with pytest.raises(WeightsError, match=r"config\.json: the network has more than"):
        build_model(name, 3, str(folder))
    assert peak_megabytes() - before < 300


def test_weights_are_counted(folder: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    assert stored_numbers(folder / "model.safetensors") == numbers
    state = torch.get_rng_state()
    require_enough([folder / "model.safetensors"], folder, lambda: timm.create_model("test_resnet", num_classes=3))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(WeightsError, match=r"the network has [\d,]+ numbers"):
        require_enough(
            [folder / "model.safetensors"], folder, lambda: timm.create_model("test_resnet", num_classes=9999)
        )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("architecture", 5, "architecture=5"),
        ("architecture", "nonet", "knows no model 'nonet'"),
        ("architecture", "hf-hub:jane/net", "knows no model 'hf-hub:jane/net'"),
        ("num_classes", 10**12, "num_classes=1000000000000"),
        ("num_classes", 4, "3 label_names where num_classes=4"),
        ("label_names", ["red", "green", 3], r"label_names\[2\]=3"),
        ("label_names", ["red", "red", "blue"], "stands twice"),
        ("label_names", None, "label_names=None"),
        ("problem_type", "regression", "problem_type='regression'"),
        ("thresholds", {"red": 0.5}, "thresholds are not those of the labels"),
        ("thresholds", {"red": 0.5, "green": 2, "blue": 0}, r"thresholds\.green=2"),
        ("input_size", "x", "input_size='x'"),
        ("input_size", [3, 64], "input_size has 2 entries"),
        ("input_size", [3, 64, 10**6], r"input_size\[2\]=1000000"),
        ("input_size", [3, 64, 32], "3 x 64 x 32"),
        ("mean", [0.5, 0.5], "mean has not one number for each of 3 channels"),
        ("mean", [0.5, float("nan"), 0.5], r"mean\[1\]=nan"),
        ("std", [0, 1, 1], r"std\[0\]=0"),
        ("crop_pct", "x", "crop_pct='x'"),
        ("crop_pct", 1e-300, "crop_pct=1e-300 of 64 pixels is too little"),
        ("crop_pct", 2, "crop_pct=2"),
        ("crop_mode", "tile", "crop_mode='tile'"),
        ("interpolation", "", "interpolation=''"),
        ("classifier", 5, "classifier=5"),
        ("model_args", [], r"model_args=\[\]"),
        ("model_args", {"global_pool": "evil"}, "the network cannot be built"),
        ("model_args", {"checkpoint_path": "/etc/passwd"}, "model_args.checkpoint_path='/etc/passwd'"),
        ("model_args", {"in_chans": 10**9}, "model_args.in_chans=1000000000"),
        ("model_args", {"stem_width": 60_000}, "the network has"),
    ],
)
def test_a_value_out_of_range_is_named(folder: Path, name: str, value: object, message: str) -> None:
    change(folder, **{name: value})
    with pytest.raises(WeightsError, match=message):
        load_model(folder)


def test_a_config_that_transformers_saved_again_is_read(folder: Path) -> None:
    before = load_model(folder)
    change(folder, model_args=None)
    after = load_model(folder)
    assert (after.task, after.preprocessing, after.thresholds) == (before.task, before.preprocessing, before.thresholds)
    pixels = torch.zeros(1, 3, 64, 64)
    assert torch.equal(after.model(pixels), before.model(pixels))


def test_new_weights_are_drawn_for_a_checked_network_alone(folder: Path) -> None:
    build_model(f"local-dir:{folder}", 2, "random")
    change(folder, model_args={"stem_width": 60_000})
    with pytest.raises(WeightsError, match="the network has"):
        build_model(f"local-dir:{folder}", 2, "random")


def test_weights_are_those_beside_the_config_that_was_checked(folder: Path) -> None:
    weights = load_model(folder).model.state_dict()
    config = json.loads((folder / "config.json").read_text())
    elsewhere = {"source": "hf-hub", "hf_hub_id": "jane/net", "state_dict": {}, "url": "https://example.com/net.pth"}
    for arguments in ({}, None):
        change(folder, model_args=arguments, pretrained_cfg=config["pretrained_cfg"] | elsewhere)
        found = build_model(f"local-dir:{folder}", NAMES, "pretrained").state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
