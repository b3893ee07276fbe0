"""The paper's figures of retrieval: 10 and 12, precision and recall; 11, ANMRR per scene; 13 and 14, examples.

Matplotlib is imported here and in the other modules of figures alone; without a window system it needs none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.protocol.results import ExampleQuery, ModelResult, ProtocolResult, RetrievalResult
from mlrsnet_hf.retrieval.protocol.run import SHOWN

# Distinct for color-blind readers too (Okabe and Ito 2008).
_OURS = "#0072B2"
_COMPARED = "#D55E00"
_COMMON = "#00694D"
"""Labels in common with the query."""
_WRONG = "#B3261E"
"""Another scene than the query's."""
_LEVELS = np.linspace(0, 1, 101)
"""Levels of recall."""
_COLUMNS = 5
_SIDE, _LINE, _HEAD = 1.3, 0.115, 0.2
"""Inches of a picture, of a line of text, and of the line above a picture."""


def write_figures(folder: Path, result: RetrievalResult, pictures: Mapping[str, Image.Image]) -> dict[str, Path]:
    """Draw every figure as `<name>.png`.

    Returns:
        The files by name.
    """
    with matplotlib.rc_context(STYLE):
        figures = {
            "fig10_precision_recall": precision_recall_figure(result),
            "fig11_anmrr_per_scene": scene_figure(result),
            "fig12_precision_recall_per_scene": scene_curve_figure(result),
            "fig13_examples": example_figure(result.examples.model, pictures),
        }
        if result.examples.compared:
            figures["fig14_examples_compared"] = example_figure(result.examples.compared, pictures)
        paths = {name: folder / f"{name}.png" for name in figures}
        for name, figure in figures.items():
            figure.savefig(paths[name], dpi=DOTS_PER_INCH, metadata={"Software": None})
    return paths


def precision_recall_figure(result: RetrievalResult) -> Figure:
    """Fig. 10: one panel for each share of queries; the band is the deviation over the split seeds."""
    panels = len(result.protocols)
    figure = Figure(figsize=(0.6 + 3.2 * panels, 3.4), layout="constrained")
    row = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    for axes, protocol in zip(row, result.protocols, strict=True):
        _recall_axes(axes)
        _curve(axes, protocol.model, _shown(result.name), _OURS)
        if protocol.compared is not None:
            _curve(axes, protocol.compared, _shown(str(result.compared_name)), _COMPARED)
        axes.set_title(_share(protocol))
        axes.set_xlabel("recall")
        axes.legend(loc="lower left", fontsize=7)
    row[0].set_ylabel("interpolated precision")
    return figure


def scene_figure(result: RetrievalResult) -> Figure:
    """Fig. 11: ANMRR of each scene, the best first; lower is better."""
    protocol = result.shown
    scenes = sorted(protocol.model.scenes(), key=lambda scene: protocol.model.of_scene(scene, "anmrr")[0])
    figure = Figure(figsize=(6.4, 1.1 + 0.19 * len(scenes)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(scenes))
    means, deviations = np.array([protocol.model.of_scene(scene, "anmrr") for scene in scenes]).T
    spread = None if np.isnan(deviations).all() else np.nan_to_num(deviations)
    bars = axes.barh(
        places, means, 0.72, color=_OURS, label=_shown(result.name), xerr=spread, error_kw={"linewidth": 0.8}
    )
    if protocol.compared is not None:
        compared = [protocol.compared.of_scene(scene, "anmrr")[0] for scene in scenes]
        axes.scatter(
            compared, places, color=_COMPARED, marker="D", s=14, zorder=3, label=_shown(str(result.compared_name))
        )
    for place, mean in enumerate(means):
        axes.text(
            1.01, place, f"{mean:.3f}", va="center", fontsize=6.5, color="0.25", transform=axes.get_yaxis_transform()
        )
    mean = protocol.model.mean("anmrr")[0]
    axes.axvline(mean, color="black", linewidth=0.8, linestyle="--", label=f"all queries: {mean:.4f}")
    axes.set_yticks(places, [_shown(scene.replace("_", " ")) for scene in scenes])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(scenes) - 0.4, -0.6)
    axes.set_xlim(0, max(1e-3, 1.04 * float(np.nanmax(means + np.nan_to_num(deviations)))))
    axes.set_xlabel(f"ANMRR, lower is better ({_share(protocol)})")
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    others = [handle for handle in axes.get_legend_handles_labels()[0] if handle is not bars]
    figure.legend(handles=[bars, *others], loc="outside upper center", ncols=3, fontsize=7)
    return figure


def scene_curve_figure(result: RetrievalResult, columns: int = 6) -> Figure:
    """Fig. 12: a small curve for each scene, in alphabetical order, before the mean of all queries in gray."""
    protocol = result.shown
    scenes = protocol.model.scenes()
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(9, 0.7 + 1.42 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    overall = protocol.model.curve()
    for axes, scene in zip(grid, scenes, strict=False):
        _recall_axes(axes)
        axes.plot(_LEVELS, overall, color="0.75", linewidth=1)
        if protocol.compared is not None:
            axes.plot(_LEVELS, protocol.compared.scene_curve(scene), color=_COMPARED, linewidth=1)
        axes.plot(_LEVELS, protocol.model.scene_curve(scene), color=_OURS, linewidth=1.3)
        axes.set_title(_shown(scene.replace("_", " ")), fontsize=7.5, pad=3)
        axes.tick_params(labelsize=6)
    for axes in grid[len(scenes) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(scenes) - columns) : len(scenes)]:
        axes.tick_params(labelbottom=True)  # also above an empty place of the last row
    figure.supxlabel("recall", fontsize=8)
    figure.supylabel("interpolated precision", fontsize=8)
    legend = {_OURS: result.name, _COMPARED: result.compared_name, "0.75": "all queries"}
    handles = [axes.plot([], [], color=color, label=_shown(name))[0] for color, name in legend.items() if name]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=8)
    return figure


def _shown(name: str) -> str:
    """Return a name as there is room for it, every character visible."""
    return on_one_line(name, 60)


def _curve(axes: Axes, model: ModelResult, name: str, color: str) -> None:
    curve = model.curve()
    anmrr = model.mean("anmrr")[0]
    axes.plot(_LEVELS, curve, color=color, linewidth=1.4, label=f"{name}\nANMRR {anmrr:.4f}")
    if len(model.repeats) > 1:
        deviation = np.std([repeat.curve for repeat in model.repeats], axis=0, ddof=1)
        axes.fill_between(_LEVELS, curve - deviation, curve + deviation, color=color, alpha=0.25, linewidth=0)


def _recall_axes(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0.0", "0.5", "1.0"])
    axes.set_yticks([0, 0.5, 1], ["0.0", "0.5", "1.0"])
    axes.grid(color="0.92", linewidth=0.6)


def _share(protocol: ProtocolResult) -> str:
    return "queries and database as given" if protocol.percent is None else f"{protocol.percent}% of the pool query"


def example_figure(examples: Sequence[ExampleQuery], pictures: Mapping[str, Image.Image]) -> Figure:
    """Draw each query at the left, its results in rows beside it, labels below; those in common in green and bold."""
    rows = -(-SHOWN // _COLUMNS)
    heights = [height for example in examples for height in [_cell_height(example)] * rows]
    figure = Figure(figsize=((_SIDE + 0.15) * (_COLUMNS + 1) + 0.2, sum(heights) + 0.1))
    margins = {"left": 0.01, "right": 0.995, "top": 1 - 0.05 / figure.get_figheight(), "bottom": 0.0}
    spaces = {"wspace": 0.08, "hspace": 0.0}
    grid = figure.add_gridspec(len(heights), _COLUMNS + 1, height_ratios=heights, **margins, **spaces)
    for number, example in enumerate(examples):
        top = number * rows
        _draw(figure.add_subplot(grid[top, 0]), example.query, "query", example, pictures, heights[top])
        for rank, hit in enumerate(example.results, start=1):
            place = grid[top + (rank - 1) // _COLUMNS, 1 + (rank - 1) % _COLUMNS]
            _draw(figure.add_subplot(place), hit, str(rank), example, pictures, heights[top])
    return figure


def _cell_height(example: ExampleQuery) -> float:
    lines = max(len(hit.labels or ()) for hit in (example.query, *example.results))
    return _HEAD + _SIDE + _LINE * (lines + 1.5)


def _draw(
    axes: Axes, hit: Hit, title: str, example: ExampleQuery, pictures: Mapping[str, Image.Image], height: float
) -> None:
    """Draw a picture at the top of its cell, and text at measured places below."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(height / _SIDE, 0)
    top = _HEAD / _SIDE
    same = hit.scene == example.query.scene
    scene = _shown((hit.scene or "").replace("_", " "))
    axes.text(0, top - 0.04, f"{title}  {scene}", fontsize=7, color="black" if same else _WRONG, va="bottom")
    picture = pictures.get(hit.id)
    if picture is None:
        axes.text(
            0.5,
            top + 0.5,
            f"{_shown(hit.id)}\n(picture not found)",
            ha="center",
            va="center",
            fontsize=5.5,
            color="0.4",
        )
    else:
        axes.imshow(picture.convert("RGB"), extent=(0, 1, top + 1, top), aspect="auto", interpolation="lanczos")
    is_query = hit is example.query
    axes.plot(
        [0, 1, 1, 0, 0], [top, top, top + 1, top + 1, top], color=_OURS if is_query else "0.7", linewidth=0.8 + is_query
    )
    common = example.common(hit)
    for line, label in enumerate(example.labels(hit)):
        is_common = label in common and not is_query
        axes.text(
            0,
            top + 1 + (line + 0.35) * _LINE / _SIDE,
            _shown(label),
            fontsize=6.2,
            va="top",
            color=_COMMON if is_common else "black" if is_query else "0.45",
            fontweight="bold" if is_common else "normal",
        )
