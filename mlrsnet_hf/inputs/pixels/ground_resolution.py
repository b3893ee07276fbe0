"""Ground resolution: the meters on the ground that a pixel of a georeferenced raster covers."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.inputs.pixels.raster import TIFF_STARTS, has_rasterio, load_rasterio, opened_raster

Coordinates = npt.NDArray[np.float64]

_NOMINAL = 0.01
"""A projection that is as true as this is taken at its word: its pixels of 10 m are of 10 m."""


def image_resolution(data: bytes) -> float | None:
    """Return the meters on the ground per pixel of an image file; None of one without georeference.

    Raises:
        ValueError: It is damaged.
    """
    if not data.startswith(TIFF_STARTS) or not has_rasterio():
        return None
    with opened_raster(data) as file:
        meters = pixel_meters(file)
    return None if meters is None else math.sqrt(math.prod(meters))


def at_pixels(transform: Any, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Coordinates, Coordinates]:  # noqa: ANN401
    """Return the coordinates, in a raster's CRS, of places given in pixels, (N,) float64 each.

    Args:
        transform: Of the raster, as rasterio gives it.
        x: Columns from the left edge.
        y: Rows from the upper edge.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def pixel_meters(file: Any) -> tuple[float, float] | None:  # noqa: ANN401 - a rasterio dataset
    """Return width and height in meters of the pixel at a raster's center; None of one without a place on Earth.

    In a projection that is true to scale there, as UTM is, they are as its transform says. In others, such as Web
    Mercator far from the equator, and in degrees, they are measured on the ellipsoid.
    """
    rasterio = load_rasterio()
    transform = file.transform
    if file.crs is None or transform.is_identity or transform.is_degenerate:
        return None
    x, y = file.width / 2, file.height / 2
    center = at_pixels(transform, [x], [y])
    sides = at_pixels(transform, [x - 0.5, x + 0.5, x, x], [y, y, y - 0.5, y + 0.5])
    try:
        longitudes, latitudes = rasterio.warp.transform(file.crs, "EPSG:4326", *center)
        around = f"+proj=aeqd +lat_0={latitudes[0]!r} +lon_0={longitudes[0]!r} +datum=WGS84"
        easts, norths = rasterio.warp.transform(file.crs, around, *sides)
    except Exception:  # of a plan, a mine, another planet; what PROJ raises, rasterio gives no public type
        return None
    west, east, north, south = zip(easts, norths, strict=True)
    ground = math.dist(west, east), math.dist(north, south)
    if not all(0 < meters < math.inf for meters in ground):
        return None
    if file.crs.is_projected:
        unit = file.crs.linear_units_factor[1]
        nominal = math.hypot(transform.a, transform.d) * unit, math.hypot(transform.b, transform.e) * unit
        if all(abs(told / true - 1) < _NOMINAL for told, true in zip(nominal, ground, strict=True)):
            return nominal
    return ground
