"""The end of a run: the kept model, measured on validation and test, and all that results.json says."""

import math
from collections.abc import Mapping, Sequence

from mlrsnet_hf.evaluation.predictions import Predictions, Scores, evaluate, is_better, label_scores
from mlrsnet_hf.evaluation.thresholds import thresholds_by_label, tune_thresholds, untuned_labels
from mlrsnet_hf.inputs.task import ImageData, Task
from mlrsnet_hf.models.saved_model import SavedModel
from mlrsnet_hf.models.timm_config import timm_settings
from mlrsnet_hf.training.checkpoints.history import Epoch
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import (
    DataSummary,
    ModelSummary,
    RunSummary,
    SplitScores,
    TrainingResult,
    TunedScores,
)


def kept_epoch(history: Sequence[Epoch], config: TrainingConfig) -> Epoch:
    """Return the epoch whose model a run keeps: the last, or the first of those with the best validation metric.

    A metric that is defined in no epoch chooses none, and the last, which has learned most, is kept.

    Args:
        history: One epoch or more.
        config: Its `keep` and `selection_metric`.
    """
    name = config.selection_metric
    defined = [epoch for epoch in history if not math.isnan(epoch.validation[name])]
    if config.keep == "last" or not defined:
        return history[-1]
    best = defined[0]
    for epoch in defined[1:]:
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


def make_result(
    config: TrainingConfig,
    data: ImageData,
    saved: SavedModel,
    predictions: Mapping[str, Predictions],
    history: Sequence[Epoch],
    run: RunSummary,
    recipe: str | None = None,
) -> TrainingResult:
    """Return all that results.json holds.

    Args:
        config: The settings.
        data: The splits.
        saved: The kept model.
        predictions: Its, of `validation` and, if there is one, `test`.
        history: All epochs.
        run: How it was carried out.
        recipe: Name of the recipe that the settings began with.
    """
    task, validation, test = saved.task, predictions["validation"], predictions.get("test")
    thresholds = tune_thresholds(validation) if config.tune_thresholds and task.label_outputs else None
    return TrainingResult(
        recipe=recipe,
        config=config,
        data=DataSummary(
            source=data.source,
            label_names=data.label_names,
            scene_names=data.scene_names,
            images={name: len(split) for name, split in data.splits.items()},
        ),
        model=ModelSummary(
            name=config.model,
            architecture=timm_settings(saved.model)["architecture"],
            parameters=sum(parameter.numel() for parameter in saved.model.parameters()),
            weights=config.weights,
            image_size=saved.preprocessing.image_size,
        ),
        task=task.kind,
        history=tuple(history),
        scored_epoch=kept_epoch(history, config).epoch,
        scores=score(validation, test, task),
        tuned=None if thresholds is None else tuned_scores(validation, test, task, thresholds),
        eval_symmetries=config.eval_symmetries,
        labels=label_scores(test or validation, task, thresholds),
        run=run,
    )
