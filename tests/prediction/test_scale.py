"""What reaches the network: images of as much ground look alike to it, however many pixels they have."""

import numpy as np
import pytest
import rasterio
import timm

from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.prediction.scale import is_far, relative_scale, warn_of_other_scale
from tests.inputs.test_value_range import FEATURES, Dataset

LEARNED = Reading(resolution=0.5, image_side=128)
"""64 m of ground."""


@pytest.mark.parametrize(
    ("meters", "side", "scale"),
    [
        (0.5, 128, 1),
        (0.25, 256, 1),  # half the pixel's size, and as much ground
        (0.0625, 1024, 1),  # 8 times finer
        (0.5, 256, 2),  # the same pixels, and twice the ground
        (0.5, 32, 0.25),
        (2, 128, 4),
    ],
)
def test_the_scale_is_how_much_more_ground_is_seen(meters: float, side: int, scale: float) -> None:
    """As stripes of 4 m, of which an image of 64 m has 16, come out of the model's own resizing."""
    network = timm.create_model("test_resnet", num_classes=2)
    transform = model_preprocessing(network, 64, 0.5, LEARNED).evaluation_transform()

    def stripes(meters: float, side: int) -> float:
        ground = (np.arange(side) + 0.5) * meters
        row = ((ground / 4).astype(int) % 2 * 255).astype(np.uint8)
        seen = transform(np.broadcast_to(row[None, :, None], (side, side, 3)).copy())[32, :, 0] > 127
        return np.count_nonzero(seen[1:] != seen[:-1]) + 1

    assert stripes(0.5, 128) == 8, "half of the 16: the center"
    assert relative_scale(LEARNED, meters, side) == scale
    if scale <= 2:  # of narrower stripes a pixel holds several
        assert stripes(meters, side) == pytest.approx(8 * scale, abs=1)


def test_of_older_models_pixels_are_compared() -> None:
    assert relative_scale(Reading(resolution=0.5), 2, 999) == 4
    assert relative_scale(Reading(), 2, 999) is None
    assert [is_far(scale) for scale in (0.49, 0.5, 1, 2, 2.01)] == [True, False, False, False, True]


@pytest.mark.parametrize(("meters", "side", "told"), [(0.0625, 1024, False), (0.5, 512, True), (0.5, 128, False)])
def test_images_of_other_ground_are_warned_of(
    meters: float, side: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with rasterio.MemoryFile() as memory:
        place = {"crs": "EPSG:32633", "transform": rasterio.Affine(meters, 0, 5e5, 0, -meters, 5e6)}
        shape = {"count": 3, "height": side, "width": side + 9, "dtype": "uint8"}
        with memory.open(driver="GTiff", **shape, **place) as file:
            file.write(np.zeros((3, side, side + 9), np.uint8))
        rows = {"id": ["a"], "image": [{"bytes": memory.read(), "path": None}]}
    warn_of_other_scale(ImageFiles(Dataset.from_dict(rows, features=FEATURES)), ["a"], LEARNED)
    said = capsys.readouterr().err
    assert ("4 times more ground" in said) is told
