"""Figs. 13 and 14 of the paper: queries and their first results, the labels in common marked."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlrsnet_hf.reports.figure_style import COMMON, OURS, WRONG
from mlrsnet_hf.reports.retrieval_pictures import Pictures
from mlrsnet_hf.retrieval.example_queries import SHOWN, ExampleQuery
from mlrsnet_hf.retrieval.hits import Hit

_COLUMNS = 5
_SIDE, _LINE, _HEAD = 1.3, 0.115, 0.2
"""Inches of a picture, of a line of text, and of the line above a picture."""


def example_figure(examples: Sequence[ExampleQuery], pictures: Pictures) -> Figure:
    """Draw each query at the left, its results in rows beside it, labels below; those in common in green and bold."""
    rows = -(-SHOWN // _COLUMNS)
    heights = [height for example in examples for height in [_cell_height(example)] * rows]
    figure = Figure(figsize=((_SIDE + 0.15) * (_COLUMNS + 1) + 0.2, sum(heights) + 0.1))
    grid = figure.add_gridspec(
        len(heights),
        _COLUMNS + 1,
        height_ratios=heights,
        left=0.01,
        right=0.995,
        top=1 - 0.05 / (sum(heights) + 0.1),
        bottom=0.0,
        wspace=0.08,
        hspace=0.0,
    )
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


def _draw(axes: Axes, hit: Hit, title: str, example: ExampleQuery, pictures: Pictures, height: float) -> None:
    """Draw a picture at the top of its cell, and text at measured places below."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(height / _SIDE, 0)
    top = _HEAD / _SIDE
    same = hit.scene == example.query.scene
    scene = (hit.scene or "").replace("_", " ")
    axes.text(0, top - 0.04, f"{title}  {scene}", fontsize=7, color="black" if same else WRONG, va="bottom")
    picture = pictures.get(hit.id)
    if picture is None:
        axes.text(0.5, top + 0.5, f"{hit.id}\n(picture not found)", ha="center", va="center", fontsize=5.5, color="0.4")
    else:
        axes.imshow(picture.convert("RGB"), extent=(0, 1, top + 1, top), aspect="auto", interpolation="lanczos")
    is_query = hit is example.query
    axes.plot(
        [0, 1, 1, 0, 0], [top, top, top + 1, top + 1, top], color=OURS if is_query else "0.7", linewidth=0.8 + is_query
    )
    common = example.common(hit)
    for line, label in enumerate(sorted(hit.labels or (), key=lambda name: (name not in common, name))):
        is_common = label in common and not is_query
        axes.text(
            0,
            top + 1 + (line + 0.35) * _LINE / _SIDE,
            label,
            fontsize=6.2,
            va="top",
            color=COMMON if is_common else "black" if is_query else "0.45",
            fontweight="bold" if is_common else "normal",
        )
