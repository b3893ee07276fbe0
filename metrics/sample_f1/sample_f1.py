"""sample-F1 of multi-label decisions for `evaluate`, over `mlrsnet_hf.metrics.sample_f1`."""

from collections.abc import Sequence
from typing import Any

import evaluate

from mlrsnet_hf.metrics import METRICS, classification_report
from mlrsnet_hf.metrics.classification import ZeroDivision
from mlrsnet_hf.metrics.modules.classification import DECISION_FORMS, ClassificationInputs
from mlrsnet_hf.metrics.modules.inputs import floats


class SampleF1(ClassificationInputs, evaluate.Metric):
    """Mean over images of the F1 between predicted and true labels."""

    forms = DECISION_FORMS
    metric = METRICS["sample_f1"]

    def _compute(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[Any],
        threshold: float | Sequence[float] | None = None,
        zero_division: ZeroDivision = 0,
        num_labels: int | None = None,
        per_image: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Compute sample-F1.

        Args:
            predictions: See the configuration.
            references: See the configuration.
            threshold: Predictions are scores, and those above it predict the label; a list for one per label; None if
                predictions are decisions.
            zero_division: 0, 1 or "skip" for an image with neither labels nor predictions.
            num_labels: Number of labels, for configuration "label_ids"; 60 unless told.
            per_image: Whether to return the F1 of each image too.
            **others: Options of the other classification modules, which this one leaves alone.

        Returns:
            sample_f1: mean of the images' F1.
            sample_f1_left_out: number of images left out of that mean.
            f1_of_means: F1 of mean precision and mean recall.
            sample_precision: mean of the images' precision.
            sample_recall: mean of the images' recall.
            sample_f1_per_image: list of floats, NaN for an image left out; with `per_image`.
        """
        self.refuse_unknown(others)
        targets, guesses = self.arrays(predictions, references, num_labels, scores=threshold is not None)
        report = classification_report(targets, guesses, threshold=threshold, zero_division=zero_division)
        results = {
            "sample_f1": float(report.sample_f1),
            "sample_f1_left_out": report.sample_f1.undefined,
            "f1_of_means": report.f1_of_means,
            "sample_precision": float(report.sample_precision),
            "sample_recall": float(report.sample_recall),
        }
        return {**results, "sample_f1_per_image": floats(report.sample_f1.values)} if per_image else results
