"""From decoded images and batches to what a model sees, as timm's evaluation transform does it."""

import functools
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import timm
import timm.data
import torch
from PIL import Image
from torch import nn

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.pixels.augmentation import turn
from mlrsnet_hf.inputs.pixels.decoding import Pixels
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.models.timm_config import timm_settings

_SERIAL_VALUES = 2**15 - 1
"""On a CPU, so many values at a time stay in the cache from pass to pass. For more, torch would wake its threads: for
work this short they cost more than they bring, and while they wait they keep the cores from those that decode."""
_REACH = 2
"""Places from one channel of a pixel to another, at most."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How evaluation prepares an image; stored with the model, so that timm and transformers repeat it."""

    image_size: int
    """Side of the square that the model sees, in pixels."""
    crop_pct: float
    """The shorter side is resized to image_size / crop_pct before the center is taken."""
    crop_mode: str
    interpolation: str
    mean: tuple[float, ...]
    """Of each channel, as a share of the largest value; see `model_preprocessing`."""
    std: tuple[float, ...]
    reading: Reading = field(default=RGB, repr=False)
    """Bands and range of values of the image files."""

    @property
    def channels(self) -> int:
        """Number of channels that the network sees."""
        return len(self.mean)

    def timm_config(self) -> dict[str, Any]:
        """Return the settings under timm's names, as `timm.data.create_transform` and `pretrained_cfg` take them."""
        return {
            "input_size": (self.channels, self.image_size, self.image_size),
            "crop_pct": self.crop_pct,
            "crop_mode": self.crop_mode,
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
        }

    def evaluation_transform(self) -> "EvaluationTransform":
        """Return the transform of an image for evaluation."""
        return EvaluationTransform(self)


class EvaluationTransform:
    """timm's evaluation transform short of normalization: RGB image, or (H, W, C) pixels -> (S, S, C) uint8."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        config = preprocessing.timm_config()
        self._transform = timm.data.create_transform(**config, is_training=False, normalize=False)
        # Pillow knows no images of other than three channels: each goes through alone, as a gray one.
        self._of_channels = [
            timm.data.create_transform(**config | {"mean": (mean,)}, is_training=False, normalize=False)
            for mean in (preprocessing.mean if preprocessing.channels != 3 else ())
        ]

    def __call__(self, image: Image.Image | Pixels) -> Pixels:
        """Resize the image and take its center."""
        if self._of_channels:
            planes = np.asarray(image).transpose(2, 0, 1)
            changed = [
                change(Image.fromarray(np.ascontiguousarray(plane)))[0]
                for change, plane in zip(self._of_channels, planes, strict=True)
            ]
            return torch.stack(changed, dim=-1).numpy()
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        return self._transform(image).permute(1, 2, 0).numpy()

    def __repr__(self) -> str:
        """Return what tells one transform from another."""
        return f"EvaluationTransform({self.preprocessing!r}, timm {timm.__version__})"


def model_preprocessing(
    model: nn.Module, image_size: int | None, crop_pct: float, reading: Reading = RGB
) -> Preprocessing:
    """Return the model's own preprocessing with another size and crop, for images that are read in some way.

    Raises:
        ConfigurationError: The model wants other than square input of as many channels as are read.
    """
    config = timm.data.resolve_data_config(pretrained_cfg=timm_settings(model))
    channels, height, width = config["input_size"]
    if channels != reading.channels or (image_size is None and height != width):
        raise ConfigurationError(
            f"model {timm_settings(model)['architecture']!r} takes input of {channels} x {height} x {width}",
            f"Choose a model of square input of {reading.channels} channels, or set image_size, or as many bands.",
        )
    return Preprocessing(
        image_size=image_size or height,
        crop_pct=crop_pct,
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        reading=reading,
    )


def model_input(batch: Batch, preprocessing: Preprocessing) -> torch.Tensor:
    """Return a batch as the network's input, (N, C, S, S) float32 on the batch's device, the channels last in memory.

    Where the colors do not change, it is what timm's transform gives, to the last bit; elsewhere the changed colors,
    bounded to 0 to 255, and normalized. Images that are to be turned are.
    """
    pixels = batch.pixels if batch.symmetries is None else turn(batch.pixels, batch.symmetries)
    if batch.color is None:
        return normalize_pixels(pixels, preprocessing)
    if preprocessing.channels != 3:
        scale, offset = batch.color[:, 0, :, None, None, None].unbind(1)
        return normalize_pixels((pixels * scale + offset).clamp_(0, 255), preprocessing)
    return _recolor(pixels, batch.color, preprocessing)


def normalize_pixels(pixels: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Return (N, S, S, C) pixels, 0 to 255, as the (N, C, S, S) float32 that timm's transform gives.

    Division, subtraction and division in timm's order, so that the values are equal to the last bit. The channels stay
    last in memory, where convolutions are fastest.
    """
    if pixels.device.type == "cpu" and pixels.dtype == torch.uint8:
        output = torch.empty(pixels.shape)
        for image, place in zip(pixels.numpy(), output.numpy(), strict=True):
            cv2.LUT(image, _normalized_levels(preprocessing), dst=place)
    else:
        mean, std = (values.repeat(pixels.shape[2]) for values in _statistics(preprocessing, pixels.device))
        output = torch.div(pixels.flatten(2), 255).sub_(mean).div_(std).view(pixels.shape)
    return output.permute(0, 3, 1, 2)


@functools.lru_cache
def _normalized_levels(preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """Return (1, 256, C): what each of the 256 levels becomes."""
    mean, std = _statistics(preprocessing, torch.device("cpu"))
    levels = torch.arange(256, dtype=torch.uint8)[:, None]
    return torch.div(levels, 255).sub(mean).div_(std)[None].numpy()


def _recolor(pixels: torch.Tensor, color: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Apply color matrices, bounds and normalization as one affine map and one clamp.

    A product of each pixel with a matrix of 3 x 3 is too small for matrix routines. In memory, though, the values that
    make a channel's new value lie at most two places off, so that the whole image is a sum of five shifted copies of
    itself, each weighted with a row of period three: plain arithmetic on long rows, the same on every device.
    """
    width = pixels.shape[2]
    mean, std = _statistics(preprocessing, pixels.device)
    weights = _shifted_weights(color[:, :, :3] / (255 * std[:, None]))
    offset = ((color[:, :, 3] / 255 - mean) / std)[:, None]
    lowest, highest = (((bound - mean) / std).repeat(width) for bound in (0, 1))

    rows = pixels.flatten(2)
    output = torch.empty(rows.shape, device=pixels.device)
    at_once, high = _strip_size(output)
    padded = torch.zeros((at_once, high * width * 3 + 2 * _REACH), device=pixels.device)
    shifted = [strip.unflatten(1, (high, width * 3)) for strip in padded.unfold(1, high * width * 3, 1).unbind(1)]
    parts = (rows, output, offset.repeat(1, 1, width), weights.repeat(1, 1, width))
    for source, place, row_offset, row_weights in zip(*(part.split(at_once) for part in parts), strict=True):
        first, *others = row_weights.split(1, dim=1)
        for strip, target in zip(source.split(high, 1), place.split(high, 1), strict=True):
            # The last strip may be lower than the others.
            values = shifted if target.shape[1] == high else [value[:, : target.shape[1]] for value in shifted]
            values[_REACH].copy_(strip)
            torch.addcmul(row_offset, values[0], first, out=target)
            for value, weight in zip(values[1:], others, strict=True):
                target.addcmul_(value, weight)
            target.clamp_(lowest, highest)
    return output.view(pixels.shape).permute(0, 3, 1, 2)


@functools.lru_cache
def _statistics(preprocessing: Preprocessing, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation, (C,) each; kept on the device, because to copy them there waits for it."""
    return torch.tensor(preprocessing.mean, device=device), torch.tensor(preprocessing.std, device=device)


def _shifted_weights(matrices: torch.Tensor) -> torch.Tensor:
    """Return (N, 5, 3): what the value at shift - 2 from channel c adds to it, for matrices (N, 3 out, 3 in)."""
    weights = torch.zeros((len(matrices), 2 * _REACH + 1, 3), device=matrices.device)
    for out in range(3):
        weights[:, _REACH - out : _REACH - out + 3, out] = matrices[:, out]
    return weights


def _strip_size(rows: torch.Tensor) -> tuple[int, int]:
    """Return how many images, and how many rows of each, of (N, H, W * 3) are worked on at once: on a GPU all."""
    count, height, width = rows.shape
    return (count, height) if rows.device.type != "cpu" else (1, min(height, max(1, _SERIAL_VALUES // width)))
