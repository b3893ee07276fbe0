"""Bands and ranges from the settings: as text, as lists, and measured on the training images."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value

from mlrsnet_hf.configuration.command_line import parse, read_values
from mlrsnet_hf.errors import ConfigurationError, ImageError, MissingExtraError, MLRSNetError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation, StoredTransform, random_color_matrix
from mlrsnet_hf.inputs.pixels.decoded_cache import DecodedFile
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading, fixed_reading, reading_from_json
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.tables.image_files import open_first_images
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.inputs.value_range import settle_reading

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

FEATURES = Features({"id": Value("string"), "image": Image()})


def split_of(images: Sequence[np.ndarray], nodata: float | None = None) -> Dataset:
    """Return a split of images given as (bands, H, W) arrays."""
    files = []
    for image in images:
        count, height, width = image.shape
        with rasterio.MemoryFile() as memory:
            shape = {"count": count, "height": height, "width": width, "nodata": nodata}
            with memory.open(driver="GTiff", dtype=image.dtype, **shape) as file:
                file.write(image)
            files.append(memory.read())
    rows = {"id": [f"i{row}" for row in range(len(files))], "image": [{"bytes": file, "path": None} for file in files]}
    return Dataset.from_dict(rows, features=FEATURES)


def settled(split: Dataset, **settings: object) -> Reading:
    return settle_reading({"train": split}, DataConfig(**settings))


def test_percentiles_are_measured_band_by_band_without_nodata() -> None:
    # Band 1 holds 0 to 100, band 2 ten times as much: over both images the p-th percentile is p and 10 p.
    values = np.arange(101).reshape(1, 101)
    images = [np.stack([values, 10 * values]).astype(np.int16), np.full((2, 1, 30), -999, np.int16)]
    reading = settled(split_of(images, nodata=-999), bands="1,2", value_range="2%,98%")
    assert reading == Reading(
        bands=(1, 2), band_count=2, value_range=((2.0, 98.0), (20.0, 980.0)), value_kind="integer"
    )
    mixed = settled(split_of(images, nodata=-999), bands="2,1", value_range="0,100%")
    assert mixed.value_range == ((0.0, 1000.0), (0.0, 100.0))


def test_gray_images_are_measured_once() -> None:
    reading = settled(split_of([np.arange(101, dtype=np.float32).reshape(1, 1, 101) / 100]), value_range="0%,100%")
    assert reading == Reading(value_range=((0.0, 1.0),), value_kind="float")


def test_nan_and_infinity_are_not_measured() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 1, 2, 3]]], np.float32)
    assert settled(split_of([values]), value_range="0%,100%").value_range == ((1.0, 3.0),)


def test_without_rasterio_its_extra_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of([np.ones((4, 3, 3), np.uint16)])
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingExtraError, match=r"rasterio.*\[geo\]"):
        settled(split, bands="3,2,1", value_range="0,3000")


def test_the_usual_images_are_not_looked_at() -> None:
    assert settle_reading({}, DataConfig()) is RGB


@pytest.mark.parametrize(
    ("images", "settings", "error", "message"),
    [
        (
            [np.ones((2, 3, 3), np.uint16)],
            {"bands": "1,2", "value_range": "2%,98%"},
            ConfigurationError,
            "band 1 .*1 to 1",
        ),
        ([np.ones((2, 3, 3), np.uint16)], {"bands": "3", "value_range": "2%,98%"}, ImageError, "'i0' has 2 bands"),
        ([np.ones((4, 3, 3), np.uint16)], {"value_range": "0,9"}, ImageError, r"'i0' has 4 bands.*--bands"),
        ([np.ones((4, 3, 3), np.uint16)], {"bands": "1"}, ImageError, r"'i0' has 1 band of uint16.*--value-range"),
        (
            [np.ones((4, 3, 3), np.uint16), np.ones((3, 3, 3), np.uint16)],
            {"bands": "1", "value_range": "0,9"},
            ImageError,
            "'i1' has 3 bands.* have 4",
        ),
        (
            [np.full((1, 3, 3), np.nan, np.float32)],
            {"bands": "1", "value_range": "0,9"},
            ConfigurationError,
            "band 1.*NaN",
        ),
    ],
)
def test_what_cannot_be_settled_or_read_then_is_told(
    images: list[np.ndarray], settings: dict, error: type[MLRSNetError], message: str
) -> None:
    split = split_of(images)
    with pytest.raises(error, match=message):
        open_first_images([split], settled(split, **settings))


def test_a_range_that_leaves_the_images_black_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    split = split_of([np.random.default_rng(0).random((1, 20, 20)).astype(np.float32)])
    with caplog.at_level(logging.WARNING, logger="mlrsnet_hf"):
        settled(split, value_range="0,1")
        assert not caplog.records
        settled(split, value_range="0,3000")
    assert "100 percent of the values are nearly black" in caplog.text


# --------------------------------------------------------------------------------------------------------- settings


def test_lists_and_negative_numbers_are_taken(tmp_path: Path) -> None:
    assert DataConfig(bands=[4, 3, 2], value_range=[0, 3000]) == DataConfig(bands="4,3,2", value_range="0,3000")
    assert DataConfig(bands=(1, 2), value_range=((-25, 0), (-30, -5.5))).value_range == "-25,0;-30,-5.5"
    assert parse(DataConfig, "x", ["--value-range", "-25,0", "--bands", "1"]).value_range == "-25,0"
    file = tmp_path / "settings.yaml"
    file.write_text("bands: [4, 3, 2]\nvalue_range:\n- [0, 1]\n- [0, 2]\n- [-1, 3]\n")
    assert read_values(file, DataConfig) == {"bands": "4,3,2", "value_range": "0,1;0,2;-1,3"}
    file.write_text("bands: 4\nvalue_range: 2%,98%\n")
    assert DataConfig(**read_values(file, DataConfig)) == DataConfig(bands="4", value_range="2%,98%")


@pytest.mark.parametrize(
    "settings",
    [
        *({"bands": text} for text in ("", "0", "4,,2", "-1", "a", "3-1", "1-99999", "1-60000", "1.5", "4;3", "²")),
        *(
            {"value_range": text}
            for text in ("", "3", "3,3", "5,2", "1,2,3", "98%,2%", "0,101%", "nan,1", "0,inf", "0x1,2")
        ),
        {"value_range": "0,1;0,2"},
        {"bands": "1,2,3,4", "value_range": "0,1;0,2;0,3"},
        {"bands": True},
    ],
)
def test_other_text_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings.keys() & {"value_range"}), "bands")):
        DataConfig(**settings)


def test_percentiles_need_training_images() -> None:
    assert fixed_reading("2,1", "0,9") == Reading(bands=(2, 1), value_range=((0.0, 9.0),))
    with pytest.raises(ConfigurationError, match="only training measures"):
        fixed_reading(None, "2%,98%")


def test_a_reading_comes_back_from_json() -> None:
    for reading in (
        RGB,
        Reading(bands=(4, 3), band_count=13, value_range=((0.0, 1.0), (-2.5, 1e4)), value_kind="float"),
    ):
        assert reading_from_json(json.loads(json.dumps(reading.to_json())) | {"other": 1}) == reading


@pytest.mark.parametrize(
    "content",
    [
        {"bands": "4,3,2"},
        {"bands": []},
        {"bands": [0]},
        {"bands": [True]},
        {"bands": [1] * 2000},
        {"band_count": -1},
        {"value_kind": "complex"},
        {"value_kind": ["float"]},
        {"value_range": [0, 3000]},
        {"value_range": [[1, 0]]},
        {"value_range": [[0, float("nan")]]},
        {"value_range": [[0, 10**400]]},
        {"value_range": [[0, 1], [0, 2]]},
    ],
)
def test_what_is_no_reading_is_refused(content: dict) -> None:
    with pytest.raises(ValueError, match=r"band|value"):
        reading_from_json(content)


# ----------------------------------------------------------------------------------------- behind the decoder: n bands


@pytest.fixture
def tiles() -> Dataset:
    draw = np.random.default_rng(1)
    return split_of([draw.integers(0, 256, (5, *size)).astype(np.uint8) for size in ((48, 48), (80, 60), (40, 64))])


def images_of(tiles: Dataset, bands: tuple[int, ...], augment: Augmentation | None = None) -> SplitImages:
    task = Task(kind="scene", label_names=(), scene_names=("a",))
    rows = tiles.add_column("scene", [0] * len(tiles))
    return SplitImages(rows, task, StoredTransform(32), augment, reading=Reading(bands=bands, band_count=5))


def test_bands_are_shrunk_cut_and_turned_as_colors_are(tiles: Dataset) -> None:
    augment = Augmentation(32, crop_scale=0.5, crop_ratio=4 / 3)
    three, five = images_of(tiles, (1, 2, 3), augment), images_of(tiles, (1, 2, 3, 4, 5), augment)
    for epoch in range(12):  # all symmetries
        for row in range(len(tiles)):
            colors, bands = three[epoch, row].pixels.astype(int), five[epoch, row].pixels.astype(int)
            assert bands.shape == (32, 32, 5)
            assert np.abs(bands[..., :3] - colors).max() <= 1  # torch rounds three channels by another path


def test_jitter_changes_all_bands_alike() -> None:
    pixels = np.full((4, 4, 5), 100, np.uint8)
    matrix = random_color_matrix(pixels, 0.5, iter([0.7, 0.1, 0.9]))
    brightness, contrast = 1.2, 0.6
    np.testing.assert_allclose(matrix, [[brightness * contrast, (1 - contrast) * brightness * 100]], rtol=1e-6)


@pytest.mark.parametrize("bands", [(1,), (5, 1), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_a_cache_on_disk_keeps_any_number_of_bands(tiles: Dataset, bands: tuple[int, ...], tmp_path: Path) -> None:
    images = images_of(tiles, bands)
    expected = [images[0, row].pixels for row in range(len(tiles))]
    assert images.cache("disk", 10, tmp_path)
    assert isinstance(images._decoded, DecodedFile)
    assert all(np.array_equal(images[0, row].pixels, pixels) for row, pixels in enumerate(expected))
    other = images_of(tiles, bands[::-1])
    other.cache("disk", 10, tmp_path)
    assert len({path.name for path in tmp_path.iterdir() if path.is_dir()}) == (1 if len(bands) == 1 else 2)


# --------------------------------------------------------------------------------------------------- ground resolution


def placed(meters: float, crs: str | None = "EPSG:32633") -> dict[str, object]:
    transform = rasterio.Affine(meters, 0, 5e5, 0, -meters, 5e6) if crs else rasterio.Affine.identity()
    return {"crs": crs, "transform": transform}


def located(*profiles: dict[str, object]) -> Dataset:
    """Return a split of 8-bit color images that lie somewhere."""
    files = []
    for profile in profiles:
        with rasterio.MemoryFile() as memory:
            shape = {"count": 3, "height": 4, "width": 4, "photometric": "RGB"}
            with memory.open(driver="GTiff", dtype="uint8", **shape, **profile) as file:
                file.write(np.zeros((3, 4, 4), np.uint8))
            files.append(memory.read())
    rows = {"id": [f"i{row}" for row in range(len(files))], "image": [{"bytes": file, "path": None} for file in files]}
    return Dataset.from_dict(rows, features=FEATURES)


def test_the_resolution_of_georeferenced_images_is_measured() -> None:
    reading = settled(located(placed(0.3), placed(0.3), placed(0.5)))
    assert reading == Reading(resolution=0.3, image_side=4) and reading.is_usual
    assert settled(located(placed(0.3)), bands="1,2,3").resolution == 0.3
    assert settled(located(placed(0.3)), resolution=0.6) == Reading(resolution=0.6, image_side=4)
    assert settled(located(placed(0.3), placed(0.7))) is RGB  # of which would it be?
    assert settled(located(placed(0.3), placed(1, crs=None))) is RGB
    assert settled(split_of([np.zeros((3, 4, 4), np.uint8)])) is RGB


def test_the_shorter_side_is_kept_where_images_are_alike() -> None:
    """With the resolution it says how much ground an image shows; of 16 bits and more bands too."""

    def sides(*shapes: tuple[int, int], bands: int = 3) -> int | None:
        images = split_of([np.zeros((bands, *shape), np.uint16) for shape in shapes])
        return settled(images, resolution=1.0, bands="1,2,3", value_range="0,9").image_side

    assert sides((40, 60), (50, 44), (70, 48)) == 44
    assert sides((40, 60), (81, 90)) is None
    assert sides((40, 60), bands=5) == 40


@pytest.mark.parametrize("meters", [0, -1, float("nan"), float("inf")])
def test_a_resolution_is_a_positive_number(meters: float) -> None:
    with pytest.raises(ConfigurationError, match="resolution"):
        DataConfig(resolution=meters)
    with pytest.raises(ValueError, match="resolution"):
        reading_from_json({"resolution": meters})


def test_a_stored_resolution_comes_back() -> None:
    reading = Reading(bands=(4, 3, 2), resolution=10.0, image_side=256)
    assert reading_from_json(json.loads(json.dumps(reading.to_json()))) == reading
    with pytest.raises(ValueError, match="resolution"):
        reading_from_json({"resolution": "10 m"})
    for side in ("256", 0, True, 25.6):
        with pytest.raises(ValueError, match="image_side"):
            reading_from_json({"image_side": side})
