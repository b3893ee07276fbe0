"""The numbers of small charts as coordinates of SVG, so that a page's colors draw them on light and dark."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlrsnet_hf.evaluation.decisions import Calibration, PrecisionRecall

SIDE = 100.0
"""Units of a chart's square."""
BARS = 22.0
"""Units of the height of the bars below it."""
_POINTS = 80
"""Points of a curve."""


def at(across: float, up: float) -> str:
    """Return the place of a point whose coordinates are from 0 to 1."""
    return f"{SIDE * across:.1f},{SIDE * (1 - up):.1f}"


def curve(found: PrecisionRecall) -> str:
    """Return the points of a precision-recall curve, those of a longer one thinned evenly along the recall."""
    places: np.ndarray = np.arange(len(found.recall))
    if len(places) > _POINTS:
        levels = np.linspace(found.recall[0], 1, _POINTS)
        places = np.unique(np.searchsorted(found.recall, levels))
    return " ".join(at(found.recall[place], found.precision[place]) for place in places.tolist())


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of a reliability diagram."""

    left: float
    width: float
    height: float
    """Of its bar of images, logarithmic."""
    across: float | None
    """Mean score; None where it holds no image."""
    down: float | None
    """Share of its images that have the label, from the top."""
    is_sure: bool
    """Whether it holds at least ten images."""
    text: str


def bins(found: Calibration) -> list[Bin]:
    """Return the bins of a reliability diagram."""
    number = len(found.counts)
    most = max(1, int(found.counts.max()))
    made = []
    for place, (count, mean, share) in enumerate(
        zip(found.counts.tolist(), found.mean_scores.tolist(), found.shares.tolist(), strict=True)
    ):
        low, high = place / number, (place + 1) / number
        text = f"scores from {low:.1f} to {high:.1f}: {count:,} image{'' if count == 1 else 's'}"
        if count:
            text += f", mean score {mean:.3f}, {share:.1%} of them right"
        made.append(
            Bin(
                SIDE * low,
                SIDE / number,
                BARS * float(np.log1p(count) / np.log1p(most)),
                SIDE * mean if count else None,
                SIDE * (1 - share) if count else None,
                count >= 10,
                text,
            )
        )
    return made


def line(found: list[Bin]) -> str:
    """Return the points of the line through the bins that hold images."""
    return " ".join(f"{one.across:.1f},{one.down:.1f}" for one in found if one.across is not None)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale of fractions from one tenth to another."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float]) -> "Axis":
        """Return the shortest one that shows all values."""
        there = [value for value in values if not np.isnan(value)] or [0.0, 1.0]
        low, high = np.floor(10 * min(there)) / 10, np.ceil(10 * max(there)) / 10
        return cls(float(low), float(high if high > low else low + 0.1))

    def place(self, value: float) -> float:
        """Return where a value stands, in percent of the axis."""
        return 100 * (value - self.low) / (self.high - self.low)
