"""The metrics by name: function, direction, range and source, in one place for trainer, reports, cards and modules."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import numpy.typing as npt

from mlrsnet_hf.metrics import classification, graded_ranking, ranking
from mlrsnet_hf.metrics.average_precision import mean_average_precision
from mlrsnet_hf.metrics.citations import MPEG7, PAPER
from mlrsnet_hf.metrics.classification import ClassificationReport
from mlrsnet_hf.metrics.ranking import PAPER_DEPTH

PAPER_THRESHOLD = 0.5
"""Qi et al. (2020), Table 5: a label is predicted if its sigmoid output exceeds it."""
PAPER_PRECISION_DEPTHS = (10, 50, 100, 500)
"""Depths of P@k in Table 9."""

Family = Literal["classification", "retrieval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric and what a report has to know of it."""

    name: str
    title: str
    """What tables, cards and figures call it."""
    family: Family
    inputs: Literal["scores", "ranks", "gains"]
    """What the function takes. "scores": (N, L) targets and (N, L) sigmoid scores; "ranks": a `RelevantRanks`; "gains":
    (Q, D) gains in ranked order."""
    function: Callable[..., Any]
    """Returns a number; that of "precision_recall_curve" a `PrecisionRecallCurve`."""
    citation: str
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)
    bibtex: tuple[str, ...] = (PAPER,)
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
    def takes_threshold(self) -> bool:
        """Whether it is one of decisions, which another threshold changes."""
        return self.from_report is not None

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
_TABLE9 = f"{_PAPER}, section 4.2 and Table 9"
_IR = "Manning, Raghavan & Schuetze (2008), section 8.4"
_GAIN = "Zhao et al. (2015), with common labels as gain"

_scored = partial(Metric, family="classification", inputs="scores")
_ranked = partial(Metric, family="retrieval", inputs="ranks")
_graded = partial(Metric, family="retrieval", inputs="gains")


def _decided(name: str, citation: str, *, part: str | None = None, **fields: Any) -> Metric:  # noqa: ANN401
    """Declare a metric of decisions as one of scores, at the paper's threshold.

    Args:
        name: Its name.
        citation: Its source.
        part: Its name in a report, where that is another.
        **fields: The others; without `function` the report makes it.
    """
    read = attrgetter(part or name)

    def from_scores(targets: npt.ArrayLike, scores: npt.ArrayLike) -> float:
        return float(read(classification.classification_report(targets, scores, threshold=PAPER_THRESHOLD)))

    alone = fields.pop("function", None)
    function = partial(alone, threshold=PAPER_THRESHOLD) if alone else from_scores
    return _scored(name=name, function=function, citation=citation, from_report=read, **fields)


_CLASSIFICATION = (
    _decided(
        "sample_f1",
        f"{_F1}, mean of the images' F1; scikit-learn's F1 with average='samples'",
        title="sample-F1",
        function=classification.sample_f1,
        headline=True,
        in_training=True,
    ),
    _decided(
        "f1_of_means",
        f"{_F1}, F1 of mean precision and mean recall",
        title="F1 of means",
        function=classification.f1_of_means,
        in_training=True,
    ),
    _scored(
        name="map",
        title="mAP",
        function=mean_average_precision,
        citation=f"{_PAPER}, section 3.2 and Table 6; scikit-learn's average precision, mean over labels that occur",
        headline=True,
        in_training=True,
    ),
    _decided("micro_f1", "scikit-learn's F1 with average='micro'", title="micro-F1", in_training=True),
    _decided(
        "macro_f1",
        "scikit-learn's F1 with average='macro' over the labels that occur; the others do not count",
        part="macro_f1_of_occurring",
        title="macro-F1",
        in_training=True,
    ),
    _decided(
        "sample_precision",
        f"{_PAPER}, section 3.2; scikit-learn's precision with average='samples'",
        title="sample precision",
        function=classification.sample_precision,
    ),
    _decided(
        "sample_recall",
        f"{_PAPER}, section 3.2; scikit-learn's recall with average='samples'",
        title="sample recall",
        function=classification.sample_recall,
    ),
    _decided("subset_accuracy", "scikit-learn's accuracy of multi-label decisions", title="subset accuracy"),
    _decided("hamming_loss", "scikit-learn's Hamming loss", title="Hamming loss", higher_is_better=False),
    _scored(
        name="calibration_error",
        title="ECE",
        function=classification.calibration_error,
        citation="Naeini et al. (2015); Guo et al. (2017), eq. 3",
        higher_is_better=False,
    ),
)
_RETRIEVAL = (
    _ranked(
        name="anmrr",
        title="ANMRR",
        function=ranking.anmrr,
        citation=f"Manjunath et al. (2001); {_PAPER}, Table 9",
        higher_is_better=False,
        headline=True,
        bibtex=(MPEG7, PAPER),
    ),
    _ranked(
        name="retrieval_map",
        title="mAP",
        function=ranking.mean_precision_to_k,
        citation=f"{_TABLE9}: the mean of P@1 to P@{PAPER_DEPTH}",
        headline=True,
    ),
    *(
        _ranked(
            name=f"precision_at_{k}",
            title=f"P@{k}",
            function=partial(ranking.precision_at_k, k=k),
            citation=_TABLE9,
            headline=True,
        )
        for k in PAPER_PRECISION_DEPTHS
    ),
    _ranked(
        name=f"recall_at_{PAPER_DEPTH}",
        title=f"R@{PAPER_DEPTH}",
        function=partial(ranking.recall_at_k, k=PAPER_DEPTH),
        citation=_IR,
    ),
    _ranked(
        name="average_precision",
        title="AP",
        function=ranking.average_precision_at_k,
        citation=f"{_IR}, normalized by all relevant items",
    ),
    _ranked(
        name="precision_recall_curve",
        title="interpolated precision",
        function=ranking.precision_recall_curve,
        citation=f"{_IR}; {_PAPER}, Figs. 10 and 12",
    ),
    _graded(
        name=f"ndcg_at_{PAPER_DEPTH}",
        title=f"nDCG@{PAPER_DEPTH}",
        function=partial(graded_ranking.ndcg_at_k, k=PAPER_DEPTH),
        citation="Jarvelin & Kekalainen (2002); Burges et al. (2005) for the exponential gain",
    ),
    _graded(
        name=f"acg_at_{PAPER_DEPTH}",
        title=f"ACG@{PAPER_DEPTH}",
        function=partial(graded_ranking.average_cumulative_gain_at_k, k=PAPER_DEPTH),
        citation=f"Jarvelin & Kekalainen (2000); {_GAIN}",
        bounds=(0.0, math.inf),
    ),
    _graded(
        name=f"wap_at_{PAPER_DEPTH}",
        title=f"WAP@{PAPER_DEPTH}",
        function=partial(graded_ranking.weighted_average_precision_at_k, k=PAPER_DEPTH),
        citation=_GAIN,
        bounds=(0.0, math.inf),
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


def metric_title(name: str) -> str:
    """Return how tables, cards and figures call a value: a metric, or one that only training knows.

    Examples:
        >>> metric_title("sample_f1"), metric_title("scene_accuracy")
        ('sample-F1', 'scene accuracy')
    """
    return METRICS[name].title if name in METRICS else name.replace("_", " ")


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
