"""Statistics of a data set as figures.

Matplotlib is imported here and nowhere above; without a window system it needs none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from mlrsnet_hf.dataset.statistics import CHANNELS, LabelStatistics, PixelStatistics, label_counts
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE
from mlrsnet_hf.taxonomy import GROUPS, LABELS, SCENES, Label

# Distinct for color-blind readers too (Okabe and Ito 2008).
_GROUP_COLORS = ("#009E73", "#56B4E9", "#E69F00")
_BAR = "#4C78A8"
_CHANNEL_LOOKS = (("#D55E00", "-"), ("#009E73", "--"), ("#0072B2", "-."))
"""Color and line of red, green and blue."""
_PUBLISHED: dict[str, Any] = {"color": "black", "marker": "D", "s": 7, "linewidths": 0, "zorder": 3}
_SHARES = LinearSegmentedColormap.from_list("shares", matplotlib.colormaps["YlGnBu"](np.linspace(0.12, 1, 256)))
_thousands = FuncFormatter(lambda value, _: f"{value:,.0f}")


def write_figures(folder: Path, labels: LabelStatistics, pixels: PixelStatistics | None) -> None:
    """Draw every figure as `<name>.png`; without pixel statistics that one is left out."""
    with matplotlib.rc_context(STYLE):
        figures = {
            "images_per_scene": scene_figure(labels),
            "images_per_label": label_figure(labels),
            "labels_per_image": label_count_figure(labels),
            "label_cooccurrence": cooccurrence_figure(labels),
        }
        if pixels:
            figures["pixels"] = pixel_figure(pixels)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def _shows_published(statistics: LabelStatistics) -> bool:
    """Tell whether the published numbers say something of these images; of a part they would only make it small."""
    return statistics.images >= 0.9 * TOTAL_IMAGES


def scene_figure(statistics: LabelStatistics) -> Figure:
    """Fig. 1 of the paper: images of each scene that occurs, by group, beside the published numbers."""
    shows_published = _shows_published(statistics)
    start, ticks, names = 0.0, [], []
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for group, color in zip(GROUPS, _GROUP_COLORS, strict=True):
        scenes = [scene for scene in SCENES if scene.group == group and statistics.images_per_scene[scene.id]]
        if not scenes:
            continue
        places = start + np.arange(len(scenes))
        axes.bar(places, statistics.images_per_scene[[s.id for s in scenes]], 0.8, color=color, label=group.name)
        if shows_published:
            axes.scatter(places, [scene.images for scene in scenes], **_PUBLISHED)
        ticks += places.tolist()
        names += [scene.name.replace("_", " ") for scene in scenes]
        start = places[-1] + 2
    if shows_published:
        axes.scatter([], [], label="published", **_PUBLISHED)
    figure.set_size_inches(max(4.5, 1 + 0.18 * start), 4.2)
    axes.set_xticks(ticks, names, rotation=90)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-1, max(1, start - 1))
    axes.yaxis.set_major_formatter(_thousands)
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_ylabel("images")
    handles = axes.get_legend_handles_labels()[0]
    groups = handles[1:] + handles[:1] if shows_published else handles  # the diamond last
    figure.legend(handles=groups, loc="outside upper center", ncols=2 if figure.get_figwidth() < 7 else 4)
    _tell_absent(figure, int((statistics.images_per_scene == 0).sum()), len(SCENES), "scenes")
    return figure


def _tell_absent(figure: Figure, absent: int, number: int, what: str) -> None:
    """Say below a figure how many of the 46 scenes or 60 labels are not in it."""
    if absent:
        figure.supxlabel(f"{absent} of {number} {what} do not occur, and are left out", fontsize=6.5, color="0.35")


def label_figure(statistics: LabelStatistics) -> Figure:
    """Table 1 of the paper: images of each label that occurs, most published first, beside the published numbers."""
    order = [label for label in LABELS if statistics.images_per_label[label.id]]
    shows_published = _shows_published(statistics)
    counts = statistics.images_per_label
    order.sort(key=lambda label: -label.images if shows_published else -counts[label.id])
    figure = Figure(figsize=(9, 1.1 + 0.15 * -(-len(order) // 2)), layout="constrained")
    left, right = figure.subplots(1, 2)
    half = -(-len(order) // 2)
    _label_bars(left, order[:half], statistics, shows_published)
    _label_bars(right, order[half:], statistics, shows_published)
    left.set_xlabel("images")
    right.set_xlabel("images (enlarged scale)")
    if shows_published:
        figure.legend(handles=left.get_legend_handles_labels()[0], loc="outside upper center")
    _tell_absent(figure, len(LABELS) - len(order), len(LABELS), "labels")
    return figure


def _label_bars(axes: Axes, labels: Sequence[Label], statistics: LabelStatistics, shows_published: bool) -> None:
    """Draw a bar for each label, and its count at the right, away from the published number's mark."""
    if not labels:
        axes.set_axis_off()
        return
    found = [int(statistics.images_per_label[label.id]) for label in labels]
    published = [label.images for label in labels] if shows_published else found
    widest = max(*found, *published)
    places = range(len(labels))
    axes.barh(places, found, 0.72, color=_BAR)
    if shows_published:
        axes.scatter(published, places, label="published", **_PUBLISHED)
    for place, images, told in zip(places, found, published, strict=True):
        text = f"{images:,}" if images == told else f"{images:,} (published {told:,})"
        axes.annotate(
            text,
            (1, place),
            (3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color="0.25",
            annotation_clip=False,
        )
    axes.set_yticks(places, [label.name for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1.04 * widest)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(_thousands)
    axes.grid(axis="x", color="0.9", linewidth=0.6)


def label_count_figure(statistics: LabelStatistics) -> Figure:
    """How many images carry how many labels, with the mean."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    counts = label_counts(statistics)
    bars = axes.bar(range(len(counts)), counts, 0.8, color=_BAR)
    axes.bar_label(bars, [f"{count:,}" for count in counts], fontsize=6, padding=1.5, color="0.25")
    mean = statistics.labels_per_image
    if statistics.images:
        axes.annotate(
            f"mean {mean:.2f}",
            (mean, 1),
            (mean, 1.06),
            xycoords=("data", "axes fraction"),
            textcoords=("data", "axes fraction"),
            ha="center",
            arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )
    axes.set_ylim(0, max(counts) * 1.12 or 1)
    axes.set_xticks(range(len(counts)))
    axes.yaxis.set_major_formatter(_thousands)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_xlabel("labels per image")
    axes.set_ylabel("images")
    return figure


def cooccurrence_figure(statistics: LabelStatistics) -> Figure:
    """Draw the share of the images with one label that carry another; a dot where no image carries both."""
    present = np.flatnonzero(statistics.images_per_label)
    together = statistics.cooccurrence[np.ix_(present, present)].astype(float)
    images = statistics.images_per_label[present].astype(float)[:, None]
    share = together / images
    count = len(present)
    side = max(3.2, 1.6 + 0.117 * count)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.where(np.eye(count), 0.85, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    shown = np.ma.masked_where((together == 0) | np.eye(count, dtype=bool), share)
    image = axes.imshow(shown, cmap=_SHARES, vmin=0, vmax=1, interpolation="nearest")
    rows, columns = np.nonzero(together == 0)
    axes.scatter(columns, rows, s=0.6, color="0.6", linewidths=0)
    names = [LABELS[label].name for label in present]
    axes.set_xticks(range(count), names, rotation=90, fontsize=6.5)
    axes.set_yticks(range(count), names, fontsize=6.5)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.92", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("images with this label")
    axes.set_xlabel("share that also carries this label; a dot where none does")
    axes.xaxis.set_label_position("top")
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, format=PercentFormatter(1), pad=0.015)
    bar.ax.spines["outline"].set_visible(False)
    _tell_absent(figure, len(LABELS) - count, len(LABELS), "labels")
    return figure


def pixel_figure(statistics: PixelStatistics) -> Figure:
    """The distribution of the pixel values of each channel, with mean and standard deviation."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    share = statistics.histogram / np.maximum(statistics.histogram.sum(1, keepdims=True), 1)
    moments = list(zip(CHANNELS, _CHANNEL_LOOKS, share, statistics.mean, statistics.std, strict=True))
    for name, (color, line), values, mean, std in moments:
        axes.plot(values, color=color, linestyle=line, linewidth=1.1, label=f"{name}: {mean:.1f} ± {std:.1f}")
    top = float(share.max()) * 1.4 or 1
    # Means may lie close together: the name of each stands at a height of its own.
    for level, (name, (color, line), _, mean, _) in enumerate(moments):
        height = top * (0.98 - 0.07 * level)
        axes.vlines(mean, 0, height, color=color, linewidth=0.8, linestyle=line)
        axes.text(mean - 2, height, f"mean {name}", color=color, fontsize=6.5, ha="right", va="top")
    axes.set_xlim(0, 255)
    axes.set_ylim(0, top)
    axes.set_xticks([0, 64, 128, 192, 255])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_xlabel("pixel value")
    axes.set_ylabel("share of pixels")
    axes.legend(title="mean ± standard deviation", loc="upper right")
    return figure
