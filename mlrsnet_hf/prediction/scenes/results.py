"""The files of a scene's folder: polygons of windows and areas, scores as a GeoTIFF, a preview."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from PIL import Image

from mlrsnet_hf.prediction.classifier import Scores
from mlrsnet_hf.prediction.scenes.areas import unite
from mlrsnet_hf.prediction.scenes.cog import write_scores
from mlrsnet_hf.prediction.scenes.config import SceneConfig
from mlrsnet_hf.prediction.scenes.features import feature_files
from mlrsnet_hf.prediction.scenes.parts import preview_every, read_part
from mlrsnet_hf.prediction.scenes.raster import SceneRaster
from mlrsnet_hf.prediction.scenes.windows import CellMeans, WindowGrid
from mlrsnet_hf.prediction.tables import PredictedRows, TableForm

WINDOWS, AREAS = "windows", "areas"
SCORES_FILE = "scores.tif"
PREVIEW_FILE = "preview.jpg"
INFO_FILE = "prediction.json"


_UNSEEN = 128
"""Gray of the preview where the scene has no value, or was not looked at."""


def write_results(
    folder: Path, parts: Sequence[str], raster: SceneRaster, grid: WindowGrid, form: TableForm, config: SceneConfig
) -> dict[str, Any]:
    """Write all files of the folder but the last, and return what is counted."""
    import shapely

    names = form.labels or form.scenes
    fields = [field for field in form.arrow_schema() if field.name not in ("id", "error")]
    schema = pa.schema([*[pa.field(name, pa.int64()) for name in ("window", "x", "y")], *fields])
    means = CellMeans(grid, len(names))
    every = preview_every(grid)
    shown = np.full((-(-grid.height // every), -(-grid.width // every), 3), _UNSEEN, np.uint8)
    labels: Counter[str] = Counter()
    found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Scores, npt.NDArray[np.bool_]]] = []
    windows = empty = 0
    with feature_files(folder, WINDOWS, schema, raster, grid.side) as file:
        for name in parts:
            part = read_part(folder / name)
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
