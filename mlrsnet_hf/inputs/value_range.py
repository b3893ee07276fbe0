"""How the images of a run are read: bands and range as the settings give them, percentiles measured in training."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError, ImageError, require_extra
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, band_values, file_contents, file_resolution, file_side
from mlrsnet_hf.inputs.pixels.reading import RGB, Bound, Limits, Reading, limits_of, parse_bands, parse_value_range
from mlrsnet_hf.runtime.logs import get_logger

_IMAGES = 256
"""So many training images, evenly spread, are measured."""
_LOCATED = 16
"""So many are asked for their ground resolution."""
_PIXELS = 4096
"""So many of each of their bands, evenly spread; of hundreds of bands fewer."""
_VALUES = 2**24
"""So many values at most, of all images and bands."""
_NEARLY_ALL = 0.9
"""A share of the values in one of the darkest or brightest levels that is told."""

Sample = npt.NDArray[np.float64]
"""(values,) of a band, over several images; no NaN, nothing infinite."""

logger = get_logger(__name__)


def settle_reading(splits: Mapping[str, Dataset], config: DataConfig) -> Reading:
    """Return the reading that the settings ask for, with numbers in the place of percentiles.

    Args:
        splits: With the columns `id` and `image`; `train` is measured.
        config: Gives `bands`, `value_range` and `resolution`; without the last, it is measured.

    Raises:
        ImageError: An image has other bands or values.
        ConfigurationError: A band's range is empty.
        MissingExtraError: rasterio is not installed.
    """
    resolution = config.resolution or _measured_resolution(splits.get("train"))
    side = None if resolution is None else _measured_side(splits.get("train"))
    if config.bands is None and config.value_range is None:
        return RGB if resolution is None else replace(RGB, resolution=resolution, image_side=side)
    require_extra("geo")
    files, ids = ImageFiles(splits["train"]), splits["train"]["id"][:]
    bands = None if config.bands is None else parse_bands(config.bands)
    count, kind = file_contents(files[0], ids[0])
    reading = Reading(bands=bands, band_count=None if bands is None else count, resolution=resolution)
    reading = replace(reading, image_side=side)
    if config.value_range is not None:
        rows = range(0, len(files), -(-len(files) // _IMAGES))
        samples = _sample(files, ids, rows, reading)
        pairs = parse_value_range(config.value_range, reading.channels)
        ranges = _measured(pairs * reading.channels if len(pairs) == 1 else pairs, samples, reading)
        reading = replace(reading, value_range=limits_of(ranges), value_kind=kind)
        _report(samples, ranges, len(rows), len(files))
    logger.info("data: images are read as %s; low and high become 0 and 255", reading.described())
    return reading


def _measured_resolution(split: Dataset | None) -> float | None:
    """Return the median of georeferenced images; None where some have none, or one is over twice another."""
    if not split:
        return None
    files, ids = ImageFiles(split), split["id"][:]
    rows = range(0, len(files), -(-len(files) // _LOCATED))
    found: list[float] = []
    for row in rows:
        try:
            meters = file_resolution(files[row], ids[row])
        except ImageError:
            meters = None  # it is told where images are decoded
        if meters is None:  # mostly the first: of JPEG files none is looked for
            return None
        found.append(meters)
    median = float(np.median(found))
    if max(found) > 2 * min(found):
        logger.info("data: the images have %.4g to %.4g m per pixel: no resolution is kept", min(found), max(found))
        return None
    logger.info("data: the images have %.4g m per pixel", median)
    return median


def _measured_side(split: Dataset | None) -> int | None:
    """Return the median of the shorter sides of the images; None where one is over twice another."""
    files, ids = (ImageFiles(split), split["id"][:]) if split else ((), ())
    found: list[int] = []
    for row in range(0, len(files), -(-len(files) // _LOCATED) or 1):
        with contextlib.suppress(ImageError):  # it is told where images are decoded
            found.append(file_side(files[row], ids[row]))
    return int(np.median(found)) if found and max(found) <= 2 * min(found) else None


def _sample(files: ImageFiles, ids: Sequence[str], rows: Sequence[int], reading: Reading) -> list[Sample]:
    """Return values of each channel."""
    parts: list[list[Sample]] = [[] for _ in range(reading.channels)]
    most = min(_PIXELS, max(1, _VALUES // (len(rows) * reading.channels)))
    for row in rows:
        for part, values in zip(parts, band_values(files[row], ids[row], reading), strict=True):
            known = values[np.isfinite(values)]
            part.append(known[:: -(-known.size // most) | 1])  # odd, not to take the same columns of every line
    samples = [np.concatenate(part) for part in parts]
    for channel, sample in enumerate(samples):
        if not sample.size:
            raise ConfigurationError(
                f"{_band(reading, channel)} has no value in the training images: all are nodata or NaN",
                "Leave the band out of --bands.",
            )
    return samples


def _measured(pairs: Sequence[tuple[Bound, Bound]], samples: Sequence[Sample], reading: Reading) -> list[Limits]:
    """Return the range of each channel, percentiles taken of its sample."""
    ranges = []
    for channel, ((low, high), sample) in enumerate(zip(pairs, samples, strict=True)):
        limits = _value(low, sample), _value(high, sample)
        if not limits[0] < limits[1]:
            raise ConfigurationError(
                f"{_band(reading, channel)} goes from {limits[0]:g} to {limits[1]:g} by value_range: it would be empty",
                "Give its range in numbers, or leave the band out of --bands.",
            )
        ranges.append(limits)
    return ranges


def _value(bound: Bound, sample: Sample) -> float:
    return float(np.percentile(sample, bound.value)) if bound.is_percent else bound.value


def _report(samples: Sequence[Sample], ranges: Sequence[Limits], measured: int, images: int) -> None:
    """Log what the training images hold, and warn of a range that leaves them black or white."""
    lowest, highest = min(map(np.min, samples)), max(map(np.max, samples))
    of_all = "the" if measured == images else f"{measured:,} of the {images:,}"
    logger.info("data: values of %s training images go from %g to %g", of_all, lowest, highest)
    for compare, color in ((_is_dark, "black"), (_is_bright, "white")):
        found = [compare(sample, limits) for sample, limits in zip(samples, ranges, strict=True)]
        share = sum(map(np.count_nonzero, found)) / sum(sample.size for sample in samples)
        if share > _NEARLY_ALL:
            logger.warning(
                "data: %.0f percent of the values are nearly %s by value_range %s: is it that of other images?",
                100 * share,
                color,
                "; ".join(f"{low:g},{high:g}" for low, high in limits_of(ranges)),
            )


def _is_dark(sample: Sample, limits: Limits) -> npt.NDArray[np.bool_]:
    low, high = limits
    return sample < low + 0.05 * (high - low)


def _is_bright(sample: Sample, limits: Limits) -> npt.NDArray[np.bool_]:
    low, high = limits
    return sample > high - 0.05 * (high - low)


def _band(reading: Reading, channel: int) -> str:
    return f"band {reading.bands[channel]}" if reading.bands is not None else f"channel {channel + 1}"
