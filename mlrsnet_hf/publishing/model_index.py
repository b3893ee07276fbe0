"""The scores of a model in the form that the Hub reads from its card: the model-index."""

from typing import Any

from huggingface_hub import EvalResult

from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.publishing.run_results import RunResults, metric_title

TASK = "image-classification"
_METRIC_TYPES = {"map": "map", "scene_accuracy": "accuracy", "subset_accuracy": "accuracy"}


def model_index(results: RunResults, dataset_id: str | None) -> list[EvalResult]:
    """Return the entries of the scored split: at 0.5, then at tuned thresholds those of metrics that take one."""
    tuned = {name: value for name, value in results.tuned_values.items() if _takes_threshold(results, name)}
    return [
        *(_entry(results, dataset_id, name, value, tuned=False) for name, value in results.values.items()),
        *(_entry(results, dataset_id, name, value, tuned=True) for name, value in tuned.items()),
    ]


def metric_arguments(results: RunResults, name: str, tuned: bool = False) -> dict[str, Any]:
    """Return what a score depends on beside the model and the images: `threshold` and `views`, as far as it does."""
    threshold = {"threshold": "one per label, tuned on validation" if tuned else 0.5}
    views = {"views": results.eval_symmetries}
    return (threshold if _takes_threshold(results, name) else {}) | (views if results.eval_symmetries > 1 else {})


def _takes_threshold(results: RunResults, name: str) -> bool:
    """Tell whether a score is one of decisions on labels; a scene is the one with the highest score."""
    return results.task != "scene" and name in METRICS and METRICS[name].from_report is not None


def _entry(results: RunResults, dataset_id: str | None, name: str, value: float, tuned: bool) -> EvalResult:
    source, held_out = results.data, results.split == "validation" and results.data.get("held_out")
    arguments = {
        "seed": source.get("split_seed"),
        "labels": source.get("labels"),
        "held_out": held_out or None,
    }
    views = f", {results.eval_symmetries} views" if results.eval_symmetries > 1 else ""
    return EvalResult(
        task_type=TASK,
        task_name="Image classification" if results.task == "scene" else "Multi-label image classification",
        dataset_type=dataset_id or results.dataset_name.lower(),
        dataset_name="MLRSNet, a part" if results.is_mlrsnet and not results.is_whole_release else results.dataset_name,
        dataset_config=source.get("protocol"),
        dataset_split="train" if held_out else results.split,
        dataset_args={key: value for key, value in arguments.items() if value is not None} or None,
        metric_type=_METRIC_TYPES.get(name, "f1" if "f1" in name else name),
        metric_name=metric_title(name) + (", tuned thresholds" if tuned else "") + views,
        metric_value=round(value, 6),
        metric_args=metric_arguments(results, name, tuned) or None,
    )
