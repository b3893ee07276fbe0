"""The metrics by name: function, direction, range and source, in one place for trainer, reports, cards and modules."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy.typing as npt

from mlrsnet_hf.metrics import classification, ranking
from mlrsnet_hf.metrics.average_precision import mean_average_precision

PAPER_THRESHOLD = 0.5
"""Qi et al. (2020), Table 5: a label is predicted if its sigmoid output exceeds it."""
PAPER_PRECISION_DEPTHS = (10, 50, 100, 500)
"""Depths of P@k in Table 9."""

Family = Literal["classification", "ranking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric and what a report has to know of it."""

    name: str
    title: str
    family: Family
    function: Callable[..., float]
    """Of (N, L) targets and (N, L) sigmoid scores for "classification", of a `RelevantRanks` for "ranking"."""
    higher_is_better: bool
    bounds: tuple[float, float]
    citation: str
    headline: bool
    """Whether the paper judges by it: shown while a model trains, where the others only take up room."""


_PAPER = "Qi et al. (2020)"
_F1 = f"{_PAPER}, section 3.2 and Table 7"


def _decisions(function: Callable[..., float]) -> Callable[..., float]:
    """Return a metric of decisions as one of scores, at the paper's threshold."""
    return partial(function, threshold=PAPER_THRESHOLD)


def _reported(name: str) -> Callable[..., float]:
    def function(targets: npt.ArrayLike, scores: npt.ArrayLike) -> float:
        # "skip", because a split of few scenes lacks most labels, and a label that is rightly never predicted there
        # must not count as failed.
        report = classification.classification_report(targets, scores, threshold=PAPER_THRESHOLD, zero_division="skip")
        return float(getattr(report, name))

    return function


def _metric(
    family: Family,
    name: str,
    title: str,
    function: Callable[..., float],
    citation: str,
    *,
    higher_is_better: bool = True,
    headline: bool = True,
) -> Metric:
    return Metric(
        name=name,
        title=title,
        family=family,
        function=function,
        higher_is_better=higher_is_better,
        bounds=(0.0, 1.0),
        citation=citation,
        headline=headline,
    )


_classification = partial(_metric, "classification")
_ranking = partial(_metric, "ranking")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _classification(
            "sample_f1",
            "sample-F1",
            _decisions(classification.sample_f1),
            f"{_F1}, mean of the images' F1; scikit-learn's F1 with average='samples'",
        ),
        _classification(
            "f1_of_means",
            "F1 of means",
            _decisions(classification.f1_of_means),
            f"{_F1}, F1 of mean precision and mean recall",
            headline=False,
        ),
        _classification(
            "map",
            "mAP",
            mean_average_precision,
            f"{_PAPER}, section 3.2 and Table 6; macro mean of scikit-learn's average precision",
        ),
        _classification(
            "micro_f1",
            "micro-F1",
            _reported("micro_f1"),
            "scikit-learn's F1 with average='micro'",
            headline=False,
        ),
        _classification(
            "macro_f1",
            "macro-F1",
            _reported("macro_f1"),
            "scikit-learn's F1 with average='macro', labels that neither occur nor are predicted left out",
            headline=False,
        ),
        _ranking(
            "anmrr", "ANMRR", ranking.anmrr, f"Manjunath et al. (2001); {_PAPER}, Table 9", higher_is_better=False
        ),
        _ranking(
            "retrieval_map",
            "mAP",
            ranking.mean_precision_to_k,
            f"{_PAPER}, section 4.2 and Table 9: the mean of P@1 to P@{ranking.PAPER_DEPTH}",
        ),
        *(
            _ranking(
                f"precision_at_{k}", f"P@{k}", partial(ranking.precision_at_k, k=k), f"{_PAPER}, section 4.2, Table 9"
            )
            for k in PAPER_PRECISION_DEPTHS
        ),
    )
}


def metrics_of(family: Family) -> dict[str, Metric]:
    """Return the metrics of a family by name, in the registry's order."""
    return {name: metric for name, metric in METRICS.items() if metric.family == family}
