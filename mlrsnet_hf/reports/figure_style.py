"""How figures look."""

from typing import Any

DOTS_PER_INCH = 200

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "0.4",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}
"""For `matplotlib.rc_context`."""

# Distinct for color-blind readers too (Okabe and Ito 2008).
OURS = "#0072B2"
COMPARED = "#D55E00"
COMMON = "#00694D"
"""Labels in common with the query."""
WRONG = "#B3261E"
"""Another scene than the query's."""
