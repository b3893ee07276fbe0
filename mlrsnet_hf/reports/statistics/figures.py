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
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE
from mlrsnet_hf.taxonomy import GROUPS, LABELS, SCENES, Label

# Distinct for color-blind readers too (Okabe and Ito 2008).
_GROUP_COLORS = ("#009E73", "#56B4E9", "#E69F00")
_BAR = "#4C78A8"
_CHANNEL_COLORS = ("#D62728", "#2CA02C", "#1F77B4")
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


def scene_figure(statistics: LabelStatistics) -> Figure:
    """Fig. 1 of the paper: images of each scene, by group, beside the published numbers."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots()
    start, ticks, names = 0.0, [], []
    for group, color in zip(GROUPS, _GROUP_COLORS, strict=True):
        scenes = [scene for scene in SCENES if scene.group == group]
        places = start + np.arange(len(scenes))
        axes.bar(places, statistics.images_per_scene[[s.id for s in scenes]], 0.8, color=color, label=group.name)
        axes.scatter(places, [scene.images for scene in scenes], **_PUBLISHED)
        ticks += places.tolist()
        names += [scene.name.replace("_", " ") for scene in scenes]
        start = places[-1] + 2
    axes.scatter([], [], label="published", **_PUBLISHED)
    axes.set_xticks(ticks, names, rotation=90)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-1, start - 1)
    axes.yaxis.set_major_formatter(_thousands)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_ylabel("images")
    published, *groups = axes.get_legend_handles_labels()[0]
    figure.legend(handles=[*groups, published], loc="outside upper center", ncols=4)
    return figure


def label_figure(statistics: LabelStatistics) -> Figure:
    """Table 1 of the paper: images of each label, most published first, beside the published numbers."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    order = sorted(LABELS, key=lambda label: -label.images)
    left, right = figure.subplots(1, 2)
    _label_bars(left, order[: len(order) // 2], statistics)
    _label_bars(right, order[len(order) // 2 :], statistics)
    left.set_xlabel("images")
    right.set_xlabel("images (enlarged scale)")
    left.legend(loc="lower right")
    return figure


def _label_bars(axes: Axes, labels: Sequence[Label], statistics: LabelStatistics) -> None:
    found = [int(statistics.images_per_label[label.id]) for label in labels]
    widest = max(*found, *(label.images for label in labels))
    places = range(len(labels))
    axes.barh(places, found, 0.72, color=_BAR)
    axes.scatter([label.images for label in labels], places, label="published", **_PUBLISHED)
    for place, images, label in zip(places, found, labels, strict=True):
        # Beside the bar, unless the published number's mark is there.
        end = images if label.images - images > 0.15 * widest else max(images, label.images)
        text = axes.text(end + 0.025 * widest, place, f"{images:,}", va="center", fontsize=6.5, color="0.25")
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.4})
    axes.set_yticks(places, [label.name for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * widest)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
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
    """Draw the share of the images with one label that carry another; white where no image carries both."""
    together = statistics.cooccurrence.astype(float)
    images = statistics.images_per_label.astype(float)[:, None]
    share = np.divide(together, images, out=np.zeros_like(together), where=images > 0)
    figure = Figure(figsize=(9.2, 8.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.where(np.eye(len(LABELS)), 0.85, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    shown = np.ma.masked_where((together == 0) | np.eye(len(LABELS), dtype=bool), share)
    image = axes.imshow(shown, cmap=_SHARES, vmin=0, vmax=1, interpolation="nearest")
    names = [label.name for label in LABELS]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.92", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("images with this label")
    axes.set_xlabel("share that also carries this label")
    axes.xaxis.set_label_position("top")
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, format=PercentFormatter(1), pad=0.015)
    bar.ax.spines["outline"].set_visible(False)
    return figure


def pixel_figure(statistics: PixelStatistics) -> Figure:
    """The distribution of the pixel values of each channel, with mean and standard deviation."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    share = statistics.histogram / np.maximum(statistics.histogram.sum(1, keepdims=True), 1)
    moments = zip(CHANNELS, _CHANNEL_COLORS, share, statistics.mean, statistics.std, strict=True)
    for name, color, values, mean, std in moments:
        axes.plot(values, color=color, linewidth=1, label=f"{name}: {mean:.1f} ± {std:.1f}")
        axes.axvline(mean, color=color, linewidth=0.8, linestyle="--")
    axes.set_xlim(0, 255)
    axes.set_ylim(0, float(share.max()) * 1.4 or 1)
    axes.set_xticks([0, 64, 128, 192, 255])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_xlabel("pixel value")
    axes.set_ylabel("share of pixels")
    axes.legend(title="mean (dashed) ± standard deviation", loc="upper right")
    return figure
