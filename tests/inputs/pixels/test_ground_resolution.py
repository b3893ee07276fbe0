"""Meters per pixel against pyproj's geodesics, which measure on the ellipsoid in their own way."""

import math

import numpy as np
import pytest

from mlrsnet_hf.inputs.pixels.ground_resolution import image_resolution, pixel_meters

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SHAPE = (80, 100)


def meters(crs: str | None, *transform: float) -> tuple[float, float] | None:
    with rasterio.MemoryFile() as memory:
        height, width = SHAPE
        profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint8"}
        with memory.open(**profile, crs=crs, transform=rasterio.Affine(*transform)) as file:
            file.write(np.zeros((1, *SHAPE), np.uint8))
        with memory.open() as file:
            return pixel_meters(file)


def test_a_true_projection_is_taken_at_its_word() -> None:
    assert meters("EPSG:32633", 10, 0, 5e5, 0, -10, 5e6) == (10, 10)
    assert meters("EPSG:32633", 0.3, 0, 7e5, 0, -0.6, 5e6) == (0.3, 0.6)
    assert meters("EPSG:32633", 6, 8, 5e5, 8, -6, 5e6) == (10, 10)  # turned: 3, 4, 5 twice
    assert meters("EPSG:2263", 1, 0, 9.8e5, 0, -1, 2e5) == pytest.approx([0.3048006096] * 2)  # feet of the U.S. survey


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", (1e-4, 0, 13, 0, -1e-4, 52)),
        ("EPSG:4326", (0.1, 0, 170, 0, -0.1, 70)),
        ("EPSG:3857", (10, 0, 1.4e6, 0, -10, 6.8e6)),
    ],
)
def test_others_are_measured_on_the_ellipsoid(crs: str, transform: tuple[float, ...]) -> None:
    pyproj = pytest.importorskip("pyproj")
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = transform[2] + transform[0] * SHAPE[1] / 2, transform[5] + transform[4] * SHAPE[0] / 2
    west, south = to_degrees.transform(x - transform[0] / 2, y + transform[4] / 2)
    east, north = to_degrees.transform(x + transform[0] / 2, y - transform[4] / 2)
    longitude, latitude = to_degrees.transform(x, y)
    geodesic = pyproj.Geod(ellps="WGS84")
    _, _, across = geodesic.inv(west, latitude, east, latitude)
    _, _, along = geodesic.inv(longitude, south, longitude, north)
    assert meters(crs, *transform) == pytest.approx((across, along), rel=1e-5)


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["plan",UNIT["metre",1]]'])
def test_what_is_nowhere_on_earth_has_none(crs: str | None) -> None:
    assert meters(crs, 1, 0, 100, 0, -1, 200) is None
    assert meters("EPSG:32633", 10, 0, 1e9, 0, -10, 5e9) is None


def test_an_image_file_has_the_mean_of_both_sides() -> None:
    with rasterio.MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
        with memory.open(**profile, transform=rasterio.Affine(2, 0, 5e5, 0, -8, 5e6)) as file:
            file.write(np.zeros((1, 4, 4), np.uint8))
        assert image_resolution(memory.read()) == pytest.approx(math.sqrt(2 * 8))
    assert image_resolution(b"\xff\xd8 a JPEG") is None
