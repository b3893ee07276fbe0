"""Which bands of an image file are read, and which of their values are black and white; stored with the model."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlrsnet_hf.configuration.settings import setting
from mlrsnet_hf.errors import ConfigurationError

_MOST_BANDS = 65535
"""What a TIFF file can count."""
_MOST_CHANNELS = 1024
MOST_METERS = 1e6
"""No pixel is as large on the ground."""

ValueKind = Literal["integer", "float"]
Limits = tuple[float, float]
"""The values of a band that become 0 and 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the values of an image file become pixels; without a field set, as 8-bit gray or RGB.

    Raises:
        ValueError: The fields do not fit together.
    """

    bands: tuple[int, ...] | None = None
    """Bands, counted from 1, in the order of the network's channels; None for red, green and blue, or gray."""
    band_count: int | None = None
    """How many bands each file has, where it is known: in another file the same numbers may be other bands."""
    value_range: tuple[Limits, ...] | None = None
    """One pair for all channels, or one for each; None for values from 0 to 255."""
    value_kind: ValueKind | None = None
    """What the range is of, where it is known: 0 to 3000 of whole numbers leaves reflectances from 0 to 1 black."""
    resolution: float | None = None
    """Meters on the ground per pixel of the images that a model learned from, where it is known."""
    image_side: int | None = None
    """Pixels of the shorter side of these images; None where they differ, or the resolution is not known."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.bands is not None and not (
            0 < len(self.bands) <= _MOST_CHANNELS and all(0 < band <= _MOST_BANDS for band in self.bands)
        ):
            raise ValueError(f"bands {self.bands} cannot be read")
        if self.resolution is not None and not 0 < self.resolution < MOST_METERS:
            raise ValueError(f"resolution {self.resolution} is none of a pixel")
        if self.image_side is not None and self.image_side < 1:
            raise ValueError(f"image_side {self.image_side} is none of an image")
        if self.value_kind not in (None, "integer", "float"):
            raise ValueError(f"value_kind {self.value_kind!r} is neither integer nor float")
        if self.value_range is not None:
            if len(self.value_range) not in (1, self.channels):
                raise ValueError(f"{len(self.value_range)} ranges of values for {self.channels} bands")
            if not all(-math.inf < low < high < math.inf for low, high in self.value_range):
                raise ValueError(f"range of values {self.value_range} does not rise")

    @property
    def channels(self) -> int:
        """Number of channels that the network sees."""
        return 3 if self.bands is None else len(self.bands)

    @property
    def is_usual(self) -> bool:
        """Whether images are read as 8-bit gray or RGB."""
        return self.bands is None and self.value_range is None

    def limits(self) -> tuple[Limits, ...] | None:
        """Return the range of each channel."""
        ranges = self.value_range
        return ranges * self.channels if ranges is not None and len(ranges) == 1 else ranges

    def to_json(self) -> dict[str, Any]:
        """Return what is set, for config.json, results.json and fingerprints."""
        fields = {
            "bands": None if self.bands is None else list(self.bands),
            "band_count": self.band_count,
            "value_range": None if self.value_range is None else [list(limits) for limits in self.value_range],
            "value_kind": self.value_kind,
            "resolution": self.resolution,
            "image_side": self.image_side,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def described(self) -> str:
        """Return bands and range in words.

        Examples:
            >>> Reading(bands=(4, 3, 2), band_count=13, value_range=((0.0, 3000.0),)).described()
            'bands 4, 3, 2 of 13, values 0 to 3000'
        """
        parts = []
        if self.bands is not None:
            count = "" if self.band_count is None else f" of {self.band_count}"
            parts.append(f"band{'s' * (len(self.bands) > 1)} {', '.join(map(str, self.bands))}{count}")
        if self.value_range is not None:
            parts.append(f"values {'; '.join(f'{low:g} to {high:g}' for low, high in self.value_range)}")
        return ", ".join(parts) or "8-bit gray or RGB"


RGB = Reading()
"""8-bit gray or RGB images."""


def reading_from_json(content: Mapping[str, Any]) -> Reading:
    """Return what `Reading.to_json` gave; other keys are passed over.

    Raises:
        ValueError: The values are none of a reading.
    """
    bands, count, ranges = (content.get(name) for name in ("bands", "band_count", "value_range"))
    if bands is not None and not (isinstance(bands, list) and all(map(_is_count, bands))):
        raise ValueError("bands is no list of whole numbers")
    if count is not None and not _is_count(count):
        raise ValueError("band_count is no whole number")
    if ranges is not None and not (isinstance(ranges, list) and all(map(_is_limits, ranges))):
        raise ValueError("value_range is no list of pairs of numbers")
    resolution = content.get("resolution")
    if resolution is not None and type(resolution) not in (int, float):
        raise ValueError("resolution is no number")
    side = content.get("image_side")
    if side is not None and type(side) is not int:
        raise ValueError("image_side is no whole number")
    return Reading(
        bands=None if bands is None else tuple(bands),
        band_count=count,
        value_range=None if ranges is None else tuple((float(low), float(high)) for low, high in ranges),
        value_kind=content.get("value_kind"),
        resolution=None if resolution is None else float(resolution),
        image_side=side,
    )


def _is_count(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_BANDS


def _is_limits(value: Any) -> bool:  # noqa: ANN401 - any JSON
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    return numbers and len(value) == 2 and all(abs(number) < 1e300 for number in value)


# -------------------------------------------------------------------------------------------------- settings as text


def bands_setting(unset: str) -> Any:  # noqa: ANN401 - a field, see `setting`
    """Return the setting of the bands that are read; `unset` says which are if it is not set."""
    return setting(
        None,
        "Bands of the image files that the network sees, counted from 1, such as 4,3,2 or 1-13; if unset " + unset,
        metavar="N,N,...|none",
    )


def value_range_setting(unset: str, more: str = "") -> Any:  # noqa: ANN401
    """Return the setting of the range of values; `more` says what else may be given."""
    return setting(
        None,
        f"Values that become black and white: 0,3000 for all bands, '0,3000;0,500' one by one{more}; if unset {unset}",
        metavar="LOW,HIGH|none",
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range of values as the settings give it."""

    value: float
    is_percent: bool
    """Whether it is a percentile of the values of the training images."""


def parse_bands(text: str) -> tuple[int, ...]:
    """Return the numbers of bands.

    Examples:
        >>> parse_bands("4,3,2"), parse_bands("1-4, 8")
        ((4, 3, 2), (1, 2, 3, 4, 8))

    Raises:
        ConfigurationError: They are none.
    """
    bands: list[int] = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", word, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < first <= last <= _MOST_BANDS or len(bands) + last - first >= _MOST_CHANNELS:
            raise ConfigurationError(
                f"bands={text!r} cannot be used",
                "Give the numbers of bands, counted from 1, such as 4,3,2 or 1-13.",
            )
        bands += range(first, last + 1)
    return tuple(bands)


def parse_value_range(text: str, channels: int) -> tuple[tuple[Bound, Bound], ...]:
    """Return one pair of bounds, or one for each channel.

    Examples:
        >>> parse_value_range("0,2%;5,98%", 2)[1]
        (Bound(value=5.0, is_percent=False), Bound(value=98.0, is_percent=True))

    Raises:
        ConfigurationError: They are none, do not rise, or are not as many as the channels.
    """
    found = []
    for pair in text.split(";"):
        bounds = [_bound(word) for word in pair.split(",")]
        low, high = bounds if len(bounds) == 2 else (None, None)
        if low is None or high is None or (low.is_percent == high.is_percent and low.value >= high.value):
            raise ConfigurationError(
                f"value_range={text!r} cannot be used",
                "Give the values that become black and white, the lower first, such as 0,3000, or percentiles of the "
                "training images, such as 2%,98%; for each band its own as 0,3000;0,4000.",
            )
        found.append((low, high))
    if len(found) not in (1, channels):
        raise ConfigurationError(
            f"value_range={text!r} holds {len(found)} ranges for {channels} bands", "Give one, or one for each band."
        )
    return tuple(found)


def _bound(word: str) -> Bound | None:
    word = word.strip()
    try:
        value = float(word.removesuffix("%"))
    except ValueError:
        return None
    is_percent = word.endswith("%")
    fits = 0 <= value <= 100 if is_percent else abs(value) < 1e300
    return Bound(value, is_percent) if fits and not re.search("[_a-df-z]", word.lower()) else None


def fixed_reading(bands: str | None, value_range: str | None) -> Reading:
    """Return the reading of settings where there are no training images to measure.

    Raises:
        ConfigurationError: They cannot be used, or name percentiles.
    """
    chosen = None if bands is None else parse_bands(bands)
    if value_range is None:
        return Reading(bands=chosen)
    bounds = parse_value_range(value_range, 3 if chosen is None else len(chosen))
    if any(bound.is_percent for pair in bounds for bound in pair):
        raise ConfigurationError(
            f"value_range={value_range!r} names percentiles, which only training measures",
            "Give numbers, such as 0,3000.",
        )
    return Reading(bands=chosen, value_range=limits_of([(low.value, high.value) for low, high in bounds]))


def limits_of(pairs: Sequence[Limits]) -> tuple[Limits, ...]:
    """Return ranges in their shortest form: one, where all are equal."""
    return tuple(pairs[:1]) if len(set(pairs)) == 1 else tuple(pairs)
