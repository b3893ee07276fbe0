"""The end of a run: the kept model, measured on validation and test, and all that results.json says."""

from collections.abc import Sequence

from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.evaluators import Predictions, Scores, evaluate, is_better
from mlrsnet_hf.training.history import Epoch
from mlrsnet_hf.training.results import SplitScores, TunedScores
from mlrsnet_hf.training.task import Task
from mlrsnet_hf.training.thresholds import thresholds_by_label, untuned_labels


def kept_epoch(history: Sequence[Epoch], config: TrainingConfig) -> Epoch:
    """Return the epoch whose model a run keeps: the last, or the first of those with the best validation metric.

    Args:
        history: One epoch or more.
        config: Its `keep` and `selection_metric`.
    """
    if config.keep == "last":
        return history[-1]
    name = config.selection_metric
    best = history[0]
    for epoch in history[1:]:
        if is_better(name, epoch.validation[name], best.validation[name]):
            best = epoch
    return best


def score(
    validation: Predictions, test: Predictions | None, task: Task, thresholds: Scores | None = None
) -> SplitScores:
    """Return the metrics of the kept model.

    Args:
        validation: Its predictions of the validation split.
        test: Those of the test split, if there is one.
        task: What the model learns.
        thresholds: (L,) of the labels; by default 0.5 for all.
    """
    return SplitScores(
        validation=evaluate(validation, task, thresholds),
        test=None if test is None else evaluate(test, task, thresholds),
    )


def tuned_scores(validation: Predictions, test: Predictions | None, task: Task, thresholds: Scores) -> TunedScores:
    """Return the metrics at the thresholds that `tune_thresholds` found; arguments as in `score`."""
    scores = score(validation, test, task, thresholds)
    return TunedScores(
        validation=scores.validation,
        test=scores.test,
        thresholds=thresholds_by_label(thresholds, task),
        untuned=untuned_labels(validation, task),
    )
