"""Relative diversity as a figure: a dot for each set in each category, as Fig. 6 of the paper has lines."""

from pathlib import Path

from mlrsnet_hf.curation.diversity.relative import RelativeDiversity
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.reports.figure_style import DOTS_PER_INCH, STYLE

_COLORS = ("#c1272d", "#0072b2", "#4d4d4d", "#e69f00", "#009e73", "#8a3ffc")
_MARKERS = "osD^vP"


def plot_diversity(result: RelativeDiversity, path: Path) -> None:
    """Write the figure as PNG: categories below each other, the most diverse of the first set on top.

    Needs matplotlib, which the extra `curate` brings.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    first = result.sets[0]
    ordered = sorted(result.categories, key=lambda name: (-result.categories[name][first].value, name))
    rows = [*ordered, result.average_name]
    values = {**result.categories, result.average_name: result.average}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.6 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(result.chance, color="0.6", linewidth=0.8, linestyle=":")
        axes.text(result.chance, -0.75, "equally diverse", ha="center", va="bottom", color="0.4", fontsize=7)
        axes.axhline(len(ordered) - 0.5, color="0.8", linewidth=0.6)
        shift = 0.5 / max(len(result.sets), 1)
        for number, name in enumerate(result.sets):
            of_set = [values[row][name] for row in rows]
            places = [row + (number - (len(result.sets) - 1) / 2) * shift for row in range(len(rows))]
            color = _COLORS[number % len(_COLORS)]
            axes.hlines(places, [one.low for one in of_set], [one.high for one in of_set], color=color, linewidth=0.9)
            axes.plot(
                [one.value for one in of_set],
                places,
                _MARKERS[number % len(_MARKERS)],
                color=color,
                markersize=3.2,
                clip_on=False,  # 0 and 1 are whole dots too
                label=shortened(name, 40),
            )
        axes.set_yticks(range(len(rows)), [shortened(row.replace("_", " "), 40) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.7)
        axes.set_xlim(0, 1)
        axes.set_xlabel("relative diversity (bars: 95% over observers and trials)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        with whole_file(path) as partial:
            figure.savefig(partial, format="png", dpi=DOTS_PER_INCH)
