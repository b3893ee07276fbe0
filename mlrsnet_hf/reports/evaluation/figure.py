"""Fig. 9 of the paper as a file: images with the labels that a model gives them, for cards and papers.

Matplotlib is imported here and in the other modules of figures alone; without a window system it needs none.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import datasets
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.evaluation.decisions import Decisions
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_rgb
from mlrsnet_hf.reports.evaluation.pictures import ExampleImage, example_images, typical_images
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE

_COLUMNS = 5
_SIDE, _LINE, _GAP = 1.35, 0.125, 0.12
"""Inches of a picture, of a line of text, and below a cell."""
_LETTERS = 26
"""In a line of text."""
_LOOKS = {"right": ("+", "black"), "wrong": ("×", "#B3261E"), "missed": ("−", "#00694D")}  # noqa: RUF001
"""Sign and color by kind: the paper's colors, and a sign that reads without them."""


def write_example_figure(path: Path, ids: Sequence[str], rows: datasets.Dataset, decisions: Decisions) -> None:
    """Draw Fig. 9 as a PNG file, whole or not at all: images all right, images with missed and with wrong labels.

    Args:
        path: The file.
        ids: (N,) ids of the images, in the order of the decisions.
        rows: The images, in the same order, in the column `image`.
        decisions: A model's.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    examples = example_images(typical_images(decisions, _COLUMNS)[0], ids, decisions, None)
    files = ImageFiles(rows)
    with matplotlib.rc_context(STYLE):
        figure = example_figure([(example, _picture(files, example)) for example in examples])
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def _picture(files: ImageFiles, example: ExampleImage) -> Image.Image | None:
    try:
        return decode_rgb(files[example.row], example.id)
    except MLRSNetError:  # moved or removed since
        return None


def example_figure(examples: Sequence[tuple[ExampleImage, Image.Image | None]]) -> Figure:
    """Draw images in rows of five with their labels below: right ones black, wrong ones red, missed ones green."""
    lines = [_lines(example) for example, _ in examples]
    by_row = [lines[start : start + _COLUMNS] for start in range(0, len(lines), _COLUMNS)]
    heights = [_SIDE + _LINE * max(map(len, row)) + _GAP for row in by_row] or [_LINE]
    foot = 2 * _LINE
    figure = Figure(figsize=((_SIDE + 0.14) * _COLUMNS + 0.1, sum(heights) + foot))
    height = figure.get_figheight()
    margins = {"left": 0.01, "right": 0.99, "top": 1 - 0.05 / height, "bottom": foot / height}
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights, wspace=0.1, hspace=0, **margins)
    for place, ((_, picture), text) in enumerate(zip(examples, lines, strict=True)):
        row = place // _COLUMNS
        _draw(figure.add_subplot(grid[row, place % _COLUMNS]), picture, text, heights[row])
    left = 0.01
    for kind, words in (("right", "label of both"), ("wrong", "wrong: the model's alone"), ("missed", "missed")):
        sign, color = _LOOKS[kind]
        figure.text(left, 0.04 / height, f"{sign} {words}", color=color, fontsize=7, va="bottom")
        left += 0.035 + 0.0105 * len(words)
    return figure


def _lines(example: ExampleImage) -> list[tuple[str, str]]:
    """Return text and color of each line below an image."""
    found = []
    for one in example.labels:
        sign, color = _LOOKS[one.kind]
        name = on_one_line(one.name.replace("_", " "), 2 * _LETTERS)
        parts = textwrap.wrap(name, _LETTERS) or [name]
        found += [(f"{sign} {parts[0]}", color), *((f"    {part}", color) for part in parts[1:])]
    return found or [("no label, none said", "0.4")]


def _draw(axes: Axes, picture: Image.Image | None, lines: Sequence[tuple[str, str]], height: float) -> None:
    """Draw a picture at the top of its cell, and text at measured places below."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(height / _SIDE, 0)
    if picture is None:
        axes.text(0.5, 0.5, "picture not found", ha="center", va="center", fontsize=6, color="0.4")
    else:
        axes.imshow(picture, extent=(0, 1, 1, 0), aspect="auto", interpolation="lanczos")
    axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="0.7", linewidth=0.8)
    for number, (text, color) in enumerate(lines):
        axes.text(0, 1 + (number + 0.3) * _LINE / _SIDE, text, fontsize=6.8, va="top", color=color)
