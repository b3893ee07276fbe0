import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.pixels.augmentation import turn
from mlrsnet_hf.models.preprocessing import (
    Preprocessing,
    model_input,
    model_preprocessing,
    normalize_pixels,
)


@pytest.mark.parametrize("size", [(256, 256), (300, 200), (64, 256), (600, 600), (33, 31)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.875])
def test_evaluation_equals_timm_to_the_last_bit(size: tuple[int, int], crop_pct: float, picture: Callable) -> None:
    model = timm.create_model("tf_efficientnet_lite0")
    preprocessing = model_preprocessing(model, 96, crop_pct)
    image = picture([0, 3], seed=1, size=size)
    ours = normalize_pixels(torch.from_numpy(preprocessing.evaluation_transform()(image))[None], preprocessing)
    config = timm.data.resolve_data_config({"img_size": 96, "crop_pct": crop_pct}, model=model)
    assert torch.equal(ours[0], timm.data.create_transform(**config, is_training=False)(image))


def test_the_model_decides_what_is_not_given() -> None:
    preprocessing = model_preprocessing(timm.create_model("tf_efficientnet_lite0"), None, 1.0)
    assert (preprocessing.image_size, preprocessing.mean, preprocessing.interpolation) == (224, (0.5,) * 3, "bicubic")


def make_preprocessing(size: int) -> Preprocessing:
    return Preprocessing(
        image_size=size,
        crop_pct=1.0,
        crop_mode="center",
        interpolation="bicubic",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def make_batch(size: int, color: torch.Tensor | None) -> Batch:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype(np.uint8))
    return Batch(rows=torch.arange(3), pixels=pixels, targets=torch.zeros(3, 1), color=color)


# 200 pixels: several strips of an image.
@pytest.mark.parametrize("size", [1, 7, 32, 200])
def test_colors_change_are_bounded_and_normalized(size: int) -> None:
    preprocessing = make_preprocessing(size)
    color = torch.eye(3, 4) + 0.5 * torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(1))
    color[:, :, 3] *= 60
    batch = make_batch(size, color)
    changed = torch.einsum("noc,nyxc->nyxo", color[:, :, :3], batch.pixels.float()) + color[:, None, None, :, 3]
    if size > 7:
        assert changed.min() < 0
        assert changed.max() > 255
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    expected = (changed.clamp(0, 255) / 255 - mean) / std
    found = model_input(batch, preprocessing)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.permute(0, 2, 3, 1), expected, atol=1e-5, rtol=0)


def test_colors_that_stay_are_normalized_as_timm_does_it() -> None:
    preprocessing = make_preprocessing(40)
    unchanged = model_input(make_batch(40, None), preprocessing)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    planes = make_batch(40, None).pixels.permute(0, 3, 1, 2)
    assert torch.equal(unchanged, (planes.float() / 255 - mean) / std)
    by_matrix = model_input(make_batch(40, torch.eye(3, 4).repeat(3, 1, 1)), preprocessing)
    torch.testing.assert_close(by_matrix, unchanged, atol=1e-5, rtol=0)


def test_images_are_turned_before_their_colors_change() -> None:
    preprocessing, which = make_preprocessing(40), torch.tensor([0, 5, 7], dtype=torch.uint8)
    for color in (None, torch.eye(3, 4).repeat(3, 1, 1) * 0.7):
        straight = make_batch(40, color)
        turned = dataclasses.replace(straight, symmetries=which)
        expected = dataclasses.replace(straight, pixels=turn(straight.pixels, which))
        assert torch.equal(model_input(turned, preprocessing), model_input(expected, preprocessing))
        assert not torch.equal(model_input(turned, preprocessing), model_input(straight, preprocessing))


def test_an_image_does_not_depend_on_its_batch() -> None:
    color = torch.eye(3, 4) + 0.1 * torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(1))
    batch = make_batch(50, color)
    alone = Batch(rows=batch.rows[1:2], pixels=batch.pixels[1:2], targets=batch.targets[1:2], color=color[1:2])
    assert torch.equal(model_input(batch, make_preprocessing(50))[1:2], model_input(alone, make_preprocessing(50)))


def test_a_model_of_other_input_is_refused() -> None:
    model = timm.create_model("test_resnet")
    model.pretrained_cfg = model.pretrained_cfg | {"input_size": (1, 32, 32)}
    with pytest.raises(ConfigurationError, match="1 x 32 x 32"):
        model_preprocessing(model, None, 1.0)
