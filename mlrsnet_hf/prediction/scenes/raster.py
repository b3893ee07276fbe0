"""A large raster, read window by window by any number of threads, as the network sees it."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.inputs.pixels.ground_resolution import Coordinates, at_pixels, pixel_meters
from mlrsnet_hf.inputs.pixels.raster import (
    PixelsError,
    chosen_bands,
    has_palette,
    load_rasterio,
    refuse_other_values,
    scaled,
)
from mlrsnet_hf.inputs.pixels.reading import Reading

if TYPE_CHECKING:  # it brings `datasets`
    from mlrsnet_hf.inputs.pixels.decoding import Pixels

Seen = npt.NDArray[np.bool_]
"""(H, W): where a pixel has a value in some band."""

_DRIVERS = ["GTiff", "VRT", "JP2OpenJPEG", "PNG", "JPEG", "PNM"]
_SYSTEMS = {"http": "vsicurl", "https": "vsicurl", "s3": "vsis3", "gs": "vsigs", "az": "vsiaz"}
"""GDAL's names for where files lie."""
_OPTIONS: dict[str, Any] = {
    "GDAL_CACHEMAX": 256 * 2**20,  # its own would be 5 percent of the machine's memory
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": True,
}
_REMOTE: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""Beside a file on a server nothing is looked for."""
_SAME_SIZE = 0.01
"""Pixels that differ by less from those that are asked for are not resampled."""


class SceneRaster:
    """A raster that windows are read of.

    Args:
        source: Path of a GeoTIFF, a VRT or another image file, or the address of one (https://, s3://, ...).
        reading: Which bands are read, and the range of their values.
        resolution: Meters on the ground per pixel, to which it is resampled as it is read; None for its own.

    Raises:
        ImageError: It cannot be opened, or has other bands or values.
        ConfigurationError: It is to be resampled and has no place on Earth.
        MissingExtraError: rasterio is not installed.
    """

    def __init__(self, source: str, reading: Reading, resolution: float | None = None) -> None:
        self._rasterio = load_rasterio()
        self.is_remote = "://" in source or source.startswith("/vsi")
        self.source = source if self.is_remote else str(Path(source).expanduser().absolute())
        self.name = source.rsplit("/", 1)[-1]
        """How errors call it."""
        self._local = threading.local()
        self._limits = reading.limits()
        with self._environment(), self._named_errors("opened"), self._open() as file:
            if has_palette(file):
                raise PixelsError("has a palette", "Write its colors out: gdal_translate -expand rgb.")
            self.bands = chosen_bands(file, reading)
            refuse_other_values(file, self.bands, reading)
            self.band_count: int = file.count
            self.meters = pixel_meters(file)
            """Width and height of a pixel on the ground; None where nobody knows."""
            self.has_control_points = bool(file.gcps[0])
            self.crs, self.transform = file.crs, file.transform
            self.width, self.height = file.width, file.height
            flags = [flag.name for band in self.bands for flag in file.mask_flag_enums[band - 1]]
            self._is_whole = set(flags) == {"all_valid"}
            self._needs_alpha = not self._is_whole and not {"alpha", "nodata"} & set(flags)
            self.own_size = (self.width, self.height)
            self._warp: tuple[int | None, dict[str, Any]] | None = None
            if resolution is not None:
                self._resample(resolution, file.overviews(self.bands[0]))

    @property
    def is_georeferenced(self) -> bool:
        """Whether its place on Earth is known."""
        return self.meters is not None

    @property
    def ground_resolution(self) -> float | None:
        """Meters on the ground per pixel, of those that are read; None where nobody knows."""
        return None if self.meters is None else math.sqrt(math.prod(self.meters))

    def coordinates(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Coordinates, Coordinates]:
        """Return places given in pixels in the raster's CRS."""
        return at_pixels(self.transform, x, y)

    def identity(self) -> dict[str, Any]:
        """Return what tells this raster from another, as JSON."""
        told: dict[str, Any] = {
            "source": self.source,
            "size": list(self.own_size),
            "bands": self.bands,
            "transform": list(self.transform)[:6],
            "crs": None if self.crs is None else self.crs.to_wkt(),
        }
        if not self.is_remote and Path(self.source).is_file():
            status = Path(self.source).stat()
            told |= {"bytes": status.st_size, "modified": status.st_mtime_ns}
        return told

    def read(self, x: int, y: int, width: int, height: int) -> tuple["Pixels", Seen]:
        """Return a window as the (height, width, bands) uint8 pixels that the network sees, and where it has values.

        Pixels without a value are 0. Any thread may read.

        Raises:
            ImageError: It cannot be read.
        """
        with self._environment(), self._named_errors("read", f" at column {x}, row {y}"):
            file = self._file()
            window = self._rasterio.windows.Window(x, y, width, height)
            bands = sorted(set(self.bands))
            values = dict(zip(bands, file.read(bands, window=window), strict=True))
            masks = {} if self._is_whole else {band: file.read_masks(band, window=window) > 0 for band in bands}
        alpha = "alpha" in (flag.name for flag in file.mask_flag_enums[bands[0] - 1])
        pixels = np.empty((height, width, len(self.bands)), np.uint8)
        seen = np.zeros((height, width), bool)
        for place, band in enumerate(self.bands):
            known = masks.get(band, np.True_)
            if "float" in values[band].dtype.name:
                known = known & ~np.isnan(values[band])
            seen |= known
            plane = values[band] if self._limits is None else scaled(values[band], *self._limits[place])
            # The colors under an alpha band are taken as they are stored, as of any image.
            pixels[..., place] = plane if alpha or known is np.True_ else np.where(known, plane, 0)
        return pixels, seen

    def _resample(self, resolution: float, overviews: list[int]) -> None:
        """Set the grid of another resolution, which a smaller stored version of the raster may serve for."""
        if self.meters is None:
            raise ConfigurationError(
                f"{self.name}: --resolution is given, and the raster has no georeference",
                "Leave --resolution out, or georeference the raster (gdal_translate -a_srs, -a_ullr).",
            )
        wide, high = (resolution / meters for meters in self.meters)
        if abs(wide - 1) < _SAME_SIZE and abs(high - 1) < _SAME_SIZE:
            return
        own = self.transform
        scaled_by = (own.a * wide, own.b * high, own.c, own.d * wide, own.e * high, own.f)
        self.transform = self._rasterio.Affine(*scaled_by)
        self.width, self.height = int(self.width / wide + 1e-6), int(self.height / high + 1e-6)
        self.meters = (resolution, resolution)
        if min(self.width, self.height) < 1:
            raise ConfigurationError(
                f"{self.name}: nothing is left of it at {resolution:g} m per pixel", "Give a smaller --resolution."
            )
        levels = [level for level, factor in enumerate(overviews) if factor <= min(wide, high)]
        grid = {"crs": self.crs, "transform": self.transform, "width": self.width, "height": self.height}
        self._warp = (max(levels, default=None), grid)

    def _file(self) -> Any:  # noqa: ANN401 - a rasterio dataset
        """Return this thread's own open file: GDAL's are not made for several."""
        file = getattr(self._local, "file", None)
        if file is None:
            if self._warp is None:
                file = self._open()
            else:
                level, grid = self._warp
                source = self._open(**({} if level is None else {"overview_level": level}))
                alpha = {"add_alpha": True} if self._needs_alpha else {}
                bilinear = self._rasterio.enums.Resampling.bilinear
                file = self._rasterio.vrt.WarpedVRT(source, resampling=bilinear, **grid, **alpha)
            self._local.file = file
        return file

    def _open(self, **options: Any) -> Any:  # noqa: ANN401
        # rasterio.open takes a single driver. sharing=False: each thread has a file of its own.
        return self._rasterio.io.DatasetReader(_gdal_path(self.source), driver=_DRIVERS, sharing=False, **options)

    def _environment(self) -> Any:  # noqa: ANN401
        return self._rasterio.Env(**_OPTIONS, **(_REMOTE if self.is_remote else {}))

    @contextmanager
    def _named_errors(self, done: str, where: str = "") -> Iterator[None]:
        """Say what is wrong with the raster in the words of an error of ours."""
        try:
            yield
        except PixelsError as error:
            raise ImageError(f"{self.name} {error}", error.remedy) from error
        except (self._rasterio.errors.RasterioError, OSError) as error:
            reason = str(error.__cause__ or error).replace(self.source, self.name)
            if not self.is_remote and not Path(self.source).exists():
                raise ImageError(f"{self.source}: there is no such file", "Give the path of a raster.") from error
            raise ImageError(
                f"{self.name} cannot be {done}{where} ({shortened(reason, 300)})",
                "Try again later, which goes on from where it was." * self.is_remote
                or "Give a whole copy of a GeoTIFF, VRT, JPEG 2000, PNG or JPEG file.",
            ) from error


def _gdal_path(source: str) -> str:
    """Return what GDAL calls a path or an address."""
    scheme, colon, place = source.partition("://")
    if not colon:
        return source
    if scheme not in _SYSTEMS:
        raise ConfigurationError(f"{source}: nothing is known of {scheme}://", f"Give one of {', '.join(_SYSTEMS)}.")
    return f"/{_SYSTEMS[scheme]}/{source if _SYSTEMS[scheme] == 'vsicurl' else place}"


def raster_facts(source: str) -> tuple[int, int, bool]:
    """Return width and height of a raster in pixels, and whether its place on Earth is known.

    Raises:
        ImageError: It cannot be opened.
    """
    rasterio = load_rasterio()
    try:
        with rasterio.Env(**_OPTIONS), rasterio.io.DatasetReader(_gdal_path(source), driver=_DRIVERS) as file:
            return file.width, file.height, pixel_meters(file) is not None
    except (rasterio.errors.RasterioError, OSError) as error:
        raise ImageError(f"{source} cannot be opened", "Give the path of a raster.") from error
