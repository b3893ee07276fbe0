"""The card of a model: what its run says of itself, in the words of templates/model_card.md."""

import re
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCardData

from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.evaluation.intervals import Intervals
from mlrsnet_hf.evaluation.scores import FEW_IMAGES, Metrics, threshold_text
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.metrics.citations import PAPER, PAPER_URL
from mlrsnet_hf.models.paper_networks import paper_name
from mlrsnet_hf.paper_tables import CLASSIFICATION_RATIOS, TABLE6_MAP, TABLE7_F1
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.published import TOTAL_IMAGES
from mlrsnet_hf.publishing.cards import number, render
from mlrsnet_hf.publishing.learned_data import LearnedData
from mlrsnet_hf.publishing.model_index import TASK, defined_scores, evaluation_index, model_index, views_text
from mlrsnet_hf.publishing.origin import Origin, license_fields
from mlrsnet_hf.training.results import RunSummary, TrainingResult

SETTINGS = {
    "family": "recipe by family of networks",
    "epochs": "epochs",
    "repeat_threshold": "images with rarer labels repeated, share (0: none)",
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "head_rate": "rate of the classifier, times that",
    "layer_decay": "decay of the rate by layer",
    "head_init_scale": "first values of the classifier, times",
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
    "history.csv": "losses and validation scores by epoch",
    "history.json": "the same",
    "curves.png": "the same, drawn",
}
"""What lies beside a card -> what the card says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A card, and with it the model's place on the Hub."""

    repo_id: str
    results: TrainingResult
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
    evaluations: tuple[EvaluationResult, ...] = ()
    """What the model was measured on after its run."""
    benchmark_id: str | None = None
    """Dataset repository of the benchmark that the model is a part of."""

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
        results, data = self.results, LearnedData(self.results.data)
        score_columns, score_rows = _scores(results)
        label_columns, label_rows = _labels(results)
        return render(
            "model_card.md",
            card=self,
            results=results,
            data=data,
            origin=self.origin,
            reading=data.reading,
            header=self._header().to_yaml(),
            sizes=_sizes(data),
            release_total=TOTAL_IMAGES,
            shares=_shares(data),
            flattering=_flattering(results),
            score_columns=score_columns,
            score_rows=score_rows,
            evaluations=[_evaluation_part(result) for result in self.evaluations],
            paper=_beside_the_paper(results),
            paper_url=PAPER_URL,
            answer=_answer(results),
            settings=_settings(results),
            reported=defined_scores(results),
            tuned=defined_scores(results, tuned=True),
            took=_took(results.run),
            few=_few(results),
            few_images=FEW_IMAGES,
            label_columns=label_columns,
            label_rows=label_rows,
            files=FILES,
            citation=PAPER,
        )

    def _header(self) -> ModelCardData:
        results, data = self.results, LearnedData(self.results.data)
        multi_label = [] if results.task == "scene" else ["multi-label"]
        mlrsnet = ["mlrsnet"] if data.is_mlrsnet else []
        remote_sensing = ["remote-sensing"] if data.in_layout or data.is_synthetic else []
        evaluated = model_index(results, self.dataset_id)
        for evaluation in self.evaluations:
            # Two at other thresholds have the scores at 0.5 in common.
            evaluated += [entry for entry in evaluation_index(evaluation) if entry not in evaluated]
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


def _sizes(data: LearnedData) -> str:
    held_out = " (held out of train)" if data.source["held_out"] else ""
    sizes = {name: f"{name} {count:,}" for name, count in data.summary.images.items() if count}
    return ", ".join(text + held_out if name == "validation" else text for name, text in sizes.items())


def _shares(data: LearnedData) -> dict[str, Any] | None:
    """Return how MLRSNet's images were divided; None for other protocols and data."""
    match = re.fullmatch(r"(ratio|grouped)(\d+)", str(data.source["protocol"]))
    return {"grouped": match[1] == "grouped", "train": int(match[2])} if data.in_layout and match else None


def _flattering(results: TrainingResult) -> list[str]:
    """Return what the validation split has chosen."""
    epoch = ["the epoch"] if results.config.keep != "last" else []
    return epoch + (["the thresholds"] if results.tuned else [])


def _scores(results: TrainingResult) -> tuple[list[str], list[list[str]]]:
    """Return the scores, at 0.5 and at tuned thresholds, on every split that has some: titles of columns, and rows."""
    columns = {
        split + suffix: scores
        for split in ("test", "validation")
        for suffix, of_splits in (("", results.scores), (", tuned thresholds", results.tuned))
        if (scores := getattr(of_splits, split, None))
    }
    intervals = {
        split + suffix: getattr(getattr(results.intervals, split, None), part, None) or {}
        for split in ("test", "validation")
        for suffix, part in (("", "scores"), (", tuned thresholds", "tuned"))
    }

    def cell(column: str, name: str) -> str:
        value, bounds = number(columns[column].get(name)), intervals[column].get(name)
        return f"{value} ({bounds.text})" if bounds is not None and bounds.are_defined else value

    names = dict.fromkeys(name for scores in columns.values() for name in scores)
    rows = [[metric_title(name), *(cell(column, name) for column in columns)] for name in names]
    return list(columns), rows


def _few(results: TrainingResult) -> list[str]:
    """Return the labels whose thresholds few images chose, with their number, the fewest first."""
    few = results.tuned.few if results.tuned else {}
    return [f"{name} ({count})" for name, count in sorted(few.items(), key=lambda one: one[1])]


def _labels(results: TrainingResult) -> tuple[list[str], list[list[str]]]:
    """Return the scores of each label that occurs; where scenes alone are learned, of each scene."""
    columns = ["label", "images", "average precision", "F1", "threshold"]
    rows = [
        [row.label, f"{row.images:,}", number(row.average_precision), number(row.f1), threshold_text(row.threshold)]
        for row in results.labels
        if row.images
    ]
    return (["scene", *columns[1:-1]], [row[:-1] for row in rows]) if results.task == "scene" else (columns, rows)


def _evaluation_part(result: EvaluationResult) -> dict[str, Any]:
    """Return what the card says of an evaluation."""
    info = result.info
    columns = [("score", result.scores, result.intervals.scores)]
    if info.kind != "scene":
        columns[0] = ("at 0.5", *columns[0][1:])
    if result.at_thresholds is not None:
        columns.append((f"thresholds of {info.thresholds_from}", result.at_thresholds, result.intervals.tuned or {}))

    def cell(scores: Metrics, intervals: Intervals, name: str) -> str:
        bounds = intervals.get(name)
        text = number(scores.get(name))
        return f"{text} ({bounds.text})" if bounds is not None and bounds.are_defined else text

    rows = [
        [metric_title(name), *(cell(scores, intervals, name) for _, scores, intervals in columns)]
        for name in result.scores
    ]
    return {
        "data": info.data,
        "name": on_one_line(info.data.name, 200),
        "columns": [title for title, _, _ in columns],
        "rows": rows,
        "notes": result.notes(),
    }


def _beside_the_paper(results: TrainingResult) -> dict[str, Any] | None:
    """Return what sets the scores beside those of the paper; None where nothing compares."""
    data, scores = LearnedData(results.data), defined_scores(results)
    ratio = {f"ratio{ratio}": ratio for ratio in CLASSIFICATION_RATIOS}.get(str(data.source["protocol"]))
    if ratio is None or not data.is_whole_release or results.scored_split != "test" or "map" not in scores:
        return None
    network = paper_name(results.model.architecture)
    best = max(TABLE6_MAP, key=lambda name: TABLE6_MAP[name][ratio])
    of_each_image = views_text(results, " of each image")
    f1 = [number(scores.get(name)) for name in ("sample_f1", "f1_of_means")]
    rows = [[f"this model{of_each_image}", f"{100 * scores['map']:.2f}", *f1]]
    for name in filter(None, dict.fromkeys((network, best))):
        rows.append([f"{name}, paper", f"{TABLE6_MAP[name][ratio]:.2f}", *[f"{TABLE7_F1[name][ratio]:.4f}"] * 2])
    return {"ratio": ratio, "network": network, "best": best, "rows": rows}


def _answer(results: TrainingResult) -> str:
    """Return the line of the card's code that names what is in an image."""
    if results.task == "scene":
        return "print(max(zip(scores, names)))"
    threshold = "thresholds[name]" if results.tuned else "0.5"
    return f"print({{name: score for name, score in zip(names, scores) if score > {threshold}}})"


def _settings(results: TrainingResult) -> list[list[str]]:
    """Return the settings that say how the model was trained."""
    settings = results.config.to_dict() | {"learning_rate": results.learning_rate}
    if results.rate_trials is not None:
        rates = len(results.rate_trials.rates)
        settings["learning_rate"] = f"{results.learning_rate:g}, the best of {rates} on training images held out"
    if results.config.head_init_scale == 1:
        del settings["head_init_scale"]  # leaves them as they are
    if results.task != "labels+scene":
        del settings["scene_weight"]  # weighs nothing
    if results.config.keep == "best":
        settings["keep"] = f"the best by {metric_title(results.config.selection_metric)} on validation"
    precision, batch = results.run.precision, results.run.batch.get("global")
    return [
        *([text, _shown(settings[name])] for name, text in SETTINGS.items() if settings.get(name) is not None),
        ["batch, over all processes and parts", f"{batch:,}" if batch is not None else ""],
        ["processes", _shown(results.run.processes)],
        ["precision", "float32" if precision == "no" else precision],  # Accelerate's name says little alone
    ]


def _shown(value: Any) -> str:  # noqa: ANN401 - any setting
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _took(run: RunSummary) -> str:
    if not run.seconds:
        return ""
    time = f"{run.seconds / 60:,.1f} minutes" if run.seconds >= 60 else f"{run.seconds:.0f} seconds"
    return f" It took {time}{f' on {run.device}' if run.device else ''}."
