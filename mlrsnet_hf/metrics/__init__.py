"""Metrics as pure functions on arrays; values in [0, 1]."""

from mlrsnet_hf.metrics.average_precision import mean_average_precision
from mlrsnet_hf.metrics.classification import (
    ClassificationReport,
    best_thresholds,
    calibration_error,
    classification_report,
    f1_of_means,
    sample_f1,
    sample_precision,
    sample_recall,
)
from mlrsnet_hf.metrics.graded_ranking import (
    average_cumulative_gain_at_k,
    common_labels,
    ndcg_at_k,
    weighted_average_precision_at_k,
)
from mlrsnet_hf.metrics.means import Interval, Mean, bootstrap, over_repeats
from mlrsnet_hf.metrics.ranking import (
    PrecisionRecallCurve,
    anmrr,
    average_precision_at_k,
    mean_precision_to_k,
    precision_at_k,
    precision_recall_curve,
    recall_at_k,
)
from mlrsnet_hf.metrics.registry import METRICS, Metric, metric_title, metrics_of, training_metrics, training_values
from mlrsnet_hf.metrics.relevant_ranks import RelevantRanks

__all__ = [
    "METRICS",
    "ClassificationReport",
    "Interval",
    "Mean",
    "Metric",
    "PrecisionRecallCurve",
    "RelevantRanks",
    "anmrr",
    "average_cumulative_gain_at_k",
    "average_precision_at_k",
    "best_thresholds",
    "bootstrap",
    "calibration_error",
    "classification_report",
    "common_labels",
    "f1_of_means",
    "mean_average_precision",
    "mean_precision_to_k",
    "metric_title",
    "metrics_of",
    "ndcg_at_k",
    "over_repeats",
    "precision_at_k",
    "precision_recall_curve",
    "recall_at_k",
    "sample_f1",
    "sample_precision",
    "sample_recall",
    "training_metrics",
    "training_values",
    "weighted_average_precision_at_k",
]
