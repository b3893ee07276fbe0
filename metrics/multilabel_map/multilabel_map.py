"""Mean average precision of multi-label scores for `evaluate`, over `mlrsnet_hf.metrics.mean_average_precision`."""

from collections.abc import Sequence
from typing import Any

import evaluate

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import METRICS, mean_average_precision
from mlrsnet_hf.metrics.average_precision import Average
from mlrsnet_hf.metrics.modules.classification import SCORE_FORMS, ClassificationInputs
from mlrsnet_hf.metrics.modules.inputs import floats


class MultilabelMap(ClassificationInputs, evaluate.Metric):
    """Mean over labels of average precision."""

    forms = SCORE_FORMS
    metric = METRICS["map"]

    def _compute(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[Any],
        average: Average = "macro",
        num_labels: int | None = None,
        per_label: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Compute mean average precision.

        Args:
            predictions: A row of scores per image, one per label, in every configuration.
            references: See the configuration.
            average: "macro", "weighted", "samples" or "micro".
            num_labels: Number of labels, for configuration "label_ids"; 60 unless told.
            per_label: Whether to return the average precision of each label too.
            **others: Options of the other classification modules, which this one leaves alone.

        Returns:
            multilabel_map: mean average precision.
            multilabel_map_left_out: number of labels (for "samples": images) without a positive, left out of the mean.
            multilabel_map_per_label: list of floats in the labels' order, NaN for one left out; with `per_label`.
        """
        self.refuse_unknown(others)
        if average is None:
            raise ConfigurationError(
                "average=None has no mean to return", "Pass per_label=True for the labels' values."
            )
        targets, scores = self.arrays(predictions, references, num_labels, scores=True)
        value = mean_average_precision(targets, scores, average=average)
        results = {"multilabel_map": float(value), "multilabel_map_left_out": value.undefined}
        if not per_label:
            return results
        return {**results, "multilabel_map_per_label": floats(mean_average_precision(targets, scores, average=None))}
