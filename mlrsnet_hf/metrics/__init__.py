"""Metrics as pure functions on arrays."""

from mlrsnet_hf.metrics.classification import MeanAveragePrecision, mean_average_precision, sample_f1
from mlrsnet_hf.metrics.registry import METRICS, Metric

__all__ = ["METRICS", "MeanAveragePrecision", "Metric", "mean_average_precision", "sample_f1"]
