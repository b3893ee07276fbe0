"""The scores of a model's card that programs read: its model-index, and what `evaluate` is asked for them."""

import math
from typing import Any

from huggingface_hub import EvalResult

from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.publishing.cards import dataset_type
from mlrsnet_hf.publishing.learned_data import LearnedData
from mlrsnet_hf.training.results import TrainingResult

TASK = "image-classification"

_METRIC_TYPES = {"map": "map", "scene_accuracy": "accuracy", "subset_accuracy": "accuracy"}
"""Metric -> the Hub's name for its kind."""


def defined_scores(results: TrainingResult, tuned: bool = False) -> dict[str, float]:
    """Return the scores of the scored split, at 0.5 or at tuned thresholds, without those that are not defined."""
    scores = results.tuned if tuned else results.scores
    values = getattr(scores, results.scored_split) if scores else None
    return {name: value for name, value in (values or {}).items() if not math.isnan(value)}


def model_index(results: TrainingResult, dataset_id: str | None) -> list[EvalResult]:
    """Return the entries of the scored split: at 0.5, then at tuned thresholds those of metrics that take one."""
    tuned = {
        name: value for name, value in defined_scores(results, tuned=True).items() if _takes_threshold(results, name)
    }
    return [
        *(_entry(results, dataset_id, name, value, tuned=False) for name, value in defined_scores(results).items()),
        *(_entry(results, dataset_id, name, value, tuned=True) for name, value in tuned.items()),
    ]


def metric_arguments(results: TrainingResult, name: str, tuned: bool = False) -> dict[str, Any]:
    """Return what a score depends on beside the model and the images: `threshold` and `views`, as far as it does."""
    threshold = {"threshold": "one per label, tuned on validation" if tuned else 0.5}
    views = {"views": results.eval_symmetries}
    return (threshold if _takes_threshold(results, name) else {}) | (views if results.eval_symmetries > 1 else {})


def evaluation_index(result: EvaluationResult) -> list[EvalResult]:
    """Return the entries of an evaluation: at 0.5, then at its thresholds those of metrics that take one."""
    at_thresholds = {
        name: value
        for name, value in (result.at_thresholds or {}).items()
        if "threshold" in evaluation_arguments(result, name)
    }
    return [
        _evaluation_entry(result, name, value, own)
        for own, scores in ((False, result.scores), (True, at_thresholds))
        for name, value in scores.items()
        if not math.isnan(value)
    ]


def evaluation_arguments(result: EvaluationResult, name: str, own: bool = False) -> dict[str, Any]:
    """Return what a score of an evaluation depends on, as `metric_arguments` does; `own` is at its thresholds."""
    takes = result.info.kind != "scene" and name in METRICS and METRICS[name].takes_threshold
    threshold = {"threshold": f"of {result.info.thresholds_from}" if own else 0.5} if takes else {}
    views = {"views": result.info.symmetries} if result.info.symmetries > 1 else {}
    return threshold | views


def _evaluation_entry(result: EvaluationResult, name: str, value: float, own: bool) -> EvalResult:
    info, data = result.info, result.info.data
    arguments = {"seed": data.split_seed, "labels": data.label_version}
    views = f", {info.symmetries} views" if info.symmetries > 1 else ""
    return EvalResult(
        task_type=TASK,
        task_name="Image classification" if info.kind == "scene" else "Multi-label image classification",
        dataset_type=data.hub_id or dataset_type(data.name),
        dataset_name=on_one_line(data.name, 200),
        dataset_config=data.protocol,
        dataset_split=data.split,
        dataset_args={key: told for key, told in arguments.items() if told is not None} or None,
        metric_type=_metric_type(name),
        metric_name=metric_title(name) + (f", thresholds of {info.thresholds_from}" if own else "") + views,
        metric_value=round(value, 6),
        metric_args=evaluation_arguments(result, name, own) or None,
    )


def _metric_type(name: str) -> str:
    return _METRIC_TYPES.get(name, "f1" if "f1" in name else name)


def _takes_threshold(results: TrainingResult, name: str) -> bool:
    """Tell whether a score is one of decisions on labels; a scene is the one with the highest score."""
    return results.task != "scene" and name in METRICS and METRICS[name].takes_threshold


def _entry(results: TrainingResult, dataset_id: str | None, name: str, value: float, tuned: bool) -> EvalResult:
    data = LearnedData(results.data)
    source, split = data.source, results.scored_split
    held_out = (split == "validation" and source["held_out"]) or None
    arguments = {"seed": source["split_seed"], "labels": source["labels"], "held_out": held_out}
    return EvalResult(
        task_type=TASK,
        task_name="Image classification" if results.task == "scene" else "Multi-label image classification",
        dataset_type=dataset_id or dataset_type(data.name),
        dataset_name="MLRSNet, a part" if data.is_mlrsnet and not data.is_whole_release else data.name,
        dataset_config=source["protocol"],
        dataset_split="train" if held_out else split,
        dataset_args={key: value for key, value in arguments.items() if value is not None} or None,
        metric_type=_metric_type(name),
        metric_name=metric_title(name) + (", tuned thresholds" if tuned else "") + views_text(results),
        metric_value=round(value, 6),
        metric_args=metric_arguments(results, name, tuned) or None,
    )


def views_text(results: TrainingResult, more: str = "") -> str:
    """Return how many views of each image were averaged, behind a comma; nothing for one."""
    return f", {results.eval_symmetries} views{more}" if results.eval_symmetries > 1 else ""
