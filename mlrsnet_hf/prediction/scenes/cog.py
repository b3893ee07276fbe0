"""Scores as a Cloud-Optimized GeoTIFF: a band for each label, a cell for each stride of the windows."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.inputs.pixels.raster import load_rasterio
from mlrsnet_hf.prediction.scenes.raster import SceneRaster

_BLOCK = 128
"""Cells of a side of its tiles; with many labels a tile is large all the same."""


def write_scores(
    path: Path, means: npt.NDArray[np.float32], names: Sequence[str], raster: SceneRaster, stride: int
) -> None:
    """Write the scores of cells.

    Args:
        path: The file.
        means: (labels, rows, columns) scores, NaN where nothing was seen.
        names: Of the labels.
        raster: Whose pixels the cells are of; without georeference the file has none.
        stride: Pixels of a cell's side.

    Raises:
        OSError: The file cannot be written.
    """
    rasterio = load_rasterio()
    place = {}
    if raster.is_georeferenced:
        own = raster.transform
        wide = (own.a * stride, own.b * stride, own.c, own.d * stride, own.e * stride, own.f)
        place = {"crs": raster.crs, "transform": rasterio.Affine(*wide)}
    count, height, width = means.shape
    profile = {"count": count, "height": height, "width": width, "dtype": "float32", "nodata": np.nan, **place}
    options = {"compress": "deflate", "predictor": "yes", "blocksize": _BLOCK, "overview_resampling": "average"}
    # In memory, for GDAL tells nobody of a full disk.
    with rasterio.Env(), rasterio.MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with memory.open(driver="COG", **profile, **options) as file:
            file.write(means)
            for band, name in enumerate(names, start=1):
                file.set_band_description(band, name)
        path.write_bytes(memory.getbuffer())
