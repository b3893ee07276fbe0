"""Which of what is to be predicted are large scenes, and where their results go; light to import."""

import glob
from collections.abc import Sequence
from pathlib import Path

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import ConfigurationError, ImageError, require_extra
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.pixels.raster import has_rasterio
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.scenes.config import WINDOW, SceneConfig
from mlrsnet_hf.prediction.scenes.raster import raster_facts
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2")
_LARGE = 4
"""Windows of a raster's longer side from which on it is a scene unasked."""


def find_scenes(config: PredictionConfig, scenes: SceneConfig, data: ImageSet) -> list[str]:
    """Return the scenes among what is to be predicted: all of it, or nothing.

    Images are scenes where a setting of scenes is given, or where each that can be opened is a georeferenced raster of
    over four windows a side.

    Raises:
        ConfigurationError: A setting of scenes is given, and no scene or something else beside them.
        MissingExtraError: rasterio or shapely is not installed.
    """
    given, others = sorted(changed_settings(scenes)), sorted(changed_settings(data))
    if given and (others or not config.sources):
        raise ConfigurationError(
            f"{given[0]}={getattr(scenes, given[0])!r} goes with scenes, and "
            + (f"{others[0]}={getattr(data, others[0])!r} is given" if others else "none is given"),
            "Name GeoTIFF, VRT or JPEG 2000 files, or their addresses.",
        )
    if given:
        require_extra("geo")
        return [scene for source in config.sources for scene in _named(source)]
    suffixes = {Path(source.partition("?")[0]).suffix.lower() for source in config.sources}
    if not config.sources or not has_rasterio():
        return []
    if suffixes <= set(_SUFFIXES):
        found = [scene for source in config.sources for scene in _named(source)]
        large = [is_large for is_large in map(_is_large, found) if is_large is not None]
        if large and all(large):
            return found
    for source in config.sources:
        path = Path(source).expanduser()
        if path.suffix.lower() in _SUFFIXES and path.is_file() and _is_large(str(path)):
            logger.warning(
                "%s: a scene among pictures is seen whole, as one of them; name scenes alone to label their windows",
                source,
            )
    return []


def _named(source: str) -> list[str]:
    """Return the files that a path, a folder or a pattern names; an address as it is."""
    path = Path(source).expanduser()
    if "://" in source:
        return [source]
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = [str(one) for one in sorted(path.rglob("*")) if one.suffix.lower() in _SUFFIXES]
    else:
        found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may be absolute
    if not found:
        raise ConfigurationError(f"{source}: there is no such scene", "Name GeoTIFF, VRT or JPEG 2000 files.")
    return found


def _is_large(source: str) -> bool | None:
    """Tell whether a raster is a scene unasked; None where it cannot be opened, which is told where it is read."""
    try:
        width, height, is_georeferenced = raster_facts(source)
    except ImageError:
        return None
    return is_georeferenced and max(width, height) > _LARGE * WINDOW


def scene_folders(config: PredictionConfig, scenes: Sequence[str]) -> list[Path]:
    """Return where each scene's results go.

    Raises:
        ConfigurationError: The output is a table; a page is asked for of several scenes, or two have one name.
    """
    output = config.output or Path("predictions")
    if output.suffix:
        raise ConfigurationError(
            f"output={str(output)!r} is a table, and scenes are predicted, of which each becomes a folder",
            f"Give a folder, such as --output {output.with_suffix('')}.",
        )
    if len(scenes) == 1:
        return [output]
    if config.html is not None:
        raise ConfigurationError(f"html={str(config.html)!r} is given with {len(scenes)} scenes", "Give it with one.")
    names = [Path(scene.partition("?")[0]).stem for scene in scenes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{names.count(name)} scenes are called {name!r}", "Predict them one by one.")
    return [output / name for name in names]
