"""From an image file to the pixels that a model sees, as timm's evaluation transform does it."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import timm.data
import torch
from PIL import Image, ImageOps
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.training.models import timm_settings

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3); one image on its way to a batch."""
PixelTransform = Callable[[Image.Image], Pixels]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How evaluation prepares an image; stored with the model, so that timm and transformers repeat it."""

    image_size: int
    """Side of the square that the model sees, in pixels."""
    crop_pct: float
    """The shorter side is resized to image_size / crop_pct before the centre is taken."""
    crop_mode: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def timm_config(self) -> dict[str, Any]:
        """Return the settings under timm's names, as `timm.data.create_transform` and `pretrained_cfg` take them."""
        return {
            "input_size": (3, self.image_size, self.image_size),
            "crop_pct": self.crop_pct,
            "crop_mode": self.crop_mode,
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
        }

    def evaluation_transform(self) -> "EvaluationTransform":
        """Return the transform of an image for evaluation."""
        return EvaluationTransform(timm.data.create_transform(**self.timm_config(), is_training=False, normalize=False))


@dataclass(frozen=True, slots=True)
class EvaluationTransform:
    """timm's evaluation transform short of normalisation: RGB image -> (S, S, 3) uint8."""

    transform: Callable[[Image.Image], torch.Tensor]

    def __call__(self, image: Image.Image) -> Pixels:
        """Resize the image and take its centre."""
        return self.transform(image).permute(1, 2, 0).numpy()


def model_preprocessing(model: nn.Module, image_size: int | None, crop_pct: float) -> Preprocessing:
    """Return the model's own preprocessing with another size and crop.

    Raises:
        ConfigurationError: The model wants other than square three-channel input.
    """
    config = timm.data.resolve_data_config(pretrained_cfg=timm_settings(model))
    channels, height, width = config["input_size"]
    if channels != 3 or (image_size is None and height != width):
        raise ConfigurationError(
            f"model {timm_settings(model)['architecture']!r} takes input of {channels} x {height} x {width}",
            "Choose a model of square RGB input, or set image_size.",
        )
    return Preprocessing(
        image_size=image_size or height,
        crop_pct=crop_pct,
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def decode_image(image: Mapping[str, Any], name: str) -> Image.Image:
    """Return the undecoded value of a `datasets.Image` column as an upright RGB image, by Pillow.

    Args:
        image: `bytes`, or `path` if these are not there.
        name: How an error calls the image.

    Raises:
        ImageError: The file is missing, truncated or not an image.
    """
    source = image["path"] if image["bytes"] is None else io.BytesIO(image["bytes"])
    try:
        with Image.open(source) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    # Pillow's decoders also raise SyntaxError and ValueError for damaged files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        path = image["path"]
        raise ImageError(
            f"image {name!r}{f' ({path})' if path else ''} cannot be read: {error}",
            "Replace the file by a whole copy, or remove it and its row.",
        ) from error


def normalise(pixels: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Return (N, S, S, 3) uint8 pixels as the (N, 3, S, S) float32 that timm's transform gives.

    Division, subtraction and division in timm's order, so that the values are equal to the last bit. The channels stay
    last in memory, where convolutions are fastest.
    """
    mean, std = (
        torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
