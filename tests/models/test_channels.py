"""Networks of other than three channels: fitted weights, mean and deviation, and what is saved."""

import dataclasses
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.build import build_model, training_size
from mlrsnet_hf.models.preprocessing import model_input, model_preprocessing
from mlrsnet_hf.models.saved_model import load_model, save_model
from mlrsnet_hf.models.timm_config import timm_settings

TASK = Task(kind="labels", label_names=("a", "b"))
FIRST = "conv1.0.weight"
"""Of test_resnet."""


def reading_of(channels: int) -> Reading:
    return Reading(bands=tuple(range(1, channels + 1)), band_count=13, value_range=((0.0, 3000.0),))


@pytest.fixture
def rgb_weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "rgb.safetensors"
    save_file(
        {name: tensor.contiguous() for name, tensor in timm.create_model("test_resnet").state_dict().items()}, path
    )
    return path


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_weights_of_a_file_are_fitted_to_the_channels(rgb_weights: Path, channels: int) -> None:
    colors = build_model("test_resnet", 2, str(rgb_weights)).state_dict()[FIRST]
    fitted = build_model("test_resnet", 2, str(rgb_weights), channels=channels).state_dict()[FIRST]
    if channels == 1:
        expected = colors.sum(1, keepdim=True)
    else:
        expected = torch.stack([colors[:, channel % 3] for channel in range(channels)], dim=1) * 3 / channels
    torch.testing.assert_close(fitted, expected)


def test_mean_and_deviation_go_with_the_weights() -> None:
    timms = timm_settings(timm.create_model("resnet18"))
    assert timms["mean"] == (0.485, 0.456, 0.406)
    four = model_preprocessing(build_model("resnet18", 2, "random", channels=4), None, 1.0, reading_of(4))
    assert (four.mean, four.std) == ((0.485, 0.456, 0.406, 0.485), (0.229, 0.224, 0.225, 0.229))
    one = model_preprocessing(build_model("resnet18", 2, "random", channels=1), None, 1.0, reading_of(1))
    assert one.mean == pytest.approx((0.449,))
    assert one.channels == 1


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
@pytest.mark.parametrize("channels", [1, 5])
def test_what_is_saved_comes_back_by_all_three(tmp_path: Path, name: str, channels: int) -> None:
    from transformers import AutoModelForImageClassification

    torch.manual_seed(2)
    model = build_model(name, 2, "random", 64, channels=channels).eval()
    preprocessing = model_preprocessing(model, 64, 1.0, reading_of(channels))
    save_model(model, tmp_path / "model", preprocessing, TASK)
    loaded = load_model(tmp_path / "model")
    assert loaded.preprocessing == preprocessing
    pixels = torch.randn(2, channels, 64, 64)
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval()
    by_transformers = AutoModelForImageClassification.from_pretrained(tmp_path / "model").eval()
    with torch.inference_mode():
        expected = model(pixels)
        torch.testing.assert_close(loaded.model(pixels), expected)
        torch.testing.assert_close(by_timm(pixels), expected)
        torch.testing.assert_close(by_transformers(pixels).logits, expected)
    again = build_model(name, 2, str(tmp_path / "model"), 64, channels=channels)
    state = again.state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert model_preprocessing(again, 64, 1.0, preprocessing.reading) == preprocessing
    with pytest.raises(ConfigurationError, match=f"{channels} channels.*--bands"):
        build_model(name, 2, str(tmp_path / "model"), 64)


def test_a_network_of_another_size_keeps_its_first_layer() -> None:
    torch.manual_seed(0)
    fixed = build_model("test_vit", 2, "random", 160, channels=5)
    torch.manual_seed(0)
    varied = build_model("test_vit", 2, "random", 160, varied=True, channels=5)
    name = "patch_embed.proj.weight"
    assert torch.equal(fixed.state_dict()[name], varied.state_dict()[name])
    assert training_size(varied, 160, 0.8, channels=5) == 128


def test_bands_must_be_as_many_as_the_channels() -> None:
    model = build_model("test_resnet", 2, "random", channels=4)
    with pytest.raises(ConfigurationError, match="4 x 160 x 160"):
        model_preprocessing(model, None, 1.0, RGB)


def test_brightness_changes_all_channels_alike() -> None:
    model = build_model("test_resnet", 2, "random", channels=4)
    preprocessing = model_preprocessing(model, 2, 1.0, reading_of(4))
    pixels = torch.tensor([0, 100, 200, 250], dtype=torch.uint8).repeat(1, 2, 2, 1)
    batch = Batch(rows=torch.tensor([0]), pixels=pixels, targets=torch.zeros(1, 2), color=torch.tensor([[[1.2, 10.0]]]))
    found = model_input(batch, preprocessing)
    # 1.2 x + 10, at most 255; of mean and deviation 0.5.
    expected = (torch.tensor([10.0, 130.0, 250.0, 255.0]) / 255 - 0.5) / 0.5
    torch.testing.assert_close(found[0, :, 1, 1], expected)
    assert found.shape == (1, 4, 2, 2)


def test_a_saved_reading_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = build_model("test_resnet", 2, "random", channels=4)
    preprocessing = model_preprocessing(model, 32, 1.0, reading_of(4))
    for reading in (reading_of(5), RGB):
        save_model(model, tmp_path / "model", dataclasses.replace(preprocessing, reading=reading), TASK)
        with pytest.raises(WeightsError, match="4 x 32 x 32"):
            load_model(tmp_path / "model")
