"""Scenes of known content: polygons opened by geopandas, cells by rasterio, all compared with what was painted."""

import itertools
import json
import os
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.scenes import predict as module
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.predict import ScenePrediction, predict_scene
from mlrsnet_hf.resumable_folder import ResumableFolder
from tests.prediction.scenes.conftest import (
    LABELS,
    UTM,
    WriteScene,
    halves,
    make_classifier,
    scores_of,
)

rasterio = pytest.importorskip("rasterio", reason='needs the extra "geo"')
pytest.importorskip("shapely", reason='needs the extra "geo"')
geopandas = pytest.importorskip("geopandas", reason="opens what was written")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SIDE, STRIDE = 32, 24
CONFIG = SceneConfig(window=SIDE)


def starts(length: int) -> list[int]:
    """Return the windows' edges by hand: every 24 pixels, and the last one shifted inside."""
    found = [start for start in range(0, length, STRIDE) if start + SIDE <= length]
    return found if found[-1] + SIDE == length else [*found, length - SIDE]


def windows_of(height: int, width: int) -> list[tuple[int, int]]:
    return [(x, y) for y in starts(height) for x in starts(width)]


def means_of(scene: np.ndarray, channel: int, windows: list[tuple[int, int]]) -> np.ndarray:
    return np.array([scene[channel, y : y + SIDE, x : x + SIDE].mean() / 255 for x, y in windows])


def run(
    path: Path | str,
    classifier: Classifier,
    tmp_path: Path,
    name: str = "out",
    **settings: Any,  # noqa: ANN401
) -> ScenePrediction:
    more = {"all_scores": settings.pop("all_scores", False)}
    return predict_scene(path, classifier, tmp_path / name, SceneConfig(**{"window": SIDE} | settings), **more)


# -------------------------------------------------------------------------------------------------- windows as polygons


def test_windows_have_the_labels_of_what_was_painted(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    scene = halves()
    result = run(write_scene(scene), classifier, tmp_path, all_scores=True)
    windows = windows_of(100, 160)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert list(zip(found.x, found.y, strict=True)) == windows
    assert list(found.window) == list(range(len(windows)))
    red, green = (scores_of(means_of(scene, channel, windows)) for channel in (0, 1))
    np.testing.assert_allclose(found["score:red"], red, atol=1e-4)
    np.testing.assert_allclose(found["score:green"], green, atol=1e-4)
    for row, (is_red, is_green) in zip(found.itertuples(), zip(red > 0.5, green > 0.5, strict=True), strict=True):
        assert set(row.labels) == {name for name, has in (("red", is_red), ("green", is_green)) if has}
        assert list(row.scores) == sorted(row.scores, reverse=True)
    assert found.crs == UTM
    corners = [(5e5 + 10 * x, 5e6 - 10 * (y + SIDE), 5e5 + 10 * (x + SIDE), 5e6 - 10 * y) for x, y in windows]
    np.testing.assert_array_equal(found.bounds.to_numpy(), corners)
    assert (found.area == (10 * SIDE) ** 2).all()
    assert (result.windows, result.empty, result.outside) == (len(windows), 0, 0)
    assert result.labels == {"green": int((green > 0.5).sum()), "red": int((red > 0.5).sum())}


def test_geojson_is_of_rfc_7946(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    run(write_scene(halves()), classifier, tmp_path)
    text = json.loads((tmp_path / "out" / "windows.geojson").read_text())
    assert set(text) == {"type", "features"}  # no CRS: it is WGS 84
    for feature in text["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1] and len(ring) == 5
        assert sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in itertools.pairwise(ring)) < 0  # counterclockwise
    degrees = geopandas.read_file(tmp_path / "out" / "windows.geojson")
    assert degrees.crs == "EPSG:4326"
    meters = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    np.testing.assert_allclose(degrees.to_crs(UTM).bounds, meters.bounds, atol=0.01)
    assert [list(labels) for labels in degrees.labels] == [list(labels) for labels in meters.labels]


def test_geoparquet_has_its_metadata(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    import pyarrow.parquet as pq
    import pyproj

    run(write_scene(halves()), classifier, tmp_path)
    geo = json.loads(pq.read_metadata(tmp_path / "out" / "windows.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert pyproj.CRS.from_json_dict(column["crs"]).to_epsg() == 32633
    assert column["bbox"] == [5e5, 5e6 - 1000, 5e5 + 1600, 5e6]


@pytest.mark.parametrize("name", ["turned", "south up", "degrees"])
def test_polygons_lie_where_the_raster_does(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, name: str
) -> None:
    place, crs = {
        "turned": ((6.0, 8.0, 5e5, 8.0, -6.0, 5e6), UTM),
        "south up": ((10.0, 0.0, 5e5, 0.0, 10.0, 5e6), UTM),
        "degrees": ((0.001, 0.0, 13.0, 0.0, -0.001, 52.0), "EPSG:4326"),
    }[name]
    run(write_scene(halves(), place=place, crs=crs), classifier, tmp_path)
    a, b, c, d, e, f = place
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    for (x, y), shape in zip(windows_of(100, 160), found.geometry, strict=True):
        pixels = [(x, y), (x + SIDE, y), (x + SIDE, y + SIDE), (x, y + SIDE)]
        expected = {(a * i + b * j + c, d * i + e * j + f) for i, j in pixels}
        assert {tuple(np.round(corner, 6)) for corner in shape.exterior.coords} == {
            tuple(np.round(corner, 6)) for corner in expected
        }
        assert shape.exterior.is_ccw
    degrees = geopandas.read_file(tmp_path / "out" / "windows.geojson")
    assert all(shape.exterior.is_ccw for shape in degrees.geometry)
    np.testing.assert_allclose(degrees.to_crs(crs).bounds, found.bounds, atol=0.01 if crs == UTM else 1e-7)


def test_windows_across_the_180th_meridian_are_cut_there(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    # UTM zone 1 begins at 180 degrees, 333,979 m left of its middle at the equator: column 80 of 160.
    place = (10.0, 0.0, 500_000 - 333_979 - 800, 0.0, -10.0, 500.0)
    run(write_scene(halves(), place=place, crs="EPSG:32601"), classifier, tmp_path)
    degrees = geopandas.read_file(tmp_path / "out" / "windows.geojson")
    kinds = dict(zip(windows_of(100, 160), degrees.geom_type, strict=True))
    assert {x for (x, _), kind in kinds.items() if kind == "MultiPolygon"} == {
        x for x in starts(160) if x < 80 < x + SIDE
    }
    bounds = degrees.explode().bounds
    assert (bounds.maxx - bounds.minx).max() < 0.01
    assert bounds.minx.min() == -180 and bounds.maxx.max() == 180
    in_meters = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    np.testing.assert_allclose(degrees.to_crs("EPSG:32601").area, in_meters.area, rtol=1e-3)


def test_a_pole_has_no_polygon(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    path = write_scene(halves(), place=(100.0, 0.0, -8000.0, 0.0, -100.0, 5000.0), crs="EPSG:3031")
    with pytest.raises(ConfigurationError, match="pole"):
        run(path, classifier, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["scene.tif"]


# ------------------------------------------------------------------------------------------------------- united windows


def spots(seed: int = 0) -> np.ndarray:
    """Return a scene of red and green blocks of a window's stride, at random."""
    draw = np.random.default_rng(seed)
    blocks = draw.integers(0, 2, (2, 9, 12)) * 255
    scene = np.zeros((3, 9 * STRIDE, 12 * STRIDE), np.uint8)
    scene[:2] = blocks.repeat(STRIDE, 1).repeat(STRIDE, 2)
    return scene


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_merged_areas_are_what_geopandas_dissolves(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, overlap: float
) -> None:
    run(write_scene(spots()), classifier, tmp_path, merge=True, overlap=overlap, all_scores=True)
    windows = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    areas = geopandas.read_parquet(tmp_path / "out" / "areas.parquet")
    assert areas.crs == UTM
    for name in ("red", "green"):
        own = windows[[name in labels for labels in windows.labels]]
        expected = own.dissolve().explode()
        found = areas[areas.label == name]
        assert 1 < len(found) == len(expected)
        assert found.geometry.is_valid.all()
        for area in found.itertuples():
            (same,) = [one for one in expected.geometry if one.equals(area.geometry)]
            inside = own[own.within(same)]
            assert area.windows == len(inside)
            assert area.score == pytest.approx(inside[f"score:{name}"].mean())
            assert area.highest_score == pytest.approx(inside[f"score:{name}"].max())
        assert found.windows.sum() == len(own)
    degrees = geopandas.read_file(tmp_path / "out" / "areas.geojson")
    assert list(degrees.label) == list(areas.label)
    assert all(shape.exterior.is_ccw and not any(hole.is_ccw for hole in shape.interiors) for shape in degrees.geometry)
    difference = degrees.to_crs(UTM).symmetric_difference(areas.geometry)
    assert (difference.area < 1e-5 * areas.area).all()  # an edge that is straight in degrees is not quite in meters


def test_an_edge_of_many_windows_is_straight_in_the_raster(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    scene = np.zeros((3, 64, 2000), np.uint8)
    scene[0] = 255
    run(write_scene(scene, place=(300.0, 0.0, 2e5, 0.0, -300.0, 7e6)), classifier, tmp_path, merge=True)
    (area,) = geopandas.read_parquet(tmp_path / "out" / "areas.parquet").geometry
    assert area.bounds == (2e5, 7e6 - 64 * 300, 2e5 + 600_000, 7e6) and area.equals(area.envelope)
    (degrees,) = geopandas.read_file(tmp_path / "out" / "areas.geojson").to_crs(UTM).geometry
    # Straight between its two ends, in degrees, it would be 3 km off in its middle.
    assert degrees.hausdorff_distance(area) < 20


# ---------------------------------------------------------------------------------------------------------------- cells


def cells_of(scores: dict[tuple[int, int], float], height: int, width: int, stride: int = STRIDE) -> np.ndarray:
    """Return the mean of each cell, pixel by pixel: of all windows that cover them."""
    sums, counts = np.zeros((height, width)), np.zeros((height, width))
    for (x, y), score in scores.items():
        sums[y : y + SIDE, x : x + SIDE] += score
        counts[y : y + SIDE, x : x + SIDE] += 1
    cells = np.full((-(-height // stride), -(-width // stride)), np.nan)
    for row, column in np.ndindex(*cells.shape):
        cell = slice(row * stride, (row + 1) * stride), slice(column * stride, (column + 1) * stride)
        if counts[cell].any():
            cells[row, column] = sums[cell].sum() / counts[cell].sum()
    return cells


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
def test_cells_are_means_of_the_windows_that_cover_them(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, overlap: float
) -> None:
    run(write_scene(spots(1)[:, :210, :260]), classifier, tmp_path, overlap=overlap, all_scores=True)
    windows = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    stride = round(SIDE * (1 - overlap))
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        assert file.descriptions == ("red", "green")
        assert file.crs == UTM and np.isnan(file.nodata)
        assert list(file.transform)[:6] == [10 * stride, 0, 5e5, 0, -10 * stride, 5e6]
        for band, name in enumerate(("red", "green"), start=1):
            scores = dict(zip(zip(windows.x, windows.y, strict=True), windows[f"score:{name}"], strict=True))
            np.testing.assert_allclose(file.read(band), cells_of(scores, 210, 260, stride), atol=1e-5)


def directories_of(tiff: bytes) -> Iterator[tuple[int, int]]:
    """Yield the offset of each directory of a TIFF file, and that of its first tile (tag 324, of 32-bit numbers)."""
    assert tiff[:4] == b"II*\0"
    (offset,) = struct.unpack_from("<I", tiff, 4)
    while offset:
        (count,) = struct.unpack_from("<H", tiff, offset)
        entries = [struct.unpack_from("<HHII", tiff, offset + 2 + 12 * entry) for entry in range(count)]
        ((number, value),) = [(number, value) for tag, _, number, value in entries if tag == 324]
        tiles = [value] if number == 1 else struct.unpack_from(f"<{number}I", tiff, value)
        yield offset, min(tile for tile in tiles if tile)
        (offset,) = struct.unpack_from("<I", tiff, offset + 2 + 12 * count)


def test_the_tiff_is_cloud_optimized(write_scene: WriteScene, tmp_path: Path) -> None:
    """What rio-cogeo checks: tiles, smaller versions, all directories before all pixels, the smallest image first."""
    scene = np.zeros((3, 600, 1200), np.uint8)
    run(write_scene(scene), make_classifier(LABELS, side=2), tmp_path, window=4, overlap=0.0)
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        assert (file.height, file.width) == (150, 300)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert set(file.block_shapes) == {(128, 128)}
        assert file.overviews(1) == [2, 4]
    directories, first_pixels = zip(*directories_of((tmp_path / "out" / "scores.tif").read_bytes()), strict=True)
    assert len(directories) == 3
    directories, first_pixels = list(directories), list(first_pixels)
    assert directories == sorted(directories)
    assert max(directories) < min(first_pixels)
    assert first_pixels == sorted(first_pixels, reverse=True)


# ------------------------------------------------------------------------------------ nodata, polygons, no georeference


@pytest.mark.parametrize("kind", ["nodata", "mask", "alpha"])
def test_windows_of_nodata_alone_are_left_out(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, kind: str
) -> None:
    scene = np.full((3, 100, 160), 9, np.uint8)
    scene[0] = 255
    valid = np.zeros((100, 160), bool)
    valid[:, 50:] = True
    if kind == "nodata":
        path = write_scene(np.where(valid, scene, 7).astype(np.uint8), nodata=7)
    elif kind == "alpha":
        path = write_scene(np.concatenate([scene, valid[None] * np.uint8(255)]), alpha="yes")
    else:
        path = write_scene(scene)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(valid)
    result = run(path, classifier, tmp_path)
    seen = [(x, y) for x, y in windows_of(100, 160) if x + SIDE > 50]
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert list(zip(found.x, found.y, strict=True)) == seen
    assert result.empty == len(windows_of(100, 160)) - len(seen) > 0
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        np.testing.assert_array_equal(np.isnan(file.read(1)[0]), np.arange(7) < 1)  # of windows from 24 on
    preview = np.asarray(Image.open(tmp_path / "out" / "preview.jpg").convert("RGB")).astype(int)
    assert abs(preview[50, 20] - 128).max() < 10 and abs(preview[50, 120] - [255, 9, 9]).max() < 20


def test_nan_is_nodata(write_scene: WriteScene, tmp_path: Path) -> None:
    scene = np.full((1, 64, 160), 0.9, np.float32)
    scene[:, :, :80] = np.nan
    reading = Reading(bands=(1,), value_range=((0.0, 1.0),))
    classifier = make_classifier(Task(kind="labels", label_names=("bright",)), (0,), reading=reading)
    result = run(write_scene(scene), classifier, tmp_path)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert set(found.x) == {x for x in starts(160) if x + SIDE > 80} and result.empty > 0


def polygon_of(x: float, y: float, right: float, lower: float) -> list[list[float]]:
    """Return a ring in the coordinates of a scene at `PLACE`, of pixels."""
    corners = [(x, y), (right, y), (right, lower), (x, lower), (x, y)]
    return [[5e5 + 10 * i, 5e6 - 10 * j] for i, j in corners]


@pytest.mark.parametrize("form", ["GeoJSON", "collection", "WKT", "EWKT"])
def test_a_polygon_chooses_windows(write_scene: WriteScene, classifier: Classifier, tmp_path: Path, form: str) -> None:
    import shapely

    shape = shapely.Polygon(polygon_of(60, 30, 100, 70))
    degrees = geopandas.GeoSeries([shape], crs=UTM).to_crs("EPSG:4326")
    if form == "GeoJSON":
        (tmp_path / "roi.geojson").write_text(shapely.to_geojson(degrees[0]))
        roi = str(tmp_path / "roi.geojson")
    elif form == "collection":
        degrees.to_file(tmp_path / "roi.json", driver="GeoJSON")
        roi = str(tmp_path / "roi.json")
    else:
        roi = shape.wkt if form == "WKT" else f"SRID=4326;{degrees[0].wkt}"
    result = run(write_scene(halves()), classifier, tmp_path, roi=roi)
    inside = [(x, y) for x, y in windows_of(100, 160) if 60 - SIDE < x < 100 and 30 - SIDE < y < 70]
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert list(zip(found.x, found.y, strict=True)) == inside
    assert list(found.window) == [windows_of(100, 160).index(window) for window in inside]
    assert result.outside == len(windows_of(100, 160)) - len(inside) > 0


def test_an_edge_in_common_is_no_overlap(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    import shapely

    roi = shapely.Polygon(polygon_of(SIDE, 0, SIDE + 10, SIDE)).wkt
    run(write_scene(halves()), classifier, tmp_path, roi=roi)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert 0 not in set(found.x)


@pytest.mark.parametrize(
    ("roi", "found"),
    [
        ("POLYGON((0 0, 1 1, 1 0, 0 0))", "overlaps no window"),
        (
            "POLYGON((500000 5000000, 500900 4999100, 500900 5000000, 500000 4999100, 500000 5000000))",
            "Self-intersection",
        ),
        ("POLYGON((0 0, 1", "cannot be read"),
        ("nothing.geojson", "cannot be read"),
        ("SRID=999999;POLYGON((0 0, 1 1, 1 0, 0 0))", "coordinates"),
        ('{"type": "Point", "coordinates": [15, 45]}', "no area"),
        ('{"type": "Polygon", "coordinates": 5}', "cannot be read"),
        ("[[[]]]", "cannot be read"),
    ],
)
def test_a_polygon_that_cannot_be_used_is_told(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, roi: str, found: str
) -> None:
    path = write_scene(halves())
    if roi[0] in "{[":
        (tmp_path / "roi.json").write_text(roi)
        roi = str(tmp_path / "roi.json")
    with pytest.raises(ConfigurationError, match=found):
        run(path, classifier, tmp_path, roi=roi)
    assert not any("out" in one.name for one in tmp_path.iterdir())


def test_without_georeference_pixels_are_told(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas

    path = tmp_path / "photo.png"
    Image.fromarray(halves().transpose(1, 2, 0)).save(path)
    roi = "POLYGON((0 0, 60 0, 60 100, 0 100, 0 0))"
    run(path, classifier, tmp_path, merge=True, roi=roi)
    assert "no georeference" in capsys.readouterr().err
    names = {one.name for one in (tmp_path / "out").iterdir()}
    assert names == {"windows.parquet", "areas.parquet", "scores.tif", "preview.jpg", "prediction.json"}
    found = pandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert list(zip(found.x, found.y, strict=True)) == [(x, y) for x, y in windows_of(100, 160) if x < 60]
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        assert file.crs is None and file.transform.is_identity


# ----------------------------------------------------------------------------------------------------------- resolution


def test_a_scene_is_resampled_to_another_resolution(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    fine = halves(200, 320, 160)
    result = run(write_scene(fine, place=(5.0, 0.0, 5e5, 0.0, -5.0, 5e6)), classifier, tmp_path, resolution=10)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    windows = windows_of(100, 160)
    assert list(zip(found.x, found.y, strict=True)) == windows
    corners = [(5e5 + 10 * x, 5e6 - 10 * (y + SIDE), 5e5 + 10 * (x + SIDE), 5e6 - 10 * y) for x, y in windows]
    np.testing.assert_allclose(found.bounds, corners)
    red = scores_of(means_of(halves(100, 160, 80), 0, windows)) > 0.5
    assert [("red" in labels) for labels in found.labels] == list(red)
    assert result.labels["red"] == red.sum()
    told = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert told["meters_per_pixel"] == 10 and told["size"] == [160, 100]


def test_degrees_are_resampled_to_meters(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    import pyproj

    # At 60 degrees north a degree of longitude is about half as long as one of latitude.
    place = (2e-4, 0.0, 15.0, 0.0, -1e-4, 60.0)
    run(write_scene(halves(), place=place, crs="EPSG:4326"), classifier, tmp_path, resolution=5)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    geodesic = pyproj.Geod(ellps="WGS84")
    for shape in found.geometry:
        left, lower, right, upper = shape.bounds
        _, _, across = geodesic.inv(left, 59.995, right, 59.995)
        _, _, along = geodesic.inv(left, lower, left, upper)
        assert across == pytest.approx(5 * SIDE, rel=1e-3) and along == pytest.approx(5 * SIDE, rel=1e-3)


def test_a_turned_raster_is_resampled_along_its_rows(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    fine = halves(200, 320, 160)
    run(write_scene(fine, place=(3.0, 4.0, 5e5, 4.0, -3.0, 5e6)), classifier, tmp_path, resolution=10)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    windows = windows_of(100, 160)
    assert list(zip(found.x, found.y, strict=True)) == windows
    red = scores_of(means_of(halves(100, 160, 80), 0, windows)) > 0.5
    assert [("red" in labels) for labels in found.labels] == list(red)
    np.testing.assert_allclose(found.area, (10 * SIDE) ** 2)


@pytest.mark.parametrize("kind", ["nodata", "mask", "alpha"])
def test_nodata_stays_nodata_when_resampled(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, kind: str
) -> None:
    scene = halves(200, 320, 160)
    scene[2] = 1
    if kind == "nodata":
        scene[:, :, :160] = 7
        path = write_scene(scene, nodata=7)
    elif kind == "alpha":
        opaque = np.repeat(np.arange(320)[None, None] >= 160, 200, 1) * np.uint8(255)
        path = write_scene(np.concatenate([scene, opaque]), alpha="yes")
    else:
        path = write_scene(scene)
        valid = np.zeros((200, 320), bool)
        valid[:, 160:] = True
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(valid)
    run(path, classifier, tmp_path, resolution=20)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert set(found.x) == {x for x in starts(160) if x + SIDE > 80}


def test_smaller_versions_of_a_raster_are_used(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    path = write_scene(halves(512, 512, 256), tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
        # Now all but the smaller versions is green: whoever reads these sees red on the left.
        file.write(np.zeros((512, 256), np.uint8), 1, window=rasterio.windows.Window(0, 0, 256, 512))
    run(path, classifier, tmp_path, resolution=41)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert "red" in {label for labels in found.labels for label in labels}


def test_another_scale_than_the_models_is_warned_of(
    write_scene: WriteScene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_scene(halves())
    run(path, make_classifier(LABELS, reading=Reading(resolution=6.0)), tmp_path, "near")
    assert capsys.readouterr().err == ""
    run(path, make_classifier(LABELS, reading=Reading(resolution=4.9)), tmp_path, "far")
    said = capsys.readouterr().err
    assert "10 m" in said and "4.9 m" in said and "--resolution 4.9" in said
    run(path, make_classifier(LABELS, reading=Reading(resolution=30.0)), tmp_path, "coarse")
    assert "--resolution 30" in capsys.readouterr().err


def test_the_window_counts_beside_the_pixels(
    write_scene: WriteScene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows of 32 pixels of 10 m cover 320 m."""
    path = write_scene(halves())
    run(path, make_classifier(LABELS, reading=Reading(resolution=1.0, image_side=320)), tmp_path, "same")
    assert capsys.readouterr().err == ""
    run(path, make_classifier(LABELS, reading=Reading(resolution=10.0, image_side=12)), tmp_path, "far")
    assert "--resolution 3.75 " in capsys.readouterr().err  # 32 of these are 120 m
    run(path, make_classifier(LABELS, reading=Reading()), tmp_path, "unknown")
    told = capsys.readouterr()
    assert told.err == "" and told.out.count("--resolution") == 1
    run(path, make_classifier(LABELS, reading=Reading()), tmp_path, "given", resolution=20)
    assert "--resolution" not in capsys.readouterr().out


# ------------------------------------------------------------------------------------------- bands, values, scenes, VRT


@pytest.mark.parametrize("bands", [4, 13])
def test_bands_and_their_range_are_those_of_the_model(write_scene: WriteScene, tmp_path: Path, bands: int) -> None:
    draw = np.random.default_rng(bands)
    scene = draw.integers(0, 3000, (bands, 3, 5)).repeat(20, 1).repeat(20, 2).astype(np.uint16)
    chosen = (bands, *range(1, bands))
    reading = Reading(bands=chosen, band_count=bands, value_range=((0.0, 3000.0),), value_kind="integer")
    task = Task(kind="labels", label_names=("last", "first"))
    run(write_scene(scene), make_classifier(task, (0, 1), reading=reading), tmp_path, all_scores=True)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    levels = np.rint(scene / 3000 * 255)
    windows = windows_of(60, 100)
    np.testing.assert_allclose(found["score:last"], scores_of(means_of(levels, bands - 1, windows)), atol=0.05)
    np.testing.assert_allclose(found["score:first"], scores_of(means_of(levels, 0, windows)), atol=0.05)


@pytest.mark.parametrize(
    ("values", "reading", "found"),
    [
        (np.zeros((4, 64, 64), np.uint8), Reading(), "4 bands"),
        (np.zeros((3, 64, 64), np.uint16), Reading(), "--value-range"),
        (np.zeros((3, 64, 64), np.uint8), Reading(bands=(4, 3, 2)), "band 4 is asked for"),
        (np.zeros((3, 64, 64), np.uint8), Reading(bands=(3, 2, 1), band_count=13), "13"),
    ],
)
def test_other_bands_are_refused(
    write_scene: WriteScene, tmp_path: Path, values: np.ndarray, reading: Reading, found: str
) -> None:
    path = write_scene(values, photometric="MINISBLACK")
    with pytest.raises(ImageError) as caught:
        run(path, make_classifier(LABELS, reading=reading), tmp_path)
    assert "scene.tif" in str(caught.value) and found in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["scene.tif"]


def test_scenes_alone_are_mapped(write_scene: WriteScene, tmp_path: Path) -> None:
    task = Task(kind="scene", label_names=(), scene_names=("red", "green"))
    run(write_scene(halves()), make_classifier(task), tmp_path, merge=True)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    means = means_of(halves(), 0, windows_of(100, 160))
    assert list(found.scene) == ["red" if mean > 0.5 else "green" for mean in means]
    assert "labels" not in found
    assert set(geopandas.read_parquet(tmp_path / "out" / "areas.parquet").label) == {"red", "green"}
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        assert file.descriptions == ("red", "green")


def test_a_scene_head_beside_labels(write_scene: WriteScene, tmp_path: Path) -> None:
    task = Task(kind="labels+scene", label_names=("red",), scene_names=("red", "green"))
    run(write_scene(halves()), make_classifier(task, (0, 0, 1)), tmp_path)
    found = geopandas.read_parquet(tmp_path / "out" / "windows.parquet")
    assert {"labels", "scores", "scene", "scene_score"} <= set(found)
    assert set(found.scene) == {"red", "green"}
    with rasterio.open(tmp_path / "out" / "scores.tif") as file:
        assert file.descriptions == ("red",)


def mosaic(write_scene: WriteScene, tmp_path: Path) -> Path:
    """Return a VRT of two halves side by side."""
    scene = halves()
    write_scene(scene[..., :80], "west.tif")
    write_scene(scene[..., 80:], "east.tif", place=(10.0, 0.0, 5e5 + 800, 0.0, -10.0, 5e6))
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{name}.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="80" ySize="100"/>'
            f'<DstRect xOff="{left}" yOff="0" xSize="80" ySize="100"/></SimpleSource>'
            for name, left in (("west", 0), ("east", 80))
        )
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    path = tmp_path / "mosaic.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="160" rasterYSize="100"><SRS>{UTM}</SRS>'
        f"<GeoTransform>5e5, 10, 0, 5e6, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def test_a_vrt_is_its_tiles(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    run(write_scene(halves()), classifier, tmp_path, "one")
    run(mosaic(write_scene, tmp_path), classifier, tmp_path, "two")
    for name in ("windows.parquet", "windows.geojson", "scores.tif", "preview.jpg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_missing_tile_is_told_and_nothing_is_half_written(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path
) -> None:
    path = mosaic(write_scene, tmp_path)
    (tmp_path / "east.tif").unlink()
    with pytest.raises(ImageError, match=r"mosaic\.vrt cannot be read at column 0, row 0 .*east\.tif"):
        run(path, classifier, tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_damaged_tile_is_told(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    path = write_scene(
        np.random.default_rng(0).integers(0, 255, (3, 128, 128), np.uint8),
        tiled=True,
        blockxsize=64,
        blockysize=64,
        compress="deflate",
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"scene\.tif cannot be read at column"):
        run(path, classifier, tmp_path)
    path.write_bytes(content[:3000])
    with pytest.raises(ImageError, match=r"scene\.tif cannot be"):
        run(path, classifier, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "found"), [({"window": 101}, "--window 100"), ({"window": 60, "resolution": 20}, "80 x 50 at 20 m")]
)
def test_a_window_larger_than_the_scene_is_refused(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, settings: dict, found: str
) -> None:
    with pytest.raises(ConfigurationError, match=found):
        run(write_scene(halves()), classifier, tmp_path, **settings)


def test_what_is_no_raster_is_told(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        run(tmp_path / "nothing.tif", classifier, tmp_path)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(ImageError, match=r"text\.tif cannot be opened"):
        run(tmp_path / "text.tif", classifier, tmp_path)
    with pytest.raises(ConfigurationError, match="ftp"):
        run("ftp://host/scene.tif", classifier, tmp_path)
    with pytest.raises(ConfigurationError, match="georeference"):
        Image.fromarray(halves().transpose(1, 2, 0)).save(tmp_path / "photo.png")
        run(tmp_path / "photo.png", classifier, tmp_path, resolution=1)


def test_scores_that_are_no_numbers_are_refused(write_scene: WriteScene, tmp_path: Path) -> None:
    broken = make_classifier(LABELS)
    broken.network.forward = lambda pixels: torch.full((len(pixels), 2), float("nan"))
    with pytest.raises(ConfigurationError, match="NaN"):
        run(write_scene(halves()), broken, tmp_path)


def test_a_full_disk_is_told_and_mended(write_scene: WriteScene, classifier: Classifier, tmp_path: Path) -> None:
    path = write_scene(halves(640, 640, 300))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (1000, 20_000):  # in a part, and in what is made of them
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(ConfigurationError, match="cannot be written"):
                run(path, classifier, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not (tmp_path / "out").exists()
    run(path, classifier, tmp_path)
    assert len(geopandas.read_parquet(tmp_path / "out" / "windows.parquet")) == len(windows_of(640, 640))


# ------------------------------------------------------------------------------------------- one task, given many times


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_whole_is_not_made_again(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(halves())
    first = run(path, classifier, tmp_path)
    before = files_of(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "device_logits", None)
        again = run(path, classifier, tmp_path)
    assert (again.windows, again.labels, again.folder) == (first.windows, first.labels, first.folder)
    assert files_of(tmp_path / "out") == before
    for others in ({"window": 16}, {"merge": True}, {"roi": "POLYGON((5e5 4e6, 5e5 5e6, 501000 5e6, 5e5 4e6))"}):
        with pytest.raises(ConfigurationError, match="exists already"):
            run(path, classifier, tmp_path, **others)
    with pytest.raises(ConfigurationError, match="exists already"):
        run(path, make_classifier(LABELS, thresholds=0.4), tmp_path)


DOOMED = """
import os, signal, sys
from pathlib import Path
from mlrsnet_hf.prediction.scenes import predict as module
from mlrsnet_hf.prediction.scenes import windows
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from tests.prediction.scenes.conftest import LABELS, make_classifier
windows._PART_PIXELS = 80
write, seen = module.write_part, []
def killed(path, part):
    seen.append(path)
    if len(seen) == 3:
        path.with_name("." + path.name + ".partial").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, part)
module.write_part = killed
module.predict_scene(sys.argv[1], make_classifier(LABELS), Path(sys.argv[2]), SceneConfig(window=32, merge=True))
"""


def test_a_killed_run_is_completed_by_the_next(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlrsnet_hf.prediction.scenes import windows

    monkeypatch.setattr(windows, "_PART_PIXELS", 80)
    path = write_scene(halves(400, 160))
    run(path, classifier, tmp_path, "undisturbed", merge=True)
    command = [sys.executable, "-c", DOOMED, str(path), str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, capture_output=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    parts = tmp_path / ".out.partial" / ".parts"
    assert len(list(parts.glob("*.npz"))) == 2
    made = []
    write = module.write_part
    monkeypatch.setattr(module, "write_part", lambda path, part: (made.append(path.name), write(path, part)))
    result = run(path, classifier, tmp_path, merge=True)
    assert made[0].startswith("00002") and result.earlier > 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "undisturbed")


def test_killed_before_the_folder_has_its_name_nothing_is_computed_again(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(halves())
    run(path, classifier, tmp_path, "undisturbed")

    def end(folder: ResumableFolder, *_: object) -> None:
        (folder.path / "journal.jsonl").unlink()
        raise OSError("killed")

    with monkeypatch.context() as patch, pytest.raises(ConfigurationError, match="killed"):
        patch.setattr(ResumableFolder, "finish", end)
        run(path, classifier, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "device_logits", None)
        run(path, classifier, tmp_path)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "undisturbed")


WORKER = """
import sys
from pathlib import Path
from mlrsnet_hf.prediction.scenes import windows
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.predict import predict_scene
from mlrsnet_hf.errors import MLRSNetError
from tests.prediction.scenes.conftest import LABELS, make_classifier
windows._PART_PIXELS = 80
try:
    predict_scene(sys.argv[1], make_classifier(LABELS), Path(sys.argv[2]), SceneConfig(window=32, merge=True))
except MLRSNetError as error:
    print(f"told: {error}", flush=True)
    sys.exit(2)
"""


@pytest.mark.slow
def test_two_processes_write_what_one_does(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlrsnet_hf.prediction.scenes import windows

    monkeypatch.setattr(windows, "_PART_PIXELS", 80)
    path = write_scene(halves(400, 160))
    run(path, classifier, tmp_path, "one", merge=True)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path]),
        "ACCELERATE_USE_CPU": "true",
    }
    both = subprocess.run([*command, str(path), str(tmp_path / "two")], capture_output=True, text=True, env=environment)
    assert both.returncode == 0, both.stderr
    assert files_of(tmp_path / "two") == files_of(tmp_path / "one")
    missing = subprocess.run(
        [*command, "nothing.tif", str(tmp_path / "three")], capture_output=True, text=True, env=environment
    )
    # The launcher may end one process before it has told what the other did.
    assert missing.returncode != 0 and missing.stdout.count("no such file") >= 1


# -------------------------------------------------------------------------------------------------------- from a server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """An HTTP server of a folder that answers range requests; its address, and the bytes of each answer."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = tmp_path / self.path.lstrip("/")
            if not path.is_file():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = path.read_bytes()
            span, total = self.headers.get("Range"), len(content)
            if span:
                first, _, last = span.removeprefix("bytes=").partition("-")
                end = min(int(last) + 1 if last else total, total)
                content = content[int(first) : end]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{end - 1}/{total}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            if with_body:
                sent.append(len(content))
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", sent
    httpd.shutdown()
    httpd.server_close()


def test_of_a_file_on_a_server_what_is_needed_is_fetched(
    write_scene: WriteScene, classifier: Classifier, tmp_path: Path, server: tuple[str, list[int]]
) -> None:
    address, sent = server
    noise = np.random.default_rng(0).integers(0, 255, (3, 1024, 1024), np.uint8)
    path = write_scene(noise, "far.tif", driver="COG", blocksize=128, compress="deflate")
    import shapely

    roi = shapely.Polygon(polygon_of(600, 600, 700, 700)).wkt
    run(f"{address}/far.tif", classifier, tmp_path, "far", roi=roi)
    assert sum(sent) < path.stat().st_size / 4
    run(path, classifier, tmp_path, "near", roi=roi)
    near, far = files_of(tmp_path / "near"), files_of(tmp_path / "far")
    near.pop("prediction.json"), far.pop("prediction.json")
    assert near == far


def test_a_server_without_the_file_is_told(
    classifier: Classifier, tmp_path: Path, server: tuple[str, list[int]]
) -> None:
    with pytest.raises(ImageError, match=r"nothing\.tif cannot be opened.*404"):
        run(f"{server[0]}/nothing.tif", classifier, tmp_path)
    assert not (tmp_path / "out").exists()
