"""The metrics by name: function, direction, range and source, in one place for trainer, reports and cards."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlrsnet_hf.metrics.classification import mean_average_precision, sample_f1

PAPER_THRESHOLD = 0.5
"""Qi et al. (2020), Table 5: a label is predicted if its sigmoid output exceeds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of multi-label predictions."""

    name: str
    title: str
    function: Callable[[np.ndarray, np.ndarray], float]
    """Takes (N, L) targets and (N, L) sigmoid scores."""
    higher_is_better: bool
    bounds: tuple[float, float]
    citation: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="sample_f1",
            title="sample-F1",
            function=lambda targets, scores: sample_f1(targets, scores, threshold=PAPER_THRESHOLD),
            higher_is_better=True,
            bounds=(0.0, 1.0),
            citation="Qi et al. (2020), section 3.2 and Table 7; scikit-learn's F1 with average='samples'",
        ),
        Metric(
            name="map",
            title="mAP",
            function=lambda targets, scores: mean_average_precision(targets, scores).value,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            citation="Qi et al. (2020), section 3.2 and Table 6; macro mean of scikit-learn's average precision",
        ),
    )
}
