"""The card of a model: what its run says of itself, in the words of templates/model_card.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mlrsnet_hf.metrics import METRICS, metric_title
from mlrsnet_hf.metrics.citations import PAPER, PAPER_URL
from mlrsnet_hf.models.paper_networks import paper_name
from mlrsnet_hf.paper_tables import CLASSIFICATION_RATIOS, TABLE6_MAP, TABLE7_F1
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.publishing.cards import number, render
from mlrsnet_hf.publishing.origin import Origin, license_fields
from mlrsnet_hf.publishing.run_results import RunResults

TASK = "image-classification"
SETTINGS = {
    "epochs": "epochs",
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "head_rate": "rate of the classifier, times that",
    "layer_decay": "decay of the rate by layer",
    "weight_decay": "weight decay",
    "schedule": "schedule",
    "warmup": "share of steps that warm up",
    "clip_norm": "largest gradient norm (0: any)",
    "ema": "decay of the averaged weights (0: none)",
    "loss": "loss",
    "label_smoothing": "label smoothing",
    "freeze_backbone": "classifier alone",
    "scene_weight": "weight of the scene's loss",
    "drop_rate": "dropout before the classifier",
    "drop_path_rate": "stochastic depth",
    "train_scale": "size in training, share of the size in evaluation",
    "symmetries": "turned and mirrored views in training",
    "crop_scale": "smallest crop, share of the area",
    "crop_ratio": "widest or highest crop",
    "jitter": "color jitter",
    "keep": "epoch kept",
    "seed": "seed",
}
"""Setting -> what the card calls it."""
FILES = {
    "model.safetensors": "the weights, for timm and transformers",
    "config.json": "architecture, labels, preprocessing and thresholds, for both",
    "scene_head.safetensors": "the scene's classifier",
    "settings.yaml": "every setting of the run",
    "results.json": "scores, thresholds and history of the run",
    "history.csv": "loss and validation scores by epoch",
    "history.json": "the same",
    "curves.png": "the same, drawn",
}
"""What lies beside a card -> what the card says of it."""
_METRIC_TYPES = {"map": "map", "scene_accuracy": "accuracy", "subset_accuracy": "accuracy"}
"""Metric -> the Hub's name for its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A card, and with it the model's place on the Hub."""

    repo_id: str
    results: RunResults
    origin: Origin
    """The weights that training began with."""
    given_license: str | None = None
    """The weights' license as their publisher says; by default that of their origin."""
    revision: str | None = None
    """The branch that the card lies on; main by default."""
    dataset_id: str | None = None
    """The repository of the data, if there is one."""
    file_names: tuple[str, ...] = ()
    """What lies beside the card."""

    @property
    def name(self) -> str:
        """The repository's name, without its owner."""
        return self.repo_id.partition("/")[2]

    @property
    def license(self) -> str:
        """The weights' license."""
        return self.given_license or self.origin.license

    def render(self) -> str:
        """Return the card: Markdown under a YAML header."""
        results = self.results
        score_columns, score_rows = _scores(results)
        label_columns, label_rows = _labels(results)
        return render(
            "model_card.md",
            card=self,
            results=results,
            origin=self.origin,
            header=self._header().to_yaml(),
            sizes=_sizes(results),
            total=sum(results.images.values()),
            release_total=TOTAL_IMAGES,
            shares=_shares(results),
            flattering=_flattering(results),
            score_columns=score_columns,
            score_rows=score_rows,
            paper=_beside_the_paper(results),
            paper_url=PAPER_URL,
            answer=_answer(results),
            settings=_settings(results),
            took=_took(results.run),
            label_columns=label_columns,
            label_rows=label_rows,
            files=FILES,
            citation=PAPER,
        )

    def _header(self) -> ModelCardData:
        results = self.results
        multi_label = [] if results.task == "scene" else ["multi-label"]
        mlrsnet = ["mlrsnet"] if results.is_mlrsnet else []
        remote_sensing = ["remote-sensing"] if results.is_mlrsnet or results.is_synthetic else []
        evaluated = model_index(results, self.dataset_id)
        return ModelCardData(
            **license_fields(self.license, self.origin),
            library_name="timm",
            pipeline_tag=TASK,
            tags=[TASK, "timm", "transformers", *multi_label, *remote_sensing, *mlrsnet],
            datasets=[self.dataset_id] if self.dataset_id else None,
            base_model=self.origin.repository,
            metrics=list(dict.fromkeys(result.metric_type for result in evaluated)),
            model_name=self.name,
            eval_results=evaluated,
        )


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
    arguments = {"seed": source.get("split_seed"), "labels": source.get("labels"), "held_out": held_out or None}
    return EvalResult(
        task_type=TASK,
        task_name="Image classification" if results.task == "scene" else "Multi-label image classification",
        dataset_type=dataset_id or results.dataset_name.lower(),
        dataset_name="MLRSNet, a part" if results.is_mlrsnet and not results.is_whole_release else results.dataset_name,
        dataset_config=source.get("protocol"),
        dataset_split="train" if held_out else results.split,
        dataset_args={key: value for key, value in arguments.items() if value is not None} or None,
        metric_type=_METRIC_TYPES.get(name, "f1" if "f1" in name else name),
        metric_name=metric_title(name) + (", tuned thresholds" if tuned else "") + _views(results, ""),
        metric_value=round(value, 6),
        metric_args=metric_arguments(results, name, tuned) or None,
    )


def _views(results: RunResults, more: str) -> str:
    return f", {results.eval_symmetries} views{more}" if results.eval_symmetries > 1 else ""


def _sizes(results: RunResults) -> str:
    held_out = " (held out of train)" if results.data.get("held_out") else ""
    return ", ".join(
        f"{name} {count:,}{held_out if name == 'validation' else ''}" for name, count in results.images.items() if count
    )


def _shares(results: RunResults) -> dict[str, Any] | None:
    """Return how MLRSNet's images were divided; None for other protocols and data."""
    match = re.fullmatch(r"(ratio|grouped)(\d+)", str(results.data.get("protocol")))
    return {"grouped": match[1] == "grouped", "train": int(match[2])} if results.is_mlrsnet and match else None


def _flattering(results: RunResults) -> list[str]:
    """Return what the validation split has chosen."""
    epoch = ["the epoch"] if results.config.get("keep") != "last" else []
    return epoch + (["the thresholds"] if results.tuned else [])


def _scores(results: RunResults) -> tuple[list[str], list[list[str]]]:
    """Return the scores, at 0.5 and at tuned thresholds, on every split that has some: titles of columns, and rows."""
    columns: dict[str, Mapping[str, float | None]] = {}
    for split in ("test", "validation"):
        if scores := results.scores.get(split):
            columns[split] = scores
        if results.tuned and (tuned := results.tuned.get(split)):
            columns[f"{split}, tuned thresholds"] = tuned
    names = dict.fromkeys(name for scores in columns.values() for name in scores)
    rows = [[metric_title(name), *(number(scores.get(name)) for scores in columns.values())] for name in names]
    return list(columns), rows


def _labels(results: RunResults) -> tuple[list[str], list[list[str]]]:
    """Return the scores of each label; of each scene, the highest of which decides, where scenes alone are learned."""
    columns = ["label", "images", "average precision", "F1", "threshold"]
    rows = [
        [
            row["label"],
            f"{row['images']:,}",
            number(row.get("average_precision")),
            number(row.get("f1")),
            number(row.get("threshold"), 3),
        ]
        for row in results.labels
    ]
    return (["scene", *columns[1:-1]], [row[:-1] for row in rows]) if results.task == "scene" else (columns, rows)


def _beside_the_paper(results: RunResults) -> dict[str, Any] | None:
    """Return what sets the scores beside those of the paper; None where nothing compares."""
    ratio = {f"ratio{ratio}": ratio for ratio in CLASSIFICATION_RATIOS}.get(str(results.data.get("protocol")))
    if ratio is None or not results.is_whole_release or results.split != "test" or "map" not in results.values:
        return None
    network = paper_name(str(results.model["architecture"]))
    best = max(TABLE6_MAP, key=lambda name: TABLE6_MAP[name][ratio])
    of_each_image = _views(results, " of each image")
    f1 = [number(results.values.get(name)) for name in ("sample_f1", "f1_of_means")]
    rows = [[f"this model{of_each_image}", f"{100 * results.values['map']:.2f}", *f1]]
    for name in filter(None, dict.fromkeys((network, best))):
        rows.append([f"{name}, paper", f"{TABLE6_MAP[name][ratio]:.2f}", *[f"{TABLE7_F1[name][ratio]:.4f}"] * 2])
    return {"ratio": ratio, "network": network, "best": best, "rows": rows}


def _answer(results: RunResults) -> str:
    """Return the line of the card's code that names what is in an image."""
    if results.task == "scene":
        return "print(max(zip(scores, names)))"
    threshold = "thresholds[name]" if results.tuned else "0.5"
    return f"print({{name: score for name, score in zip(names, scores) if score > {threshold}}})"


def _settings(results: RunResults) -> list[list[str]]:
    """Return the settings that say how the model was trained."""
    batch, run = results.run.get("batch", {}), results.run
    settings = dict(results.config)
    if results.task != "labels+scene":
        settings.pop("scene_weight", None)  # weighs nothing
    if settings.get("keep") == "best":
        chosen = settings.get("best_metric") or ("scene_accuracy" if results.task == "scene" else "map")
        settings["keep"] = f"the best by {metric_title(chosen)} on validation"
    precision = run.get("precision")
    return [
        *([text, _shown(settings[name])] for name, text in SETTINGS.items() if settings.get(name) is not None),
        ["batch, over all processes and parts", _shown(batch.get("global", results.config.get("batch_size")))],
        ["processes", _shown(run.get("processes"))],
        ["precision", "float32" if precision == "no" else _shown(precision)],  # Accelerate's name says little alone
    ]


def _shown(value: Any) -> str:  # noqa: ANN401 - any setting
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _took(run: Mapping[str, Any]) -> str:
    seconds = run.get("seconds") or 0
    if not seconds:
        return ""
    time = f"{seconds / 60:,.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
    return f" It took {time}{' on ' + run['device'] if run.get('device') else ''}."
