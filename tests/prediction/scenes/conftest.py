"""Scenes of known content, and a network whose answer to each window is known."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.named_model import NamedModel
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.prediction.classifier import Classifier

UTM = "EPSG:32633"
PLACE = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
"""Pixels of 10 m."""


class Means(nn.Module):
    """The logit of each output is 40 times (the mean of one channel - 0.5): of a window half full it is 0."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = nn.Parameter(torch.tensor(channels, dtype=torch.float32), requires_grad=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 40 * (pixels.mean((2, 3))[:, self.channels.long()] - 0.5)


def scores_of(mean: np.ndarray) -> np.ndarray:
    """Return the score that `Means` gives a window of which a channel has a mean, 0 to 1."""
    return 1 / (1 + np.exp(-40 * (mean - 0.5)))


def make_classifier(
    task: Task,
    channels: Sequence[int] = (0, 1),
    *,
    side: int = 8,
    reading: Reading = RGB,
    **options: Any,  # noqa: ANN401
) -> Classifier:
    preprocessing = Preprocessing(
        image_size=side,
        crop_pct=1.0,
        crop_mode="center",
        interpolation="bilinear",
        mean=(0.0,) * reading.channels,
        std=(1.0,) * reading.channels,
        reading=reading,
    )
    model = NamedModel("means", Means(channels), preprocessing, task)
    return Classifier(model, device="cpu", batch_size=7, **options)


LABELS = Task(kind="labels", label_names=("red", "green"))


@pytest.fixture
def classifier() -> Classifier:
    """A classifier that tells whether a window is red, and whether it is green."""
    return make_classifier(LABELS)


WriteScene = Callable[..., Path]


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Return a function that writes (bands, H, W) values as a GeoTIFF, and returns its path."""
    rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')

    def write(values: np.ndarray, name: str = "scene.tif", **profile: Any) -> Path:  # noqa: ANN401
        count, height, width = values.shape
        place = {"crs": UTM, "transform": rasterio.Affine(*profile.pop("place", PLACE))}
        usual = {"driver": "GTiff", "dtype": values.dtype, "photometric": "RGB" if count in (3, 4) else "MINISBLACK"}
        path = tmp_path / name
        with rasterio.open(path, "w", count=count, height=height, width=width, **usual | place | profile) as file:
            file.write(values)
        return path

    return write


def halves(height: int = 100, width: int = 160, border: int = 70) -> np.ndarray:
    """Return a scene that is red up to a column, and green from there on."""
    scene = np.zeros((3, height, width), np.uint8)
    scene[0, :, :border] = 255
    scene[1, :, border:] = 255
    return scene
