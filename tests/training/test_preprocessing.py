from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.training.preprocessing import decode_image, model_preprocessing, normalise


@pytest.mark.parametrize("size", [(256, 256), (300, 200), (64, 256), (600, 600), (33, 31)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.875])
def test_evaluation_equals_timm_to_the_last_bit(size: tuple[int, int], crop_pct: float, picture: Callable) -> None:
    model = timm.create_model("tf_efficientnet_lite0")
    preprocessing = model_preprocessing(model, 96, crop_pct)
    image = picture([0, 3], seed=1, size=size)
    ours = normalise(torch.from_numpy(preprocessing.evaluation_transform()(image))[None], preprocessing)
    config = timm.data.resolve_data_config({"img_size": 96, "crop_pct": crop_pct}, model=model)
    assert torch.equal(ours[0], timm.data.create_transform(**config, is_training=False)(image))


def test_the_model_decides_what_is_not_given() -> None:
    preprocessing = model_preprocessing(timm.create_model("tf_efficientnet_lite0"), None, 1.0)
    assert (preprocessing.image_size, preprocessing.mean, preprocessing.interpolation) == (224, (0.5,) * 3, "bicubic")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_any_mode_becomes_pillows_rgb(mode: str, picture: Callable, encoded: Callable) -> None:
    image = picture([1], seed=2).convert(mode)
    value = {"bytes": encoded(image, "JPEG" if mode == "CMYK" else "PNG"), "path": None}
    decoded = decode_image(value, "x")
    assert decoded.mode == "RGB"
    if mode != "CMYK":
        assert np.array_equal(decoded, image.convert("RGB"))


def test_images_are_turned_upright(picture: Callable, encoded: Callable) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees
    image = picture([1], seed=2, size=(40, 20))
    path_bytes = encoded(image)
    assert decode_image({"bytes": path_bytes, "path": None}, "x").size == (40, 20)
    assert decode_image({"bytes": encoded(image, exif=exif), "path": None}, "x").size == (20, 40)


def test_image_by_path(tmp_path: Path, picture: Callable, encoded: Callable) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture([], seed=3)))
    assert np.array_equal(decode_image({"bytes": None, "path": str(path)}, "a"), picture([], seed=3))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_image_is_named(kept: float, file_format: str, picture: Callable, encoded: Callable) -> None:
    data = encoded(picture([0], seed=4), file_format)
    data = data[: int(kept * len(data))]
    with pytest.raises(ImageError, match=r"^image 'scene_7' \(scene_7\.jpg\) cannot be read: .*\. Replace the file"):
        decode_image({"bytes": data, "path": "scene_7.jpg"}, "scene_7")


def test_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        decode_image({"bytes": None, "path": str(tmp_path / "gone.jpg")}, "gone")


def test_a_model_of_other_input_is_refused() -> None:
    model = timm.create_model("test_resnet")
    model.pretrained_cfg = model.pretrained_cfg | {"input_size": (1, 32, 32)}
    with pytest.raises(ConfigurationError, match="takes input of 1 x 32 x 32"):
        model_preprocessing(model, None, 1.0)
