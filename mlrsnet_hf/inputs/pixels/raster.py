"""Image files whose pixels are not 8-bit RGB, read through rasterio: some bands, and a range of their values.

Values are taken as the file stores them: a scale or offset that its tags name is not applied.
"""

import contextlib
import functools
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.inputs.pixels.reading import Reading, ValueKind

Values = npt.NDArray[np.float64]
"""(H, W) values of a band as the file stores them; NaN where there is none."""

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""
_STARTS = (*TIFF_STARTS, b"\x89PNG\r\n\x1a\n", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51", b"P5", b"P6")
"""With those of PNG, JPEG 2000 and PNM: the formats that may hold other than 8 bits."""
# GDAL's other drivers follow names in a file to other files and servers, or run code.
_DRIVERS = ["GTiff", "PNG", "JP2OpenJPEG", "PNM"]

_SHOWN_BANDS = 32
"""Of so many bands, the first, an error tells the values."""
_SHOWN_SIDE = 2048
"""Pixels of a side that are read for it."""


class PixelsError(ValueError):
    """What an image file holds does not fit how it is read.

    Args:
        found: The rest of a sentence that begins with the image's name.
        remedy: A whole sentence.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


def has_rasterio() -> bool:
    """Tell whether the extra "geo" is installed."""
    return importlib.util.find_spec("rasterio") is not None


def may_be_raster(data: bytes) -> bool:
    """Tell whether a file is of a format whose bands rasterio reads here; Pillow reads the others."""
    return data.startswith(_STARTS)


def raster_version() -> str:
    """Return the libraries that read, with their versions."""
    rasterio = load_rasterio()
    return f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}"


def read_raster(data: bytes, reading: Reading) -> npt.NDArray[np.uint8] | None:
    """Return the chosen bands as (H, W, C) uint8, low and high of their range as 0 and 255; None for a palette.

    Pixels without a value (nodata, those that a mask leaves out, NaN) become 0; infinite ones 0 or 255.

    Raises:
        MissingExtraError: rasterio is not installed.
        PixelsError: The file has other bands or values.
        ValueError: It is damaged.
    """
    with opened_raster(data) as file:
        if has_palette(file):
            return None
        bands = _chosen(file, reading)
        limits = reading.limits()
        refuse_other_values(file, bands, reading)
        pixels = np.empty((file.height, file.width, len(bands)), np.uint8)
        has_value = False
        for place, band in enumerate(bands):
            if limits is None and is_whole(file, band):
                pixels[..., place], has_value = file.read(band), True
            else:
                values = _read(file, band)
                has_value |= not np.isnan(values).all()
                pixels[..., place] = scaled(values, *(limits[place] if limits else (0, 255)))
        if not has_value:
            raise PixelsError("holds no value: all pixels are nodata or NaN", "Remove it and its row.")
        return pixels


def refuse_other_values(file: Any, bands: list[int], reading: Reading) -> None:  # noqa: ANN401 - a rasterio dataset
    """Refuse a file of which these bands hold other values than a reading makes pixels of.

    Raises:
        PixelsError: They do; it says which settings read them.
    """
    limits = reading.limits()
    eight_bit = all(file.dtypes[band - 1] == "uint8" for band in bands)
    if limits is None and not eight_bit:
        raise _other_pixels(file, bands)
    if limits is not None:
        _refuse_other_kind(file, bands, reading)
    if limits is not None and eight_bit:
        refuse_range_of_others(reading)


def scaled(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Return values of any type as levels: `low` as 0, `high` as 255, evenly between, and bounded; NaN as 0."""
    levels = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        levels -= low
        levels *= 255.0
        levels /= high - low
    np.rint(np.clip(levels, 0, 255, out=levels), out=levels)
    levels[np.isnan(levels)] = 0
    return levels.astype(np.uint8)


def refuse_range_of_others(reading: Reading) -> None:
    """Refuse a range that would leave 8-bit values nearly black, or white."""
    highest = max(high for _, high in reading.value_range or [(0, 255)])
    if highest > 255 or reading.value_kind == "float":
        kind = " of floating point numbers" if reading.value_kind == "float" else ""
        raise PixelsError(
            f"holds 8-bit values, and the value_range, which reaches to {highest:g}{kind}, is for others",
            "Leave it out with its row, or bring all images to one type.",
        )


def raster_values(data: bytes, reading: Reading) -> list[Values] | None:
    """Return the values of each chosen band, unscaled; None for a palette. Errors as `read_raster`."""
    with opened_raster(data) as file:
        return None if has_palette(file) else [_read(file, band) for band in _chosen(file, reading)]


def bands_and_kind(data: bytes) -> tuple[int, ValueKind]:
    """Return how many bands a file has, and what they hold; formats that Pillow reads have red, green and blue."""
    if not may_be_raster(data):
        return 3, "integer"
    with opened_raster(data) as file:
        return (3, "integer") if has_palette(file) else (int(file.count), _kind(file, 1))


def raster_kind(data: bytes) -> tuple[int, int, str, str]:
    """Return width, height, bands with their types, and format of a file. Errors as `read_raster`."""
    with opened_raster(data) as file:
        kinds = ", ".join(dict.fromkeys(file.dtypes))
        return file.width, file.height, f"{file.count} x {kinds}", file.driver


def not_eight_bit(data: bytes) -> PixelsError | None:
    """Return what is to be said of a file that is no 8-bit gray or RGB image; None of one that cannot be opened."""
    if not has_rasterio():
        return PixelsError(
            "has more than 8 bits a value, or other bands than gray or RGB",
            'Run pip install "mlrsnet-hf[geo]", then give the values that become black and white as --value-range, '
            "such as 0,3000, and the bands as --bands, such as 4,3,2.",
        )
    try:
        with opened_raster(data) as file:
            return _other_pixels(file)
    except ValueError:
        return None if may_be_raster(data) else PixelsError("has more than 8 bits a value", "Store it as a TIFF file.")


def stretched(data: bytes) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 for people to look at: the first three bands, or of fewer the first, without alpha.

    Each is stretched from its 2nd to its 98th percentile. Errors as `read_raster`.
    """
    with opened_raster(data) as file:
        bands = _colors(file)[:3] or [1]
        chosen = Reading(bands=tuple(bands if len(bands) == 3 else bands[:1] * 3))
        planes = []
        for band in _chosen(file, chosen):
            values = _read(file, band)
            known = values[np.isfinite(values)]
            low, high = np.percentile(known, (2, 98)) if known.size else (0, 1)
            planes.append(scaled(values, low, high if high > low else low + 1))
        return np.stack(planes, axis=-1)


@functools.cache
def load_rasterio() -> Any:  # noqa: ANN401 - the module
    """Return rasterio, quiet about what an error or a result tells.

    Raises:
        MissingExtraError: It is not installed.
    """
    require_extra("geo")
    import rasterio
    import rasterio.vrt
    import rasterio.warp
    import rasterio.windows
    from rasterio.errors import NotGeoreferencedWarning

    # The place on Earth does not matter here, and what GDAL says of damage the error tells with the image's name.
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    return rasterio


@contextlib.contextmanager
def opened_raster(data: bytes) -> Iterator[Any]:
    """Yield an image file in memory as a rasterio dataset.

    Raises:
        ValueError: It is damaged, or too large.
    """
    rasterio = load_rasterio()
    try:
        with rasterio.MemoryFile(data) as memory, memory.open(driver=_DRIVERS) as file:
            _refuse_size(file.width * file.height)
            yield file
    except rasterio.errors.RasterioError as error:  # its text names a file in memory
        raise ValueError("it is damaged, cut off, or no image file") from error


def _refuse_size(pixels: int) -> None:
    """Refuse what Pillow would refuse too, of the size of three bands."""
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        raise ValueError(f"its size of {pixels:.0f} pixels exceeds the limit of {2 * Image.MAX_IMAGE_PIXELS}")


def has_palette(file: Any) -> bool:  # noqa: ANN401 - a rasterio dataset
    """Return whether the values of a file are numbers of colors."""
    return file.colorinterp[0].name == "palette"


def _colors(file: Any) -> list[int]:  # noqa: ANN401
    return [band for band, color in zip(file.indexes, file.colorinterp, strict=True) if color.name != "alpha"]


def _chosen(file: Any, reading: Reading) -> list[int]:  # noqa: ANN401
    """Return the bands of a file that is read whole."""
    bands = chosen_bands(file, reading)
    _refuse_size(file.width * file.height * len(bands) / 3)
    return bands


def chosen_bands(file: Any, reading: Reading) -> list[int]:  # noqa: ANN401 - a rasterio dataset
    """Return the bands of a file that are read, one for each channel.

    Raises:
        PixelsError: It has other bands.
    """
    count = file.count
    if reading.band_count not in (None, count):
        raise PixelsError(
            f"has {count} bands, the images that the bands were chosen for have {reading.band_count}",
            "Bands of one number would be others: leave it out with its row, or give --bands for images of its kind.",
        )
    if reading.bands is None:
        bands = _colors(file)
        if len(bands) not in (1, 3):
            raise PixelsError(
                f"has {len(bands)} bands, and it is not said which to read", "Name them with --bands, such as 4,3,2."
            )
        bands = bands * 3 if len(bands) == 1 else bands
    else:
        bands = list(reading.bands)
        beyond = max(bands)
        if beyond > count:
            raise PixelsError(
                f"has {count} band{'s' * (count != 1)}, and band {beyond} is asked for",
                f"Give --bands with numbers up to {count}, or leave the image out with its row.",
            )
    for band in bands:
        if "complex" in file.dtypes[band - 1]:
            raise PixelsError(
                f"has complex numbers in band {band}, which have no order", "Store their amplitude as numbers."
            )
    return bands


def _kind(file: Any, band: int) -> ValueKind:  # noqa: ANN401
    return "float" if "float" in file.dtypes[band - 1] else "integer"


def _refuse_other_kind(file: Any, bands: list[int], reading: Reading) -> None:  # noqa: ANN401
    for band in bands:
        if reading.value_kind not in (None, _kind(file, band)):
            raise PixelsError(
                f"holds {file.dtypes[band - 1]} values, and the value_range was given for {reading.value_kind} ones",
                "Bring all images to one type, or give --value-range for images of its kind.",
            )


def is_whole(file: Any, band: int) -> bool:  # noqa: ANN401 - a rasterio dataset
    """Return whether neither nodata nor a mask leaves pixels out."""
    return any(flag.name in ("all_valid", "alpha") for flag in file.mask_flag_enums[band - 1])


def _read(file: Any, band: int, window: Any = None) -> Values:  # noqa: ANN401
    """Return a band's values, with NaN where there is none; alpha leaves none out."""
    values: Values = file.read(band, window=window).astype(np.float64)
    if not is_whole(file, band):
        values[file.read_masks(band, window=window) == 0] = np.nan
    return values


def _middle(file: Any) -> Any:  # noqa: ANN401
    """Return the window of a file's middle that tells what values it holds: all of a small one."""
    sides = [(max(0, (side - _SHOWN_SIDE) // 2), min(side, _SHOWN_SIDE)) for side in (file.width, file.height)]
    (left, width), (top, height) = sides
    return load_rasterio().windows.Window(left, top, width, height)


def _other_pixels(file: Any, chosen: list[int] | None = None) -> PixelsError:  # noqa: ANN401
    """Return bands, type and values in words, and the settings that read them; of `chosen` bands, a range."""
    bands = list(dict.fromkeys(chosen or _colors(file) or file.indexes))
    kinds = list(dict.fromkeys(file.dtypes[band - 1] for band in bands))
    found = f"has {len(bands)} band{'s' * (len(bands) > 1)} of {', '.join(kinds)}"
    if any("complex" in kind for kind in kinds):
        return PixelsError(found, "Complex numbers have no order: store their amplitude.")
    middle = _middle(file)
    values = (_read(file, band, middle) for band in bands[:_SHOWN_BANDS])
    known = [low_high for low_high in map(_extremes, values) if low_high is not None]
    options = []
    if kinds != ["uint8"]:
        example = "0,3000"
        if known:
            low, high = min(low for low, _ in known), max(high for _, high in known)
            example = f"{low:g},{high:g}"
            found += f" with values from {low:g} to {high:g}"
        options.append(
            f"the values that become black and white as --value-range, such as {example} (in training also 2%,98%, "
            "which measures them)"
        )
    if not options or (chosen is None and len(bands) not in (1, 3)):
        options.append(f"the bands as --bands, such as {'4,3,2' if len(bands) > 3 else '1'}")
    return PixelsError(f"{found}, not 8-bit gray or RGB", f"Give {', and '.join(options)}.")


def _extremes(values: Values) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else None
