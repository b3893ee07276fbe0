"""Figs. 7, 8, 10, 11 and 12 over networks and repetitions, heat maps, and score against speed.

Each figure is drawn once: as PNG and PDF for papers, and as SVG whose ink takes the color of the page that it is part
of. Matplotlib is imported here and nowhere above; without a window system it needs none.
"""

import io
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mlrsnet_hf.benchmark.report.classification import protocol_title, protocols_of, variants_of
from mlrsnet_hf.benchmark.report.heat import HeatMap
from mlrsnet_hf.benchmark.report.retrieval import Searched, share_title
from mlrsnet_hf.benchmark.report.speed import Speed
from mlrsnet_hf.benchmark.results import Group
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.metrics.means import over_repeats
from mlrsnet_hf.paper_tables import TABLE6_MAP, TABLE7_F1
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE

_INK, _SOFT, _LINE = "#010203", "#040506", "#070809"
"""Colors of text and axes, of small text, and of grids: nearly black, so that the page can tell them from data."""
_STYLE: Any = STYLE | {
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.edgecolor": _INK,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "savefig.transparent": True,
}
# Distinct for color-blind readers (Okabe and Ito 2008), and on light and dark pages; the ninth line is dashed.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
_LINES = ("-", "--", ":")
_MARKS = "osD^vP*X"
_LEVELS = np.linspace(0, 1, 101)
_PAPER: Any = {"color": _INK, "marker": "D", "s": 12, "linewidths": 0, "zorder": 4}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of the report."""

    name: str
    """Name of its files, and of its place on the page."""
    title: str
    description: str
    """What it shows, for those who do not see it."""
    figure: Figure
    least_width: int
    """Pixels below which its print cannot be read, so that it scrolls on a narrower screen."""

    def write(self, folder: Path) -> None:
        """Write `<name>.png` and `<name>.pdf`."""
        with matplotlib.rc_context(_STYLE):
            metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
            for form, about in metadata.items():
                path = folder / f"{self.name}.{form}"
                self.figure.savefig(
                    path, dpi=DOTS_PER_INCH, metadata=about, transparent=form == "pdf", facecolor="white"
                )

    def svg(self) -> str:
        """Return the figure as a part of a page: no prolog, names of its own, ink in the page's colors."""
        buffer = io.StringIO()
        with matplotlib.rc_context(_STYLE | {"svg.hashsalt": self.name, "svg.id": self.name}):
            self.figure.savefig(
                buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
            )
        text = buffer.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        text = re.sub(r'(?<=\bid=")|(?<=url\(#)|(?<=href="#)', f"{self.name}-", text)
        for ink, name in ((_INK, "--text"), (_SOFT, "--soft"), (_LINE, "--line")):
            text = text.replace(ink, f"var({name})")
        return text.replace("<svg ", '<svg role="img" aria-hidden="true" ', 1)


def classification_drawings(groups: Sequence[Group], suffix: str = "") -> list[Drawing]:
    """Return Figs. 7 and 8 of trainings on one set of images, those with something to show."""
    with matplotlib.rc_context(_STYLE):
        made = [
            _bars(groups, f"fig7{suffix}", "Fig. 7. ", "map", 100, TABLE6_MAP),
            _bars(groups, f"fig8{suffix}", "Fig. 8. ", "sample_f1", 1, TABLE7_F1),
        ]
        return [one for one in made if one is not None]


def _bars(
    groups: Sequence[Group], name: str, part: str, metric: str, scale: float, paper: Mapping[str, Mapping[int, float]]
) -> Drawing | None:
    """Draw the mean of a metric as bars, the deviation as error lines, the paper's value as a diamond."""
    variants, protocols = variants_of(groups), protocols_of(groups)
    rows = [
        (group.variant, protocols.index(protocol), [scale * value for value in group.values(metric)], group)
        for own in variants.values()
        for group in own
        for protocol in [group.protocol]
    ]
    if not any(values for _, _, values, _ in rows):
        return None
    height = 0.19 * len(protocols) + 0.12
    figure = Figure(figsize=(5.6, 0.95 + height * len(variants)), layout="constrained")
    axes = figure.subplots()
    step = 0.8 / len(protocols)
    places = {variant: place for place, variant in enumerate(variants)}
    printed = False
    for variant, number, values, group in rows:
        place = places[variant] - 0.4 + step * (number + 0.5)
        if values:
            middle, deviation = over_repeats(values)
            spread = None if math.isnan(deviation) else deviation
            axes.barh(
                place,
                middle,
                step * 0.9,
                color=_COLORS[number % len(_COLORS)],
                xerr=spread,
                error_kw={"ecolor": _INK, "elinewidth": 0.9, "capsize": 2},
            )
        else:
            axes.text(0, place, " " + on_one_line(group.gap, 60), va="center", fontsize=5.5, color=_SOFT)
        published = paper.get(group.network, {}).get(_percent(group.protocol))
        if published is not None:
            axes.scatter([published], [place], **_PAPER)
            printed = True
    axes.set_yticks(range(len(variants)), [on_one_line(variant, 40) for variant in variants])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(variants) - 0.45, -0.55)
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=_LINE, alpha=0.35, linewidth=0.6)
    title = metric_title(metric) + (" in percent" if scale == 100 else "")
    axes.set_xlabel(title)
    handles = [
        axes.barh(0, 0, 0, color=_COLORS[number % len(_COLORS)], label=protocol_title(protocol))
        for number, protocol in enumerate(protocols)
    ]
    marks = [axes.scatter([], [], label="paper", **_PAPER)] if printed else []
    figure.legend(
        handles=[*handles, *marks], loc="outside upper center", ncols=min(4, len(handles) + len(marks)), fontsize=7
    )
    return Drawing(
        name, f"{part}{title}: means, and deviations as lines", f"Bars of the mean {title} of each network", figure, 420
    )


def _percent(protocol: str) -> int:
    digits = protocol.removeprefix("ratio")
    return int(digits) if digits.isdecimal() else 0


def speed_drawing(speeds: Sequence[Speed]) -> Drawing:
    """Draw mAP against images per second and against the time of training: a color a network, a mark a protocol."""
    looks = _looks([one.group.variant for one in speeds])
    marks = dict(zip(protocols_of(one.group for one in speeds), itertools.cycle(_MARKS), strict=False))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(7.4, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for one in speeds:
            look: Any = {
                "color": looks[one.group.variant]["color"],
                "marker": marks[one.group.protocol],
                "s": 26,
                "linewidths": 0,
                "zorder": 3,
            }
            left.scatter([one.images_per_second], [one.score], **look)
            right.scatter([one.seconds / 60], [one.score], **look)
        for axes, title in ((left, "images per second of training"), (right, "minutes of training")):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(title)
            axes.grid(color=_LINE, alpha=0.35, linewidth=0.6)
        left.set_ylabel(metric_title("map"))
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=5, color=look["color"], label=on_one_line(name, 30))
            for name, look in looks.items()
        ]
        handles += [
            Line2D([], [], linestyle="", marker=mark, markersize=5, color=_SOFT, label=protocol_title(name))
            for name, mark in marks.items()
            if len(marks) > 1
        ]
        figure.legend(handles=handles, loc="outside right center", fontsize=7)
    about = "mAP of each network by images per second and by minutes of training"
    return Drawing("speed", "Score against speed", about, figure, 640)


def retrieval_drawings(found: Sequence[Searched], suffix: str = "") -> list[Drawing]:
    """Return Figs. 10 to 12, of retrievals on one set of images that have results."""
    found = [one for one in found if one.found]
    if not found:
        return []
    protocols = list(dict.fromkeys(one.protocol for one in found))
    shown = "retrieval10" if "retrieval10" in protocols else protocols[0]
    own = [one for one in found if one.protocol == shown]
    with matplotlib.rc_context(_STYLE):
        best = min(own, key=lambda one: one.model.mean("anmrr")[0])
        made = [_precision_recall(found, protocols), _scene_ranks(own), _scene_curves(best)]
    return [replace(one, name=f"{one.name}{suffix}") for one in made]


def _precision_recall(found: Sequence[Searched], protocols: Sequence[str]) -> Drawing:
    """Fig. 10: a panel for each share of queries, a line for each network, bands for the deviations."""
    figure = Figure(figsize=(0.7 + 2.9 * len(protocols), 3.6), layout="constrained")
    panels = figure.subplots(1, len(protocols), squeeze=False, sharey=True)[0]
    looks = _looks([one.group.variant for one in found])
    for axes, protocol in zip(panels, protocols, strict=True):
        _recall_axes(axes)
        for one in (one for one in found if one.protocol == protocol):
            curve, color = one.model.curve(), looks[one.group.variant]["color"]
            axes.plot(_LEVELS, curve, linewidth=1.3, **looks[one.group.variant])
            if len(one.model.repeats) > 1:
                spread = np.std([repeat.curve for repeat in one.model.repeats], axis=0, ddof=1)
                axes.fill_between(_LEVELS, curve - spread, curve + spread, color=color, alpha=0.2, linewidth=0)
        axes.set_title(share_title(protocol))
        axes.set_xlabel("recall")
    panels[0].set_ylabel("interpolated precision")
    _legend(figure, looks)
    return Drawing(
        "fig10",
        "Fig. 10. Precision and recall",
        "Interpolated precision by recall of each network, for each share of queries",
        figure,
        330 * len(protocols),
    )


def _scene_ranks(found: Sequence[Searched]) -> Drawing:
    """Fig. 11: ANMRR of each scene by each network, the scene first that is found best."""
    scenes = list(dict.fromkeys(scene for one in found for scene in one.model.scenes()))
    values = np.array(
        [
            [one.model.of_scene(scene, "anmrr")[0] if scene in one.model.scenes() else np.nan for scene in scenes]
            for one in found
        ]
    )
    order = np.argsort(np.nanmean(values, axis=0), kind="stable")
    figure = Figure(figsize=(6.4, 1.2 + 0.19 * len(scenes)), layout="constrained")
    axes = figure.subplots()
    looks = _looks([one.group.variant for one in found])
    places = np.arange(len(scenes))
    for one, row, mark in zip(found, values[:, order], itertools.cycle(_MARKS), strict=False):
        axes.scatter(
            row,
            places,
            color=looks[one.group.variant]["color"],
            marker=mark,
            s=18,
            linewidths=0,
            label=on_one_line(one.group.variant, 30),
            zorder=3,
        )
    axes.set_yticks(places, [on_one_line(scenes[place].replace("_", " "), 40) for place in order])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(scenes) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.grid(color=_LINE, alpha=0.35, linewidth=0.6)
    share = share_title(found[0].protocol)
    axes.set_xlabel(f"ANMRR, lower is better ({share})")
    figure.legend(loc="outside upper center", ncols=min(4, len(found)), fontsize=7)
    return Drawing("fig11", "Fig. 11. ANMRR of each scene", "ANMRR of each scene by each network", figure, 480)


def _scene_curves(best: Searched, columns: int = 6) -> Drawing:
    """Fig. 12: a small curve for each scene of the best network, a band for the deviation, all queries behind it."""
    model = best.model
    scenes = model.scenes()
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(9, 0.7 + 1.42 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, scene in zip(grid, scenes, strict=False):
        _recall_axes(axes)
        axes.plot(_LEVELS, model.curve(), color=_SOFT, alpha=0.45, linewidth=1)
        curves = [repeat.scenes[scene].curve for repeat in model.repeats if scene in repeat.scenes]
        middle = np.mean(curves, axis=0)
        axes.plot(_LEVELS, middle, color=_COLORS[0], linewidth=1.3)
        if len(curves) > 1:
            spread = np.std(curves, axis=0, ddof=1)
            axes.fill_between(_LEVELS, middle - spread, middle + spread, color=_COLORS[0], alpha=0.25, linewidth=0)
        axes.set_title(on_one_line(scene.replace("_", " "), 28), fontsize=7.5, pad=3)
        axes.tick_params(labelsize=6)
    for axes in grid[len(scenes) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(scenes) - columns) : len(scenes)]:
        axes.tick_params(labelbottom=True)  # also above an empty place of the last row
    figure.supxlabel("recall", fontsize=8)
    figure.supylabel("interpolated precision", fontsize=8)
    title = f"Fig. 12. Precision and recall of each scene, {best.group.variant}, {share_title(best.protocol)}"
    return Drawing(
        "fig12", title, "A small precision-recall curve for each scene, that of all queries behind it", figure, 720
    )


def heat_drawing(heat: HeatMap) -> Drawing:
    """Draw a heat map, for papers; the page has it as a table."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.6 + 0.42 * len(heat.columns), 1.6 + 0.135 * len(heat.rows)), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(np.ma.masked_invalid(heat.values), cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
        axes.set_yticks(range(len(heat.rows)), [on_one_line(name, 40) for name in heat.rows], fontsize=6)
        axes.set_xticks(
            range(len(heat.columns)), [on_one_line(name, 40) for name in heat.columns], rotation=90, fontsize=6
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, pad=0.02)
        bar.ax.spines["outline"].set_visible(False)
        return Drawing(heat.name, heat.title, heat.title, figure, 480)


def _looks(variants: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return color and line of each network, the same in every figure of the same networks."""
    return {
        variant: {"color": _COLORS[place % len(_COLORS)], "linestyle": _LINES[place // len(_COLORS) % len(_LINES)]}
        for place, variant in enumerate(dict.fromkeys(variants))
    }


def _legend(figure: Figure, looks: Mapping[str, Mapping[str, Any]]) -> None:
    lines = [Line2D([], [], label=on_one_line(name, 30), **look) for name, look in looks.items()]
    figure.legend(handles=lines, loc="outside upper center", ncols=min(4, len(lines)), fontsize=7)


def _recall_axes(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0.0", "0.5", "1.0"])
    axes.set_yticks([0, 0.5, 1], ["0.0", "0.5", "1.0"])
    axes.grid(color=_LINE, alpha=0.35, linewidth=0.6)
