"""Heat maps: those of the published formula, written out with two hooks; none where a network has no maps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf import Classifier
from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.named_model import NamedModel
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.prediction.heat_map import HeatMaps, find_layer

pytest.importorskip("pytorch_grad_cam", reason="the extra app is not installed")

LABELS = ("red", "green", "blue")
SIDE = 96


def make_classifier(name: str = "test_resnet") -> Classifier:
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=4).eval()
    task = Task(kind="labels+scene", label_names=LABELS, scene_names=("beach",))
    return Classifier(NamedModel("net", model, model_preprocessing(model, SIDE, 1.0), task), device="cpu")


def test_a_map_is_that_of_the_paper(picture: Callable) -> None:
    """Selvaraju et al. (2017), equations 1 and 2: weights are the mean gradients, the map their positive sum."""
    classifier = make_classifier()
    image: Image.Image = picture([1], 4, (SIDE, SIDE))
    transform = timm.data.create_transform(**classifier.preprocessing.timm_config(), is_training=False)
    for label, name in enumerate(LABELS):
        with torch.enable_grad():
            features = classifier.network.forward_features(transform(image)[None])
            features.retain_grad()
            classifier.network.forward_head(features)[0, label].backward()
        weights = features.grad.mean((2, 3))[0]
        map_ = torch.relu((weights[:, None, None] * features[0]).sum(0)).detach().numpy()
        map_ = cv2.resize((map_ - map_.min()) / (1e-7 + map_.max() - map_.min()), (SIDE, SIDE))
        found = HeatMaps(classifier).heat(image, name)
        assert found.shape == (SIDE, SIDE) and found.dtype == np.float32
        assert np.abs(found - map_).max() < 1e-3


def test_predictions_are_left_alone(picture: Callable) -> None:
    classifier = make_classifier()
    image: Image.Image = picture([2], 5, (SIDE, SIDE))
    before, maps = classifier.scores([image]), HeatMaps(classifier)
    alone = maps.heat(image, "blue")
    with ThreadPoolExecutor(4) as threads:  # while others predict and ask for maps
        asked = [threads.submit(maps.heat, image, "blue") for _ in range(6)]
        scores = [threads.submit(classifier.scores, [image]) for _ in range(6)]
    assert all(np.array_equal(one.result(), alone) for one in asked)
    assert all(np.array_equal(one.result(), before) for one in scores)
    assert not any(module._forward_hooks for module in classifier.network.modules())
    assert all(parameter.grad is None for parameter in classifier.network.parameters())


def test_the_picture_that_is_shown(picture: Callable, tmp_path: Path) -> None:
    maps = HeatMaps(make_classifier())
    picture([0], 6, (120, 100)).save(tmp_path / "one.png")
    assert maps.overlay(tmp_path / "one.png", "red").size == (SIDE, SIDE)
    with pytest.raises(UnknownNameError, match="'green'"):
        maps.overlay(tmp_path / "one.png", "gren")


@pytest.mark.parametrize("name", ["test_vit", "test_vit4", "test_convnext", "test_efficientnet"])
def test_networks_that_have_maps(name: str) -> None:
    model = timm.create_model(name, num_classes=3).eval()
    side = model.default_cfg["input_size"][1]
    layer, reshape = find_layer(model, torch.zeros(1, 3, side, side)) or (None, None)
    assert layer is not None
    if "vit" in name:  # of tokens: the input of the last block
        assert layer is model.blocks[-1].norm1 and reshape is not None
        maps = reshape(torch.zeros(1, (side // 16) ** 2 + model.num_prefix_tokens, 8))
        assert maps.shape == (1, 8, side // 16, side // 16)


def test_a_network_without_maps() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    assert find_layer(network.eval(), torch.zeros(1, 3, 2, 2)) is None


def test_a_network_that_cannot_be_copied() -> None:
    """As those of ONNX files, which onnxruntime holds."""
    classifier = make_classifier()

    class Outside(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean((2, 3)) @ torch.ones(3, 4)

        def __deepcopy__(self, _: object) -> None:
            raise TypeError("cannot be pickled")

    classifier.network = Outside().eval()
    assert not HeatMaps(classifier).available
