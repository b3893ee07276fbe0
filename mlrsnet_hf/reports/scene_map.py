"""A page that shows a predicted scene: its windows on a preview, one label at a time."""

import base64
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from PIL import Image

from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.pixels.ground_resolution import at_pixels
from mlrsnet_hf.inputs.pixels.raster import load_rasterio
from mlrsnet_hf.prediction.scenes.results import INFO_FILE, PREVIEW_FILE, WINDOWS
from mlrsnet_hf.reports.pages import render

_MOST_WINDOWS = 20_000
"""Of a page; of more, squares of several are shown."""


@dataclass
class _Found:
    """Where a label was found."""

    windows: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def write_scene_map(folder: Path, page: Path) -> None:
    """Write the page of a scene, from the folder that `predict_scene` wrote.

    Args:
        folder: The folder.
        page: The HTML file, which needs no other.

    Raises:
        ConfigurationError: It cannot be written.
    """
    info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    preview = (folder / PREVIEW_FILE).read_bytes()
    with Image.open(io.BytesIO(preview)) as picture:
        width, height = picture.size
    scene = str(info["source"]).rstrip("/").rsplit("/", 1)[-1]
    data, together = _data(folder, info)
    names = info["labels"]
    about = [f"{info['windows']:,} windows of {scene}, labeled by {info['model']}."]
    reasons = {"empty": "of nodata alone", "outside": "outside of the polygon"}
    left_out = [f"{info[name]:,} {reason}" for name, reason in reasons.items() if info[name]]
    if left_out:
        about.append(f"Left out: {', '.join(left_out)}.")
    if together > 1:
        about.append(f"A square on the map stands for {together} x {together} windows, with their highest score.")
    content = render(
        "scene.html",
        title=f"Scene: {scene}",
        about=about,
        names=names,
        kind="label" if info["thresholds"] else "scene",
        preview=f"data:image/jpeg;base64,{base64.b64encode(preview).decode()}",
        width=width,
        height=height,
        scene=scene,
        made=_made(info),
        data=data,
    )
    with whole_file(page) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")


def _made(info: dict[str, Any]) -> list[str]:
    """Return how the scene was cut, read and labeled, in words."""
    width, height = info["size"]
    meters = info["meters_per_pixel"]
    size = f"{width:,} x {height:,} pixels" + ("" if meters is None else f" of {meters:.4g} m")
    lines = [f"The scene has {size}; a window has {info['window']}, and the next begins {info['stride']} further."]
    thresholds = sorted(set(info["thresholds"].values()))
    if thresholds:
        span = f"{thresholds[0]:.3g}" + (f" to {thresholds[-1]:.3g}, its own" if len(thresholds) > 1 else "")
        lines.append(f"A window has a label whose score lies above the label's threshold, {span}.")
    lines += [f"{note[:1].upper()}{note[1:]}." for note in info.get("notes", [])]
    shown = ", ".join(map(str, info["bands"][:3]))
    lines.append(
        f"The preview shows band{'s' * (len(info['bands']) > 1)} {shown} of the file as the network sees them."
    )
    lines.append(f"Model {info['model']}, fingerprint {info['origin']['model'][:16]}.")
    return lines


def _data(folder: Path, info: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Return what the page's script reads, and the windows along a side of what it draws."""
    table = pq.read_table(folder / f"{WINDOWS}.parquet")
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    together = int(np.ceil(np.sqrt(max(1, len(x) / _MOST_WINDOWS))))
    side = info["window"] if together == 1 else info["stride"] * together
    if together == 1:
        square, at = np.arange(len(x)), np.stack([x, y], axis=1)
    else:
        at, square = np.unique(np.stack([x, y], axis=1) // side * side, axis=0, return_inverse=True)
    found = _found(table, square.reshape(-1))
    data: dict[str, Any] = {
        "x": at[:, 0].tolist(),
        "y": at[:, 1].tolist(),
        "side": side,
        "every": info["preview_every"],
        "labels": [
            {
                "name": name,
                "threshold": info["thresholds"].get(name, 0),
                "windows": found[name].windows,
                "scores": [round(1000 * score) for score in found[name].scores],
            }
            for name in info["labels"]
        ],
        "places": None,
    }
    if info["georeferenced"]:
        data["places"] = _places(at, side, info)
    return data, together


def _found(table: Any, square: npt.NDArray[np.int64]) -> dict[str, _Found]:  # noqa: ANN401 - a pyarrow table
    """Return by label the squares that have it, the highest score first."""
    highest: dict[str, dict[int, float]] = {}
    if "labels" in table.column_names:
        labels, scores = table["labels"].to_pylist(), table["scores"].to_pylist()
    else:
        labels = [[scene] for scene in table["scene"].to_pylist()]
        scores = [[score] for score in table["scene_score"].to_pylist()]
    for place, names, values in zip(square.tolist(), labels, scores, strict=True):
        for name, score in zip(names, values, strict=True):
            of_label = highest.setdefault(name, {})
            of_label[place] = max(score, of_label.get(place, 0.0))
    ranked = {name: sorted(ones.items(), key=lambda one: -one[1]) for name, ones in highest.items()}
    return {name: _Found([one for one, _ in ones], [score for _, score in ones]) for name, ones in ranked.items()}


def _places(at: npt.NDArray[np.int64], side: int, info: dict[str, Any]) -> list[list[float]]:
    """Return longitude and latitude of the squares' centers."""
    rasterio = load_rasterio()
    centers = at_pixels(rasterio.Affine(*info["transform"]), at[:, 0] + side / 2, at[:, 1] + side / 2)
    crs = rasterio.crs.CRS.from_wkt(info["origin"]["raster"]["crs"])
    degrees = rasterio.warp.transform(crs, "EPSG:4326", *centers)
    return np.round(np.column_stack(degrees), 5).tolist()
