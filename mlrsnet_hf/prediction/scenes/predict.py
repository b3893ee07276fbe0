"""A model's predictions of one large scene, in any number of processes, continued where a killed run left them.

The scene is cut into windows, and rows of windows into parts of fixed ranges, which are dealt to the processes. The
file of a part holds the network's answers, and has its name when it is whole; of these files all else is made.
"""

import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.scale import is_far, learned_text, relative_scale
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.features import refuse_pole
from mlrsnet_hf.prediction.scenes.parts import predict_parts, preview_every, write_part
from mlrsnet_hf.prediction.scenes.raster import SceneRaster
from mlrsnet_hf.prediction.scenes.results import INFO_FILE, write_results
from mlrsnet_hf.prediction.scenes.roi import windows_in
from mlrsnet_hf.prediction.scenes.windows import WindowGrid
from mlrsnet_hf.prediction.tables import TableForm
from mlrsnet_hf.resumable_folder import resumable_folder
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, inference_accelerator
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.runtime.shards import Shard, missing_shards, write_shards

_PARTS = ".parts"
_MOST_LABELS = 10
"""In the terminal."""
_PATIENCE = 10.0

logger = get_logger(__name__)


@dataclass(frozen=True)
class ScenePrediction:
    """What was predicted of a scene, and where it lies."""

    folder: Path
    windows: int
    """Windows that the network saw."""
    empty: int
    """Windows that hold no value."""
    outside: int
    """Windows that do not overlap the polygon of `SceneConfig.roi`."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Windows by label, or by scene of a model of scenes alone, the most frequent first."""
    seconds: float = 0.0
    """Taken by those of them that no earlier run had predicted."""
    earlier: int = 0
    """Windows that an earlier run had predicted, or found empty."""

    def summary(self) -> str:
        """Return it in words."""
        parts = [f"{self.windows:,} windows"]
        parts += [f"{self.empty:,} of nodata alone left out"] if self.empty else []
        parts += [f"{self.outside:,} outside of the polygon"] if self.outside else []
        done = self.windows + self.empty - self.earlier
        if self.seconds and done > 0:
            parts.append(f"{done / self.seconds:,.1f} windows per second")
        most = [f"{label} {count:,}" for label, count in itertools.islice(self.labels.items(), _MOST_LABELS)]
        of = f" (the {_MOST_LABELS} most frequent of {len(self.labels):,})" if len(self.labels) > _MOST_LABELS else ""
        lines = [", ".join(parts), f"labels{of}: {', '.join(most) or 'none'}", f"folder: {self.folder}"]
        return "\n".join(lines)


def predict_scene(
    source: str | Path,
    classifier: Classifier,
    output_dir: Path,
    config: SceneConfig | None = None,
    *,
    all_scores: bool = False,
    accelerator: Accelerator | None = None,
) -> ScenePrediction:
    """Predict the windows of a scene, and write what was found as a folder.

    It is a task that may be given again and anywhere: what is whole is not made again, and what was cut short, however
    that happens, is completed. All processes of an `accelerate launch` call it together.

    The folder holds `windows.parquet` (GeoParquet, in the raster's CRS) and `windows.geojson` (RFC 7946), one polygon
    for each window with its labels; with `config.merge` `areas.parquet` and `areas.geojson`, one polygon for each label
    and connected area; `scores.tif`, a Cloud-Optimized GeoTIFF of a band for each label; `preview.jpg` and
    `prediction.json`. Of a raster without georeference the Parquet files hold pixel coordinates alone.

    Args:
        source: Path or address of a GeoTIFF, VRT, JPEG 2000, PNG or JPEG file.
        classifier: The model on its device; its thresholds and the size of its batches count.
        output_dir: Folder to create.
        config: How the scene is cut; None for the defaults.
        all_scores: Write the score of every label, one column each.
        accelerator: Knows the processes, of a command that goes on with them; None has one made, and the processes part
            in the end.

    Raises:
        ImageError: The raster cannot be opened or read, or has other bands or values.
        ConfigurationError: A window is larger than the scene, a setting cannot be used, the folder exists, another
            process is writing it, or the disk is full.
        OutOfMemoryError: A batch does not fit the device.
        MissingExtraError: rasterio or shapely is not installed.
    """
    require_extra("geo")
    config = config or SceneConfig()
    if accelerator is not None:
        return _predict_scene(source, classifier, output_dir, config, all_scores, Collectives(accelerator))
    accelerator = inference_accelerator(None)
    with ended_together(accelerator):
        return _predict_scene(source, classifier, output_dir, config, all_scores, Collectives(accelerator))


def _predict_scene(
    source: str | Path,
    classifier: Classifier,
    output_dir: Path,
    config: SceneConfig,
    all_scores: bool,
    processes: Collectives,
) -> ScenePrediction:
    target = output_dir.expanduser().absolute()
    raster = processes.run_on_all(lambda: SceneRaster(str(source), classifier.preprocessing.reading, config.resolution))
    grid = processes.run_on_all(lambda: _grid(raster, config))
    wanted = processes.run_on_all(lambda: windows_in(config.roi, grid, raster))
    processes.run_on_main(lambda: _tell_place(raster, classifier, config))
    form = TableForm(classifier.task, classifier.thresholds, all_scores)
    origin = {
        "raster": raster.identity(),
        "model": classifier.fingerprint,
        "windows": [grid.side, grid.stride, hashlib.sha256(np.packbits(wanted).tobytes()).hexdigest()],
    }
    made = origin | {"thresholds": form.thresholds.tolist(), "merge": config.merge, "all_scores": all_scores}
    if processes.run_on_main(lambda: _is_whole(target, made)):
        processes.run_on_main(lambda: shutil.rmtree(target / _PARTS, ignore_errors=True))  # of a run killed at its end
        logger.info("this scene is predicted already, by the same model and settings: %s", target)
        return _read_prediction(target)
    parts = grid.parts()
    shards = [Shard(f"{number:05d}-of-{len(parts):05d}.npz", rows) for number, rows in enumerate(parts)]

    with ExitStack() as stack:

        def begin() -> tuple[Path, list[Shard]]:
            folder = stack.enter_context(
                resumable_folder(target, origin, _origin_of_whole, _PATIENCE, parts=(f"{_PARTS}/*.npz",))
            )
            folder.keep([])
            return folder.path, missing_shards(folder.path / _PARTS, shards, lambda path, _: path.is_file())

        path, missing = processes.run_on_main(begin)
        began = time.monotonic()
        write_shards(
            processes,
            missing,
            lambda own: predict_parts(raster, classifier, grid, wanted, own),
            lambda part, shard: write_part(path / _PARTS / shard.name, part),
        )
        seconds = time.monotonic() - began

        def finish() -> ScenePrediction:
            counts = write_results(path, [_PARTS + "/" + shard.name for shard in shards], raster, grid, form, config)
            earlier = int(wanted.sum() - sum(wanted[shard.rows].sum() for shard in missing))
            told = {"outside": int((~wanted).sum()), "origin": made, "source": raster.source} | counts
            told |= _described(raster, grid, classifier, form)
            (path / INFO_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            stack.pop_all().close()  # only now the folder takes its name
            shutil.rmtree(target / _PARTS, ignore_errors=True)  # until then the next run would need them
            return _read_prediction(target, seconds, earlier)

        return processes.run_on_main(finish)


def _grid(raster: SceneRaster, config: SceneConfig) -> WindowGrid:
    shorter = min(raster.width, raster.height)
    if config.side > shorter:
        at = f" at {raster.ground_resolution:.4g} m per pixel" if config.resolution is not None else ""
        raise ConfigurationError(
            f"{raster.name}: a window of {config.side} x {config.side} pixels is larger than the scene, which has "
            f"{raster.width} x {raster.height}{at}",
            f"Give --window {shorter} or less.",
        )
    return WindowGrid(raster.width, raster.height, config.side, config.stride)


def _tell_place(raster: SceneRaster, classifier: Classifier, config: SceneConfig) -> None:
    """Say what is not known of the scene's place, and warn of windows of another scale than the model's images."""
    reading, own = classifier.preprocessing.reading, raster.ground_resolution
    if own is None:
        points = ", only control points, by which gdalwarp can give it one" if raster.has_control_points else ""
        logger.warning(
            "%s has no georeference%s: the tables hold pixel coordinates, and no GeoJSON is written",
            raster.name,
            points,
        )
        return
    refuse_pole(raster)
    scale = relative_scale(reading, own, config.side)
    if scale is None:
        if config.resolution is None:
            logger.info(
                "%s has %.4g m per pixel, and nothing tells at which resolution %s was trained; if at another, "
                "--resolution brings the scene to it",
                raster.name,
                own,
                classifier.model.name,
            )
    elif is_far(scale):
        logger.warning(
            "%s has %.4g m per pixel, a window %s of them, and the model learned from %s: it sees %.2g times %s; what "
            "it says of another scale is often wrong; --resolution %.4g brings the windows to it",
            raster.name,
            own,
            f"{config.side:,}",
            learned_text(reading),
            max(scale, 1 / scale),
            "more ground at once" if scale > 1 else "less ground at once",
            own / scale,
        )


def _is_whole(target: Path, made: Mapping[str, Any]) -> bool:
    """Tell whether a folder holds what is asked for; refuse one of anything else."""
    if not target.exists():
        return False
    try:
        if json.loads((target / INFO_FILE).read_text(encoding="utf-8"))["origin"] == made:
            return True
    except (OSError, ValueError, TypeError, KeyError):
        pass
    refuse_existing(target)
    return False


def _origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what the parts in a folder are of that is whole but for its name; nothing of any other."""
    try:
        made = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))["origin"]
        return [{key: made[key] for key in ("raster", "model", "windows")}]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _read_prediction(folder: Path, seconds: float = 0.0, earlier: int = 0) -> ScenePrediction:
    told = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    counts = (told["windows"], told["empty"], told["outside"], told["labels"])
    return ScenePrediction(folder, *counts, seconds=seconds, earlier=earlier)


def _described(raster: SceneRaster, grid: WindowGrid, classifier: Classifier, form: TableForm) -> dict[str, Any]:
    """Return what a reader of the folder wants to know of it."""
    return {
        "model": classifier.model.name,
        "size": [grid.width, grid.height],
        "window": grid.side,
        "stride": grid.stride,
        "georeferenced": raster.is_georeferenced,
        "transform": list(raster.transform)[:6],
        "preview_every": preview_every(grid),
        "meters_per_pixel": raster.ground_resolution,
        "bands": raster.bands,
        "thresholds": dict(zip(form.labels, form.thresholds.tolist(), strict=True)),
        "notes": list(classifier.notes),
    }
