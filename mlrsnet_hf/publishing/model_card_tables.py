"""The tables of a model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.metrics.citations import PAPER_URL
from mlrsnet_hf.paper_tables import CLASSIFICATION_RATIOS, TABLE6_MAP, TABLE7_F1
from mlrsnet_hf.publishing.run_results import RunResults

_RATIO_PROTOCOLS = {f"ratio{ratio}": ratio for ratio in CLASSIFICATION_RATIOS}

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
_PRECISIONS = {"no": "float32"}
"""Accelerate's names that say little alone."""

_FILES = {
    "model.safetensors": "the weights, for timm and transformers",
    "config.json": "architecture, labels, preprocessing and thresholds, for both",
    "scene_head.safetensors": "the scene's classifier",
    "settings.yaml": "every setting of the run",
    "results.json": "scores, thresholds and history of the run",
    "history.csv": "loss and validation scores by epoch",
    "history.json": "the same",
    "curves.png": "the same, drawn",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table whose first `left` columns are text and the others numbers."""
    lines = [header, ["---"] * left + ["---:"] * (len(header) - left), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Return text so that no sign of it ends the cell or is taken for HTML."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def score_table(results: RunResults) -> str:
    """Return the scores, at 0.5 and at tuned thresholds, on every split that has some."""
    columns: list[tuple[str, Mapping[str, float | None]]] = []
    for split in ("test", "validation"):
        if scores := results.scores.get(split):
            columns.append((split, scores))
        if results.tuned and (tuned := results.tuned.get(split)):
            columns.append((f"{split}, tuned thresholds", tuned))
    names = dict.fromkeys(name for _, scores in columns for name in scores)
    rows = [[metric_title(name), *(_number(scores.get(name)) for _, scores in columns)] for name in names]
    return table(["metric", *(title for title, _ in columns)], rows)


def label_table(results: RunResults) -> str:
    """Return the scores of each label; of each scene where scenes alone are learned."""
    header = ["label", "images", "average precision", "F1", "threshold"]
    rows = [
        [
            row["label"],
            f"{row['images']:,}",
            _number(row.get("average_precision")),
            _number(row.get("f1")),
            _number(row.get("threshold"), 3),
        ]
        for row in results.labels
    ]
    if results.task == "scene":  # the highest score decides
        return table(["scene", *header[1:-1]], [row[:-1] for row in rows])
    return table(header, rows)


def recipe_table(results: RunResults) -> str:
    """Return the settings that say how the model was trained."""
    batch, run = results.run.get("batch", {}), results.run
    settings = dict(results.config)
    if results.task != "labels+scene":
        settings.pop("scene_weight", None)  # weighs nothing
    if settings.get("keep") == "best":
        chosen = settings.get("best_metric") or ("scene_accuracy" if results.task == "scene" else "map")
        settings["keep"] = f"the best by {metric_title(chosen)} on validation"
    rows = [[text, _shown(settings[name])] for name, text in SETTINGS.items() if settings.get(name) is not None]
    rows += [
        ["batch, over all processes and parts", _shown(batch.get("global", results.config.get("batch_size")))],
        ["processes", _shown(run.get("processes"))],
        ["precision", _PRECISIONS.get(str(run.get("precision")), _shown(run.get("precision")))],
    ]
    return table(["setting", "value"], rows, left=2)


def comparison(results: RunResults) -> str:
    """Return the section that sets the scores beside those of the paper; empty where nothing compares."""
    ratio = _RATIO_PROTOCOLS.get(str(results.data.get("protocol")))
    if ratio is None or not results.is_whole_release or results.split != "test" or "map" not in results.values:
        return "\n"
    from mlrsnet_hf.models.paper_networks import paper_name  # brings torch

    network = paper_name(str(results.model["architecture"]))
    best = max(TABLE6_MAP, key=lambda name: TABLE6_MAP[name][ratio])
    shown = [name for name in dict.fromkeys((network, best)) if name]
    views = f", {results.eval_symmetries} views of each image" if results.eval_symmetries > 1 else ""
    rows = [[f"this model{views}", f"{100 * results.values['map']:.2f}", _number(results.values.get("sample_f1"))]]
    rows[0].append(_number(results.values.get("f1_of_means")))
    rows += [
        [
            f"{name}, paper",
            f"{TABLE6_MAP[name][ratio]:.2f}",
            f"{TABLE7_F1[name][ratio]:.4f}",
            f"{TABLE7_F1[name][ratio]:.4f}",
        ]
        for name in shown
    ]
    which = "the row is that of the same network" if network else "they have no row for this network"
    also = "" if network == best else f", and {best} has the best mAP there"
    return (
        f"\n### Beside the paper\n\n[Qi et al. (2020)]({PAPER_URL}), Tables 6 and 7, {ratio} percent training; "
        f"{which}{also}.\n\n{table(['', 'mAP in percent', 'sample-F1', 'F1 of means'], rows)}\n\n"
        "The paper trained Keras' networks from Keras' weights for 10 epochs, decides at a threshold of 0.5, publishes "
        "no lists of images, and does not say which of the two F1 its Table 7 shows; its number stands in both. "
        "Its values are means of five repeats, those of this model are of one run, at 0.5 too.\n\n"
    )


def file_list(names: Sequence[str]) -> str:
    """Return what lies beside the card, one line each."""
    return "\n".join(f"- `{name}`: {_FILES[name]}" for name in _FILES if name in names)


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _shown(value: Any) -> str:  # noqa: ANN401 - any setting
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
