"""A model's predictions of one large scene, in any number of processes, continued where a killed run left them.

The scene is cut into windows, and rows of windows into parts of fixed ranges, which are dealt to the processes. The
file of a part holds the network's answers, and has its name when it is whole; of these files all else is made.
"""

import hashlib
import io
import itertools
import json
import shutil
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from accelerate import Accelerator
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.files import refuse_existing, whole_file
from mlrsnet_hf.inputs.decoding import Pixels
from mlrsnet_hf.parallel import available_cores, local_processes
from mlrsnet_hf.prediction.classifier import Classifier, Scores
from mlrsnet_hf.prediction.scenes.areas import unite
from mlrsnet_hf.prediction.scenes.cog import write_scores
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.features import feature_files, refuse_pole
from mlrsnet_hf.prediction.scenes.raster import SceneRaster, Seen
from mlrsnet_hf.prediction.scenes.roi import windows_in
from mlrsnet_hf.prediction.scenes.windows import CellMeans, WindowGrid
from mlrsnet_hf.prediction.tables import PredictedRows, TableForm
from mlrsnet_hf.resumable_folder import resumable_folder
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import explain_memory
from mlrsnet_hf.runtime.logs import get_logger, progress_bar
from mlrsnet_hf.runtime.shards import Shard, missing_shards, write_shards

WINDOWS, AREAS = "windows", "areas"
SCORES_FILE = "scores.tif"
PREVIEW_FILE = "preview.jpg"
INFO_FILE = "prediction.json"

_PARTS = ".parts"
_CHUNK_VALUES = 2**23
"""Values of all bands that a thread reads at once, unless one window has more."""
_CHUNK_INPUTS = 2**25
"""Values of the network's input of the windows of a chunk, which overlap and so may be far more than are read."""
_MOST_THREADS = 8
_PREVIEW_SIDE = 1600
_UNSEEN = 128
"""Gray of the preview where the scene has no value, or was not looked at."""
_FAR = 2
"""A raster whose pixels are larger or smaller by more than this is warned of."""
_PATIENCE = 10.0

logger = get_logger(__name__)

Wanted = npt.NDArray[np.bool_]
"""(rows, columns) of windows: which are to be looked at."""


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
        most = [f"{label} {count:,}" for label, count in itertools.islice(self.labels.items(), 10)]
        lines = [", ".join(parts), f"labels: {', '.join(most) or 'none'}", f"folder: {self.folder}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Part:
    """The network's answers for some rows of windows."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    empty: int
    preview: Pixels
    """Of the rows of the preview that the windows reach over."""
    seen: Seen
    top: int
    """The first of them."""


def predict_scene(
    source: str | Path,
    classifier: Classifier,
    output_dir: Path,
    config: SceneConfig | None = None,
    *,
    all_scores: bool = False,
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

    Raises:
        ImageError: The raster cannot be opened or read, or has other bands or values.
        ConfigurationError: A window is larger than the scene, a setting cannot be used, the folder exists, another
            process is writing it, or the disk is full.
        OutOfMemoryError: A batch does not fit the device.
        MissingExtraError: rasterio or shapely is not installed.
    """
    require_extra("geo")
    config = config or SceneConfig()
    processes = Collectives(Accelerator())
    target = output_dir.expanduser().absolute()
    raster = processes.run_on_all(lambda: SceneRaster(str(source), classifier.preprocessing.reading, config.resolution))
    grid = processes.run_on_all(lambda: _grid(raster, config))
    wanted = processes.run_on_all(lambda: windows_in(config.roi, grid, raster))
    processes.run_on_main(lambda: _tell_place(raster, classifier))
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
            lambda own: _predict_parts(raster, classifier, grid, wanted, own),
            lambda part, shard: _write_part(path / _PARTS / shard.name, part),
        )
        seconds = time.monotonic() - began

        def finish() -> ScenePrediction:
            counts = _write_results(path, [_PARTS + "/" + shard.name for shard in shards], raster, grid, form, config)
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


def _tell_place(raster: SceneRaster, classifier: Classifier) -> None:
    """Say what is not known of the scene's place, and warn of another ground resolution than the model's."""
    known, own = classifier.preprocessing.reading.resolution, raster.ground_resolution
    if own is None:
        points = ", only control points, by which gdalwarp can give it one" if raster.has_control_points else ""
        logger.warning(
            "%s has no georeference%s: the tables hold pixel coordinates, and no GeoJSON is written",
            raster.name,
            points,
        )
        return
    refuse_pole(raster)
    if known is not None and not 1 / _FAR <= own / known <= _FAR:
        logger.warning(
            "%s has %.4g m per pixel, and the model learned from images of %.4g m: what it says of another scale is "
            "often wrong; --resolution %.4g brings the scene to it",
            raster.name,
            own,
            known,
            known,
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
        "preview_every": _preview_every(grid),
        "meters_per_pixel": raster.ground_resolution,
        "bands": raster.bands,
        "thresholds": dict(zip(form.labels, form.thresholds.tolist(), strict=True)),
    }


# ------------------------------------------------------------------------------------------ windows through the network


@dataclass(frozen=True)
class _Chunk:
    """Some windows, read at once."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    pixels: Sequence[Pixels]
    """As the network sees them."""
    empty: int
    place: tuple[slice, slice]
    """Where its pixels are in the preview of the part."""
    preview: Pixels
    seen: Seen


def _predict_parts(
    raster: SceneRaster, classifier: Classifier, grid: WindowGrid, wanted: Wanted, shards: Sequence[Shard]
) -> Generator[_Part, None, None]:
    """Yield the answers of each part; windows are read ahead, over the ends of parts."""
    plans = [list(_plan(classifier, grid, wanted, shard.rows)) for shard in shards]
    threads = max(1, min(_MOST_THREADS, available_cores() // local_processes()))
    work = iter([(shard.rows, columns) for shard, plan in zip(shards, plans, strict=True) for columns in plan])
    reader = _Reader(raster, classifier, grid, wanted)
    total = int(sum(wanted[shard.rows].sum() for shard in shards))
    with (
        ThreadPoolExecutor(threads) as pool,
        progress_bar(description=f"predicting {raster.name}", total=total, unit="windows") as bar,
    ):
        ahead: deque[Future[_Chunk]] = deque()

        def read_on(number: int) -> None:
            ahead.extend(pool.submit(reader.read, *one) for one in itertools.islice(work, number))

        read_on(threads + 1)
        try:
            for shard, plan in zip(shards, plans, strict=True):

                def chunks(number: int = len(plan)) -> Iterator[_Chunk]:
                    for _ in range(number):
                        chunk = ahead.popleft().result()
                        read_on(1)
                        yield chunk
                        bar.update(len(chunk.x) + chunk.empty)

                with explain_memory(f"{raster.name}, {shard.name}", "Lower --batch-size."):
                    yield _answers(classifier, reader, shard.rows, chunks())
        finally:
            for future in ahead:
                future.cancel()


def _preview_every(grid: WindowGrid) -> int:
    """Return the pixels of the scene from one of the preview to the next."""
    return -(-max(grid.width, grid.height) // _PREVIEW_SIDE)


def _plan(classifier: Classifier, grid: WindowGrid, wanted: Wanted, rows: range) -> Iterator[range]:
    """Yield the columns of windows that are read at once, without those that nobody wants."""
    channels, side = classifier.preprocessing.channels, classifier.preprocessing.image_size
    for columns in grid.chunks(rows, _CHUNK_VALUES // channels, _CHUNK_INPUTS // (channels * side**2)):
        if wanted[rows][:, columns].any():
            yield columns


class _Reader:
    """Reads chunks of windows, in any thread."""

    def __init__(self, raster: SceneRaster, classifier: Classifier, grid: WindowGrid, wanted: Wanted) -> None:
        self.raster, self.grid = raster, grid
        self._wanted = wanted
        self._transform = classifier.preprocessing.evaluation_transform()
        self.every = _preview_every(grid)

    def preview_rows(self, rows: range) -> range:
        """Return the rows of the preview that rows of windows reach over."""
        first, last = self.grid.tops[rows[0]], self.grid.tops[rows[-1]] + self.grid.side
        return range(-(-int(first) // self.every), -(-int(last) // self.every))

    def read(self, rows: range, columns: range) -> _Chunk:
        """Return the windows of some rows and columns."""
        side, every = self.grid.side, self.every
        row, column = np.nonzero(self._wanted[rows][:, columns])
        x, y = self.grid.lefts[columns][column], self.grid.tops[rows][row]
        left, top, right, lower = int(x.min()), int(y.min()), int(x.max()) + side, int(y.max()) + side
        pixels, seen = self.raster.read(left, top, right - left, lower - top)
        kept, images = [], []
        for index, (at_x, at_y) in enumerate(zip(x - left, y - top, strict=True)):
            window = slice(at_y, at_y + side), slice(at_x, at_x + side)
            if seen[window].any():
                kept.append(index)
                images.append(self._transform(np.ascontiguousarray(pixels[window])))
        first, first_row = -(-left // every), -(-top // every)
        colors = pixels if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
        thinned = slice(first_row * every - top, None, every), slice(first * every - left, None, every)
        small = np.ascontiguousarray(colors[thinned][..., :3])
        start = first_row - self.preview_rows(rows).start
        place = slice(start, start + small.shape[0]), slice(first, first + small.shape[1])
        return _Chunk(x[kept], y[kept], images, len(x) - len(kept), place, small, seen[thinned].copy())


def _answers(classifier: Classifier, reader: _Reader, rows: range, chunks: Iterator[_Chunk]) -> _Part:
    """Pass the windows of a part through the network; its answers stay on the device until all are there."""
    strip = reader.preview_rows(rows)
    preview = np.zeros((len(strip), -(-reader.grid.width // reader.every), 3), np.uint8)
    seen = np.zeros(preview.shape[:2], bool)
    places: list[npt.NDArray[np.int64]] = []
    logits: list[torch.Tensor] = []
    waiting: list[Pixels] = []
    empty = 0

    def pass_on(number: int) -> None:
        logits.append(classifier.device_logits(torch.from_numpy(np.stack(waiting[:number]))))
        del waiting[:number]

    for chunk in chunks:
        places.append(np.stack([chunk.x, chunk.y]))
        empty += chunk.empty
        preview[chunk.place][chunk.seen] = chunk.preview[chunk.seen]
        seen[chunk.place] |= chunk.seen
        waiting += chunk.pixels
        while len(waiting) >= classifier.batch_size:
            pass_on(classifier.batch_size)
    if waiting:
        pass_on(len(waiting))
    x, y = np.concatenate(places, axis=1) if places else np.empty((2, 0), np.int64)
    outputs = classifier.task.outputs
    answers = torch.cat(logits).float().cpu().numpy() if logits else np.empty((0, outputs), np.float32)
    if not np.isfinite(answers).all():
        raise ConfigurationError(
            f"{classifier.model.name} gives scores of {reader.raster.name} that are NaN or infinite",
            "Its weights may be damaged, or the precision too low.",
        )
    order = np.lexsort((x, y))
    return _Part(x[order], y[order], answers[order], empty, preview, seen, strip.start)


def _write_part(path: Path, part: _Part) -> None:
    remedy = "What is finished is kept; make room, and run again to go on."
    with whole_file(path, remedy) as partial, partial.open("wb") as file:
        np.savez(file, **{name: getattr(part, name) for name in _Part.__dataclass_fields__})


def _read_part(path: Path) -> _Part:
    with np.load(path, allow_pickle=False) as stored:
        fields: dict[str, Any] = dict(stored)
    return _Part(**fields | {name: int(fields[name]) for name in ("empty", "top")})


# ------------------------------------------------------------------------------------------------------ what is written


def _write_results(
    folder: Path, parts: Sequence[str], raster: SceneRaster, grid: WindowGrid, form: TableForm, config: SceneConfig
) -> dict[str, Any]:
    """Write all files of the folder but the last, and return what is counted."""
    import shapely

    names = form.labels or form.scenes
    fields = [field for field in form.arrow_schema() if field.name not in ("id", "error")]
    schema = pa.schema([*[pa.field(name, pa.int64()) for name in ("window", "x", "y")], *fields])
    means = CellMeans(grid, len(names))
    every = _preview_every(grid)
    shown = np.full((-(-grid.height // every), -(-grid.width // every), 3), _UNSEEN, np.uint8)
    labels: Counter[str] = Counter()
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Scores, npt.NDArray[np.bool_]]] = []
    windows = empty = 0
    with feature_files(folder, WINDOWS, schema, raster, grid.side) as file:
        for name in parts:
            part = _read_part(folder / name)
            place = slice(part.top, part.top + len(part.preview))
            shown[place][part.seen] = part.preview[part.seen]
            empty += part.empty
            if not len(part.x):
                continue
            windows += len(part.x)
            logits = torch.from_numpy(part.logits)
            scores = logits[:, : len(form.labels)].sigmoid().numpy()
            scenes = logits[:, len(form.labels) :].softmax(1).numpy()
            if form.labels:
                mapped, above = scores, scores > form.thresholds
            else:
                mapped, above = scenes, np.eye(len(names), dtype=bool)[scenes.argmax(1)]
            means.add(part.x, part.y, mapped)
            labels.update(dict(zip(names, above.sum(0).tolist(), strict=True)))
            if config.merge:
                found.append((part.x, part.y, mapped, above))
            rows = PredictedRows([""] * len(part.x), scores, scenes, [None] * len(part.x))
            columns = {field.name: values for field in fields for values in [form.columns(rows)[field.name]]}
            numbers = {"window": grid.number(part.x, part.y), "x": part.x, "y": part.y}
            boxes = shapely.box(part.x, part.y, part.x + grid.side, part.y + grid.side)
            file.write(boxes, numbers | columns)
    if config.merge:
        _write_areas(folder, found, names, raster, grid)
    write_scores(folder / SCORES_FILE, means.means(), names, raster, grid.stride)
    buffer = io.BytesIO()
    Image.fromarray(shown).save(buffer, "JPEG", quality=85)
    (folder / PREVIEW_FILE).write_bytes(buffer.getvalue())
    return {"windows": windows, "empty": empty, "labels": {name: n for name, n in labels.most_common() if n}}


def _write_areas(
    folder: Path,
    found: Sequence[tuple[Any, Any, Any, Any]],
    names: Sequence[str],
    raster: SceneRaster,
    grid: WindowGrid,
) -> None:
    """Write one feature for each label and connected area."""
    schema = pa.schema(
        [("label", pa.string()), ("windows", pa.int64()), ("score", pa.float32()), ("highest_score", pa.float32())]
    )
    with feature_files(folder, AREAS, schema, raster, grid.side) as file:
        if not found:
            return
        x, y, scores, above = (np.concatenate(column) for column in zip(*found, strict=True))
        for label, name in enumerate(names):
            has = above[:, label]
            if has.any():
                areas = unite(x[has], y[has], grid.side, scores[has, label])
                columns = {"windows": areas.windows, "score": areas.mean, "highest_score": areas.highest}
                file.write(areas.polygons, {"label": [name] * len(areas.polygons), **columns})
