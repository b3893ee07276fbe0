"""How a large scene is cut and read, and what is written of it, as settings; light to import."""

from dataclasses import dataclass
from typing import Annotated

from mlrsnet_hf.configuration.settings import Range, Settings, setting
from mlrsnet_hf.inputs.config import Meters

WINDOW = 256
"""Pixels of a window's side where none are given; MLRSNet's images have as many."""


@dataclass(frozen=True, kw_only=True)
class SceneConfig(Settings):
    """How a scene is cut and read, and what is written of it.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    window: Annotated[int, Range(1, 2**14)] | None = setting(
        None,
        f"Side in pixels of the windows that a scene is cut into; if unset {WINDOW}, of rasters that are too large for "
        "one picture.",
        section="Scenes",
        metavar="PIXELS|none",
    )
    overlap: Annotated[float, Range(0, 0.95)] = setting(
        0.25, "Share of a window's side that the next one covers too.", metavar="SHARE"
    )
    resolution: Meters | None = setting(
        None,
        "Meters on the ground per pixel that the windows are cut of: the raster is resampled as it is read; if unset "
        "its own.",
        metavar="METERS|none",
    )
    roi: str | None = setting(
        None,
        "Polygon that windows must overlap: a GeoJSON file, or WKT in the raster's coordinates (SRID=4326;POLYGON(...) "
        "in others); if unset the whole scene.",
        metavar="FILE|WKT|none",
    )
    merge: bool = setting(
        False, "Unite neighboring windows that have a label: one more pair of files, of one feature for each area."
    )

    @property
    def side(self) -> int:
        """Pixels of a window's side."""
        return self.window or WINDOW

    @property
    def stride(self) -> int:
        """Pixels from a window to the next; at least 1."""
        return max(1, round(self.side * (1 - self.overlap)))
