"""Polygons with what is known of them, as GeoJSON (RFC 7946) and GeoParquet, written batch by batch."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.raster import load_rasterio
from mlrsnet_hf.prediction.scenes.raster import SceneRaster

Polygons = npt.NDArray[np.object_]
"""(N,) shapely polygons in the pixels of a raster."""

_DECIMALS = 8
"""Of degrees: a millimeter."""
_DIGITS = 6
"""Decimals of scores in text; Parquet holds them as they are."""


class FeatureWriter:
    """Two files that are being written; made by `feature_files`. Without georeference one, of pixel coordinates."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema, raster: SceneRaster, longest: float) -> None:
        self._raster = raster
        self._longest = longest
        self._schema = schema if not raster.is_georeferenced else schema.append(pa.field("geometry", pa.binary()))
        self._bounds: list[npt.NDArray[np.float64]] = []
        self._kinds: set[str] = set()
        self._files = ExitStack()
        self._table = self._files.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", self._schema))
        self._text = None
        self._is_first = True
        if raster.is_georeferenced:
            self._text = self._files.enter_context((folder / f"{name}.geojson").open("w", encoding="utf-8"))
            self._text.write('{"type": "FeatureCollection", "features": [')

    def write(self, polygons: Polygons, columns: Mapping[str, Any]) -> None:
        """Append features.

        Args:
            polygons: Their shapes.
            columns: By name what is known of them, (N,) each, as the schema has them.
        """
        columns = dict(columns)
        if self._text is not None:
            self._write_text(polygons, columns)
            own = shapely.orient_polygons(shapely.transform(polygons, self._to_crs))
            self._bounds.append(shapely.total_bounds(own))
            self._kinds |= {shape.geom_type for shape in own}
            columns["geometry"] = shapely.to_wkb(own)
        arrays = [pa.array(columns[field.name], field.type) for field in self._schema]
        self._table.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def finish(self) -> None:
        """End the files."""
        if self._text is not None:
            self._text.write("\n]}\n")
            self._table.add_key_value_metadata({"geo": json.dumps(self._geo())})
        self._files.close()

    def close(self) -> None:
        """Close the files as they are."""
        self._files.close()

    def _to_crs(self, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(self._raster.coordinates(places[:, 0], places[:, 1]))

    def _write_text(self, polygons: Polygons, columns: Mapping[str, Any]) -> None:
        assert self._text is not None
        rows = [_plain(values) for values in columns.values()]
        for shape, *values in zip(on_earth(polygons, self._raster, self._longest), *rows, strict=True):
            feature = {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(shape)),
                "properties": dict(zip(columns, values, strict=True)),
            }
            self._text.write(("\n" if self._is_first else ",\n") + json.dumps(feature, ensure_ascii=False))
            self._is_first = False

    def _geo(self) -> dict[str, Any]:
        """Return the metadata of GeoParquet 1.1: https://geoparquet.org/releases/v1.1.0."""
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "crs": self._raster.crs.to_dict(projjson=True),
            "orientation": "counterclockwise",
        }
        if self._bounds:
            bounds = np.stack(self._bounds)
            column["bbox"] = [*bounds[:, :2].min(0).tolist(), *bounds[:, 2:].max(0).tolist()]
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


@contextmanager
def feature_files(
    folder: Path, name: str, schema: pa.Schema, raster: SceneRaster, longest: float
) -> Iterator[FeatureWriter]:
    """Yield what writes `<name>.parquet` and, of a raster with a place on Earth, `<name>.geojson`.

    Args:
        folder: Where they are written.
        name: Of the files, without a suffix.
        schema: Columns beside the polygon.
        raster: In whose pixels the polygons are given.
        longest: Pixels of an edge; a longer one gets places between, for it is no straight line in degrees.
    """
    writer = FeatureWriter(folder, name, schema, raster, longest)
    try:
        yield writer
        writer.finish()
    finally:
        writer.close()


def on_earth(polygons: Polygons, raster: SceneRaster, longest: float) -> Polygons:
    """Return polygons in degrees, longitude first, outer rings counterclockwise.

    Those that cross the 180th meridian are cut there, as RFC 7946 (section 3.1.9) wants it.

    Raises:
        ConfigurationError: A place cannot be told in degrees.
    """
    warp = load_rasterio().warp

    def transformed(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(warp.transform(raster.crs, "EPSG:4326", *raster.coordinates(*places.T)))

    shapes = shapely.transform(shapely.segmentize(polygons, longest), transformed)
    bounds = shapely.bounds(shapes)
    if not np.isfinite(bounds).all():
        raise ConfigurationError(
            f"{raster.name} reaches beyond where its coordinates are defined, so that parts have no place on Earth",
            "Cut it to where they are, or choose a part by --roi.",
        )
    wide = bounds[:, 2] - bounds[:, 0] > 180
    for index in np.flatnonzero(wide):
        shapes[index] = _cut_at_180(shapes[index])
    return shapely.orient_polygons(_rounded(shapes))


def refuse_pole(raster: SceneRaster) -> None:
    """Refuse a raster that has a pole on it: around it no polygon of degrees leads.

    Raises:
        ConfigurationError: It has.
    """
    inverse = ~raster.transform
    for latitude in (90.0, -90.0):
        try:
            (x,), (y,) = load_rasterio().warp.transform("EPSG:4326", raster.crs, [0.0], [latitude])
        except Exception:
            continue
        column, row = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
        if raster.crs.is_projected and 0 < column < raster.width and 0 < row < raster.height:
            raise ConfigurationError(
                f"{raster.name} holds a pole of the Earth, around which GeoJSON has no polygons",
                "Cut the raster so that the pole lies outside.",
            )


def _cut_at_180(shape: Any) -> Any:  # noqa: ANN401 - shapely's
    """Return a shape that crosses the 180th meridian as its parts on both sides."""
    east = shapely.transform(shape, lambda places: np.column_stack([places[:, 0] % 360, places[:, 1]]))
    parts = []
    for side, shift in ((shapely.box(0, -90, 180, 90), 0), (shapely.box(180, -90, 360, 90), 360)):
        part = shapely.transform(shapely.intersection(east, side), lambda places, by=shift: places - [by, 0])
        parts += [one for one in shapely.get_parts(part) if one.geom_type == "Polygon" and one.area > 0]
    return shapely.multipolygons(parts)


def _rounded(shapes: Polygons) -> Polygons:
    return shapely.transform(shapes, lambda places: np.round(places, _DECIMALS))


def _plain(values: Any) -> list[Any]:  # noqa: ANN401 - an array or a list
    """Return values as JSON has them, scores of few digits."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return [
        [round(one, _DIGITS) if isinstance(one, float) else one for one in value]
        if isinstance(value, list)
        else round(value, _DIGITS)
        if isinstance(value, float)
        else value
        for value in values
    ]
