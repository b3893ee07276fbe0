"""The polygon that windows must overlap: read from GeoJSON or WKT, and brought to the raster's pixels."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import shapely.geometry

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.inputs.pixels.raster import load_rasterio
from mlrsnet_hf.prediction.scenes.raster import SceneRaster
from mlrsnet_hf.prediction.scenes.windows import WindowGrid

_MOST_BYTES = 32 * 2**20
_EDGES = 64
"""The longest edge of a polygon of other coordinates is cut into so many at least: it is no straight line there."""
_REMEDY = "Give a GeoJSON file of a polygon, or WKT such as 'POLYGON((0 0, 0 100, 100 100, 0 0))'."


def windows_in(roi: str | None, grid: WindowGrid, raster: SceneRaster) -> npt.NDArray[np.bool_]:
    """Return which windows overlap a polygon, (rows, columns) of windows; all without one.

    Args:
        roi: Of `SceneConfig`.
        grid: The windows.
        raster: What they are cut of.

    Raises:
        ConfigurationError: The polygon cannot be read or used, or no window overlaps it.
    """
    shape = len(grid.tops), len(grid.lefts)
    if roi is None:
        return np.ones(shape, bool)
    area = _in_pixels(*_read(roi), raster)
    left, top = np.meshgrid(grid.lefts, grid.tops)
    shapely.prepare(area)
    boxes = shapely.box(left, top, left + grid.side, top + grid.side)
    near = shapely.intersects(area, boxes)
    inside: npt.NDArray[np.bool_] = np.zeros(shape, bool)
    inside[near] = shapely.relate_pattern(boxes[near], area, "T********")  # more than an edge in common
    if not inside.any():
        raise ConfigurationError(
            f"roi={quoted(roi)} overlaps no window of {raster.name}",
            "GeoJSON is in degrees, longitude first; WKT in the raster's own coordinates unless SRID=...; leads it.",
        )
    return inside


def _read(roi: str) -> tuple[Any, str | None]:
    """Return a polygon and the CRS of its coordinates; None for the raster's own."""
    crs: str | None
    match = re.fullmatch(r"\s*(?:SRID\s*=\s*(\d{1,9})\s*;)?\s*((?:MULTI)?POLYGON\b.*)", roi, re.IGNORECASE | re.DOTALL)
    try:
        if match is None:
            with Path(roi).expanduser().open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
            area, crs = shapely.union_all(_polygons(json.loads(content))), "EPSG:4326"
        else:
            area, crs = shapely.from_wkt(match[2]), f"EPSG:{match[1]}" if match[1] else None
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"roi={quoted(roi)} cannot be read ({reason})", _REMEDY) from error
    # What is no JSON, or JSON of another form: shapely looks no closer.
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
        shapely.errors.ShapelyError,
    ) as error:
        raise ConfigurationError(f"roi={quoted(roi)} cannot be read ({error})", _REMEDY) from error
    if not shapely.is_valid(area):
        raise ConfigurationError(
            f"roi={quoted(roi)} is no area: {shapely.is_valid_reason(area)}",
            "Give a polygon that crosses itself nowhere.",
        )
    return area, crs


def _polygons(content: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Return the polygons of GeoJSON."""
    kind = content["type"]
    if kind == "FeatureCollection":
        return [polygon for feature in content["features"] for polygon in _polygons(feature)]
    if kind == "Feature":
        return _polygons(content["geometry"])
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"it holds a {quoted(kind)}, which has no area")
    area = shapely.geometry.shape(content)
    if not shapely.is_valid(area):
        raise ValueError(shapely.is_valid_reason(area))
    return [area]


def _in_pixels(area: Any, crs: str | None, raster: SceneRaster) -> Any:  # noqa: ANN401 - shapely's
    """Return an area in the pixels of a raster; without georeference WKT is in these already."""
    if not raster.is_georeferenced:
        if crs is None:
            return area
        raise ConfigurationError(
            f"{raster.name} has no georeference, and the polygon of --roi is on Earth", "Give WKT in pixels."
        )
    if crs is not None:
        warp = load_rasterio().warp
        left, lower, right, upper = area.bounds
        area = shapely.segmentize(area, max(right - left, upper - lower) / _EDGES)

        def transformed(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.column_stack(warp.transform(crs, raster.crs, *places.T))

        try:
            area = shapely.transform(area, transformed)
        except Exception as error:  # what PROJ raises, rasterio gives no public type
            raise ConfigurationError(
                f"the polygon of --roi cannot be brought to the coordinates of {raster.name} ({error})",
                "Give it in these coordinates, as WKT.",
            ) from error
        if not np.isfinite(shapely.get_coordinates(area)).all():
            raise ConfigurationError(
                f"the polygon of --roi reaches beyond where the coordinates of {raster.name} are defined",
                "Give a polygon near the scene.",
            )
    inverse = ~raster.transform
    return shapely.transform(
        area,
        lambda places: np.column_stack(
            [
                inverse.a * places[:, 0] + inverse.b * places[:, 1] + inverse.c,
                inverse.d * places[:, 0] + inverse.e * places[:, 1] + inverse.f,
            ]
        ),
    )
