"""The metrics by name: function, direction, range and source, in one place for trainer, reports, cards and modules."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import numpy.typing as npt

from mlrsnet_hf.metrics import citations, classification, graded_ranking, ranking
from mlrsnet_hf.metrics.average_precision import mean_average_precision
from mlrsnet_hf.metrics.classification import ClassificationReport

PAPER_THRESHOLD = 0.5
"""Qi et al. (2020), Table 5: a label is predicted if its sigmoid output exceeds it."""
PAPER_PRECISION_DEPTHS = (10, 50, 100, 500)
"""Depths of P@k in Table 9."""

Family = Literal["classification", "retrieval"]
Inputs = Literal["scores", "ranks", "gains"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric and what a report has to know of it."""

    name: str
    title: str
    family: Family
    inputs: Inputs
    """What the function takes. "scores": (N, L) targets and (N, L) sigmoid scores; "ranks": a `RelevantRanks`; "gains":
    (Q, D) gains in ranked order."""
    function: Callable[..., Any]
    """Returns a number; that of "precision_recall_curve" a `PrecisionRecallCurve`."""
    higher_is_better: bool
    bounds: tuple[float, float]
    citation: str
    bibtex: tuple[str, ...] = (citations.PAPER,)
    headline: bool = False
    """Whether the paper's tables judge by it. Shown while a model trains, where others only take up room; the headline
    metrics of retrieval are the columns of Table 9."""
    in_training: bool = False
    """Whether a training run evaluates it each epoch, stores it, and can pick the best epoch by it."""
    from_report: Callable[[ClassificationReport], float] | None = None
    """Reads the same value from a report at the paper's threshold, so that several need one pass; None if it has none
    there."""

    @property
    def documented_function(self) -> Callable[..., Any]:
        """The public function behind `function`, whose docstring defines the metric."""
        return self.function.func if isinstance(self.function, partial) else self.function

    @property
    def direction(self) -> str:
        """The direction in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def summary(self) -> str:
        """Range, direction and source in a line."""
        low, high = (f"{bound:g}" if math.isfinite(bound) else "any gain" for bound in self.bounds)
        return f"Values from {low} to {high}; {self.direction}. {self.citation}."


_PAPER = "Qi et al. (2020)"
_F1 = f"{_PAPER}, section 3.2 and Table 7"
_IR = "Manning, Raghavan & Schuetze (2008), section 8.4"
_GAIN = "Zhao et al. (2015), with common labels as gain"


def _scored(
    name: str,
    title: str,
    function: Callable[..., Any],
    citation: str,
    *,
    higher_is_better: bool = True,
    headline: bool = False,
    in_training: bool = False,
    from_report: str | None = None,
) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="classification",
        inputs="scores",
        function=function,
        higher_is_better=higher_is_better,
        bounds=(0.0, 1.0),
        citation=citation,
        headline=headline,
        in_training=in_training,
        from_report=None if from_report is None else attrgetter(from_report),
    )


def _decided(
    name: str,
    title: str,
    citation: str,
    *,
    part: str | None = None,
    function: Callable[..., Any] | None = None,
    **more: Any,  # noqa: ANN401
) -> Metric:
    """Declare a metric of decisions as one of scores, at the paper's threshold.

    Args:
        name: Of the metric.
        title: Of the metric.
        citation: Of the metric.
        part: Its name in a report, where that is another.
        function: The metric on its own; by default the report makes it.
        **more: Other fields.
    """
    part = part or name
    alone = _part_of_report(part) if function is None else partial(function, threshold=PAPER_THRESHOLD)
    return _scored(name, title, alone, citation, from_report=part, **more)


def _part_of_report(name: str) -> Callable[..., float]:
    def function(targets: npt.ArrayLike, scores: npt.ArrayLike) -> float:
        report = classification.classification_report(targets, scores, threshold=PAPER_THRESHOLD)
        return float(getattr(report, name))

    return function


def _ranked(
    name: str,
    title: str,
    function: Callable[..., Any],
    citation: str,
    *,
    higher_is_better: bool = True,
    headline: bool = False,
    bibtex: tuple[str, ...] = (citations.PAPER,),
) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="retrieval",
        inputs="ranks",
        function=function,
        higher_is_better=higher_is_better,
        bounds=(0.0, 1.0),
        citation=citation,
        bibtex=bibtex,
        headline=headline,
    )


def _graded(name: str, title: str, function: Callable[..., Any], citation: str, highest: float) -> Metric:
    return Metric(
        name=name,
        title=title,
        family="retrieval",
        inputs="gains",
        function=partial(function, k=ranking.PAPER_DEPTH),
        higher_is_better=True,
        bounds=(0.0, highest),
        citation=citation,
    )


_CLASSIFICATION = (
    _decided(
        "sample_f1",
        "sample-F1",
        f"{_F1}, mean of the images' F1; scikit-learn's F1 with average='samples'",
        function=classification.sample_f1,
        headline=True,
        in_training=True,
    ),
    _decided(
        "f1_of_means",
        "F1 of means",
        f"{_F1}, F1 of mean precision and mean recall",
        function=classification.f1_of_means,
        in_training=True,
    ),
    _scored(
        "map",
        "mAP",
        mean_average_precision,
        f"{_PAPER}, section 3.2 and Table 6; scikit-learn's average precision, mean over the labels that occur",
        headline=True,
        in_training=True,
    ),
    _decided("micro_f1", "micro-F1", "scikit-learn's F1 with average='micro'", in_training=True),
    _decided(
        "macro_f1",
        "macro-F1",
        "scikit-learn's F1 with average='macro' over the labels that occur; the others do not count",
        part="macro_f1_of_occurring",
        in_training=True,
    ),
    _decided(
        "sample_precision",
        "sample precision",
        f"{_PAPER}, section 3.2; scikit-learn's precision with average='samples'",
        function=classification.sample_precision,
    ),
    _decided(
        "sample_recall",
        "sample recall",
        f"{_PAPER}, section 3.2; scikit-learn's recall with average='samples'",
        function=classification.sample_recall,
    ),
    _decided("subset_accuracy", "subset accuracy", "scikit-learn's accuracy of multi-label decisions"),
    _decided("hamming_loss", "Hamming loss", "scikit-learn's Hamming loss", higher_is_better=False),
    _scored(
        "calibration_error",
        "ECE",
        classification.calibration_error,
        "Naeini et al. (2015); Guo et al. (2017), eq. 3",
        higher_is_better=False,
    ),
)
_RETRIEVAL = (
    _ranked(
        "anmrr",
        "ANMRR",
        ranking.anmrr,
        f"Manjunath et al. (2001); {_PAPER}, Table 9",
        higher_is_better=False,
        headline=True,
        bibtex=(citations.MPEG7, citations.PAPER),
    ),
    _ranked(
        "retrieval_map",
        "mAP",
        ranking.mean_precision_to_k,
        f"{_PAPER}, section 4.2 and Table 9: the mean of P@1 to P@{ranking.PAPER_DEPTH}",
        headline=True,
    ),
    *(
        _ranked(
            f"precision_at_{k}",
            f"P@{k}",
            partial(ranking.precision_at_k, k=k),
            f"{_PAPER}, section 4.2 and Table 9",
            headline=True,
        )
        for k in PAPER_PRECISION_DEPTHS
    ),
    _ranked(
        f"recall_at_{ranking.PAPER_DEPTH}",
        f"R@{ranking.PAPER_DEPTH}",
        partial(ranking.recall_at_k, k=ranking.PAPER_DEPTH),
        _IR,
    ),
    _ranked("average_precision", "AP", ranking.average_precision_at_k, f"{_IR}, normalized by all relevant items"),
    _ranked(
        "precision_recall_curve",
        "interpolated precision",
        ranking.precision_recall_curve,
        f"{_IR}; {_PAPER}, Figs. 10 and 12",
    ),
    _graded(
        f"ndcg_at_{ranking.PAPER_DEPTH}",
        f"nDCG@{ranking.PAPER_DEPTH}",
        graded_ranking.ndcg_at_k,
        "Jarvelin & Kekalainen (2002); Burges et al. (2005) for the exponential gain",
        highest=1.0,
    ),
    _graded(
        f"acg_at_{ranking.PAPER_DEPTH}",
        f"ACG@{ranking.PAPER_DEPTH}",
        graded_ranking.average_cumulative_gain_at_k,
        f"Jarvelin & Kekalainen (2000); {_GAIN}",
        highest=math.inf,
    ),
    _graded(
        f"wap_at_{ranking.PAPER_DEPTH}",
        f"WAP@{ranking.PAPER_DEPTH}",
        graded_ranking.weighted_average_precision_at_k,
        _GAIN,
        highest=math.inf,
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_CLASSIFICATION, *_RETRIEVAL)}


def metrics_of(family: Family, *, headline_only: bool = False) -> dict[str, Metric]:
    """Return the metrics of a family by name, in the registry's order.

    Examples:
        >>> list(metrics_of("retrieval", headline_only=True))[:3]
        ['anmrr', 'retrieval_map', 'precision_at_10']
    """
    return {
        name: metric
        for name, metric in METRICS.items()
        if metric.family == family and (metric.headline or not headline_only)
    }


def training_metrics() -> dict[str, Metric]:
    """Return the metrics that a training run evaluates by name, in the registry's order.

    Examples:
        >>> list(training_metrics())
        ['sample_f1', 'f1_of_means', 'map', 'micro_f1', 'macro_f1']
    """
    return {name: metric for name, metric in METRICS.items() if metric.in_training}


def training_values(
    targets: npt.ArrayLike, scores: npt.ArrayLike, threshold: classification.Threshold = PAPER_THRESHOLD
) -> dict[str, float]:
    """Return the value of every training metric by name; the decisions are counted once for all.

    Args:
        targets: (N, L) true labels, 0 or 1.
        scores: (N, L) sigmoid scores.
        threshold: Scores above it predict the label; one number, or (L,) with one for each label.

    Raises:
        ConfigurationError: Shapes differ or a value is not allowed; the message names the argument and the position.

    Examples:
        >>> training_values([[1, 0], [0, 1]], [[0.9, 0.2], [0.1, 0.7]])["macro_f1"]
        1.0
    """
    report = classification.classification_report(targets, scores, threshold=threshold)
    return {
        name: float(metric.function(targets, scores) if metric.from_report is None else metric.from_report(report))
        for name, metric in training_metrics().items()
    }
