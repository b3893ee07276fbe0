"""A model of timm's on the Hub, or in a folder, by its own library's files: labels, scenes, or neither."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from mlrsnet_hf import Classifier
from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import load_named_model

LABELS = ["sea", "sand", "wood"]


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(2)
    model = timm.create_model("test_resnet", num_classes=3).eval()
    torch.nn.init.normal_(model.fc.weight, std=0.3)
    return model


def save(network: torch.nn.Module, folder: Path, **config: Any) -> Path:  # noqa: ANN401
    save_for_hf(network, folder, model_config=config, safe_serialization=True)
    return folder


def with_config(folder: Path, **values: Any) -> Path:  # noqa: ANN401
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return folder


def by_timm(folder: Path, pictures: list[Image.Image]) -> torch.Tensor:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    with torch.inference_mode():
        return torch.cat([model(transform(picture)[None]) for picture in pictures])


def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(3)
    return [Image.fromarray(draw.integers(0, 256, (180, 170, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.mark.parametrize("names", [LABELS, {"0": "sea", "1": "sand", "2": "wood"}])
def test_labels_that_timm_saves(names: Any, network: torch.nn.Module, tmp_path: Path) -> None:  # noqa: ANN401
    folder = save(network, tmp_path / "net", label_names=names)
    classifier = Classifier.from_pretrained(folder)
    assert classifier.label_names == tuple(LABELS)
    expected = by_timm(folder, pictures())
    np.testing.assert_allclose(classifier.scores(pictures()), expected.sigmoid().numpy(), atol=1e-5)


def test_labels_beside_the_preprocessing(network: torch.nn.Module, tmp_path: Path) -> None:
    folder = save(network, tmp_path / "net")
    settings = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    with_config(folder, pretrained_cfg=settings | {"label_names": LABELS})
    assert Classifier.from_pretrained(folder).label_names == tuple(LABELS)


def test_labels_that_exclude_each_other_are_scenes(network: torch.nn.Module, tmp_path: Path) -> None:
    folder = save(network, tmp_path / "net", label_names=LABELS)
    for values in (
        {"problem_type": "single_label_classification"},
        {"problem_type": None, "model_type": "timm_wrapper"},
    ):
        classifier = Classifier.from_pretrained(with_config(folder, **values))
        assert (classifier.label_names, classifier.scene_names) == ((), tuple(LABELS))


def test_a_model_without_names_is_a_network_all_the_same(network: torch.nn.Module, tmp_path: Path) -> None:
    folder = save(network, tmp_path / "net")
    named = load_named_model(ModelChoice(model=str(folder)))
    assert (named.task, named.name, named.architecture) == (None, "net", "test_resnet")
    picture = pictures()[0]
    pixels = timm.data.create_transform(**named.preprocessing.timm_config(), is_training=False)(picture)[None]
    with torch.inference_mode():
        torch.testing.assert_close(named.model(pixels), by_timm(folder, [picture]))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"0": "sea", "2": "sand", "5": "wood"}, "label_names"),
        (["sea", "sand"], "label_names"),
        (["sea", "sand", "sand"], "twice"),
        ("sea", "label_names"),
        ([1, 2, 3], "label_names"),
    ],
)
def test_names_that_are_not_those_of_the_outputs(
    names: Any,  # noqa: ANN401
    words: str,
    network: torch.nn.Module,
    tmp_path: Path,
) -> None:
    folder = with_config(save(network, tmp_path / "net"), label_names=names)
    with pytest.raises(WeightsError, match=words):
        load_named_model(ModelChoice(model=str(folder)))


def test_weights_that_run_code_are_not_read(network: torch.nn.Module, tmp_path: Path) -> None:
    for config in ({}, {"label_names": LABELS}):
        folder = save(network, tmp_path / f"net-{len(config)}", **config)
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            load_named_model(ModelChoice(model=str(folder)))
