"""The course of a run by epoch: history.json for programs, history.csv for tables, curves.png for people.

No file holds a time of the clock, so a run that was stopped and resumed leaves the same bytes as one that was not.
Numbers are written with the digits that give the same float64 back.
"""

import csv
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.evaluation.scores import Metrics, is_better, metric_text
from mlrsnet_hf.files import nulls_for_nan, whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

JSON_FILE = "history.json"
CSV_FILE = "history.csv"
CURVES_FILE = "curves.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the history."""

    epoch: Count
    """Number of the epoch, from 1."""
    step: CountOrZero
    """Optimizer steps taken since the run began."""
    loss: float
    """Mean of the training loss over the epoch."""
    learning_rate: float
    """`TrainingConfig.learning_rate` times the schedule's factor, at the epoch's last step."""
    validation: Metrics
    validation_loss: float | None = None
    """The training's loss over the validation split, of the model that is measured there, in evaluation mode, without
    augmentation. None where it is not defined, and in histories of runs that did not measure it."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; None stands for a metric that is not defined."""
        return asdict(self) | {"validation": nulls_for_nan(self.validation)}


def kept_epoch(history: Sequence[Epoch], keep: str, metric: str) -> Epoch:
    """Return the epoch whose model a run keeps: the last, or the first of those with the best validation metric.

    A metric that is defined in no epoch chooses none, and the last, which has learned most, is kept.

    Args:
        history: One epoch or more.
        keep: `best` or `last`.
        metric: Name of the metric that chooses.
    """
    defined = [epoch for epoch in history if not math.isnan(epoch.validation[metric])]
    if keep == "last" or not defined:
        return history[-1]
    best = defined[0]
    for epoch in defined[1:]:
        if is_better(metric, epoch.validation[metric], best.validation[metric]):
            best = epoch
    return best


def write_history(epochs: Sequence[Epoch], folder: Path) -> None:
    """Write both files, each whole, in place of those of the epoch before.

    Args:
        epochs: One or more, all with the same metrics.
        folder: The run folder.

    Raises:
        ConfigurationError: They cannot be written.
    """
    with whole_file(folder / JSON_FILE) as partial:
        partial.write_text(json.dumps([epoch.to_dict() for epoch in epochs], indent=2) + "\n", encoding="utf-8")
    with whole_file(folder / CSV_FILE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = [_row(epoch) for epoch in epochs]
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a history.json.

    Raises:
        ConfigurationError: The file cannot be read, or is another.
    """
    remedy = f"Give the {JSON_FILE} of a run folder."
    history: tuple[Epoch, ...] = read_json(path, tuple[Epoch, ...], remedy)
    if fault := history_fault(history):
        raise ConfigurationError(f"{path}: {fault}", remedy)
    return history


def history_fault(history: Sequence[Epoch]) -> str:
    """Say why epochs are not those of one run, counted from 1 and measured alike; "" if they are."""
    if [epoch.epoch for epoch in history] != list(range(1, len(history) + 1)):
        return "the epochs are not numbered 1, 2, 3, ..."
    if any(later.step <= epoch.step for epoch, later in itertools.pairwise(history)):
        return "an epoch ends at no later step than the one before"
    if any(epoch.validation.keys() != history[0].validation.keys() for epoch in history):
        return "the epochs have not the same metrics"
    return ""


def _row(epoch: Epoch) -> dict[str, Any]:
    """Return a line of the table by column; an empty cell is a metric that is not defined."""
    values = epoch.to_dict()
    metrics = values.pop("validation")
    return values | {f"validation/{name}": value for name, value in metrics.items()}


DOTS_PER_INCH = 160

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a name may hold $
}
# Distinct for color-blind readers too (Okabe and Ito 2008).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_curves(history: Sequence[Epoch], path: Path, scored_epoch: int | None = None) -> None:
    """Write `curves_figure` as a PNG file, whole or not at all; one that is there is replaced.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    figure = curves_figure(history, scored_epoch)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def curves_figure(history: Sequence[Epoch], scored_epoch: int | None = None) -> "Figure":
    """Draw the losses, learning rate and validation metrics by epoch.

    Matplotlib is imported here, not with the module, and needs no window system.

    Args:
        history: One epoch or more.
        scored_epoch: The epoch whose model is kept, marked by a line; the legend gives the metrics' values there, or
            at the last epoch.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 4), layout="constrained")
        axes = figure.subplot_mosaic([["loss", "metrics"], ["rate", "metrics"]], width_ratios=[1, 1.5])
        _draw_losses(axes["loss"], history)
        _draw_from_zero(axes["rate"], history, {"Learning rate": [epoch.learning_rate for epoch in history]})
        axes["rate"].set_title("Learning rate")
        _draw_metrics(axes["metrics"], history, scored_epoch)
        for name in ("rate", "metrics"):
            axes[name].set_xlabel("epoch")
    return figure


def _draw_losses(axes: "Axes", history: Sequence[Epoch]) -> None:
    """Draw that of training, and that of validation in the epochs that have measured it."""
    losses = {"training": [epoch.loss for epoch in history]}
    if any(epoch.validation_loss is not None for epoch in history):
        losses["validation"] = [math.nan if (own := epoch.validation_loss) is None else own for epoch in history]
    _draw_from_zero(axes, history, losses)
    axes.set_title("Loss" if len(losses) > 1 else "Training loss")
    if len(losses) > 1:
        axes.legend()


def _draw_from_zero(axes: "Axes", history: Sequence[Epoch], lines: Mapping[str, Sequence[float]]) -> None:
    numbers = [epoch.epoch for epoch in history]
    for (label, values), color in zip(lines.items(), _COLORS, strict=False):
        axes.plot(numbers, values, _marker(history), color=color, label=label)
    axes.update_datalim([(numbers[0], 0)])  # the margin above is then a share of the whole height
    axes.autoscale_view()
    axes.set_ylim(bottom=0)
    _set_axes(axes, history)


def _draw_metrics(axes: "Axes", history: Sequence[Epoch], scored_epoch: int | None) -> None:
    numbers = [epoch.epoch for epoch in history]
    shown = next((epoch for epoch in history if epoch.epoch == scored_epoch), history[-1])
    # The legend in the order of the curves at that epoch, which need not be sought by color then.
    ranked = sorted(shown.validation, key=lambda name: -np.nan_to_num(shown.validation[name]))
    colors = dict(zip(shown.validation, itertools.cycle(_COLORS), strict=False))
    for name in ranked:
        values = [epoch.validation[name] for epoch in history]
        label = metric_text(name, shown.validation[name])
        axes.plot(numbers, values, _marker(history), color=colors[name], label=label)
    if scored_epoch is not None:
        axes.axvline(scored_epoch, color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_title("Validation" if scored_epoch is None else f"Validation, model of epoch {scored_epoch}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    _set_axes(axes, history)


def _marker(history: Sequence[Epoch]) -> str:
    """Return a format with a dot for each epoch, while these can be told apart."""
    return "o-" if len(history) <= 40 else "-"


def _set_axes(axes: "Axes", history: Sequence[Epoch]) -> None:
    """Show whole epochs only, and the values of an axis in as many digits each."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    axes.set_xlim(history[0].epoch - 0.5, history[-1].epoch + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
