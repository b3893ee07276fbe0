"""What each part of the `modern` recipe is worth: python tests/benchmarks/ablate_recipe.py --dataset PATH.

The training and validation images of a multi-label set are pooled and cut into two halves, by a seed and scene by
scene. Each row of the table changes `modern` in one part, trains on one half and is scored on the other, at the last
epoch, so that nothing is chosen on the images that are scored. `--both` swaps the halves too. The table gives macro
mean average precision in per cent and the seconds of each run; one JSON line per run goes to `--output`.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import concatenate_datasets

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import modern
from mlrsnet_hf.training.trainer import train

Changes = Mapping[str, Any]

BASELINE: Changes = {
    "epochs": 15,
    "train_scale": 1.0,
    "crop_scale": 0.77,
    "symmetries": 4,
    "jitter": 0.0,
    "schedule": "linear",
    "warmup": 0.3,
    "learning_rate": 1e-3,
    "head_rate": 1.0,
    "weight_decay": 0.01,
    "clip_norm": 0.0,
    "ema": 0.0,
}
"""Run (a): a plain fine-tuning of the whole network at the size of evaluation."""

ROWS: dict[str, Changes] = {
    "modern": {},
    "crop and flips, one-cycle (a)": BASELINE,
    "cosine, average of 100 steps": {"schedule": "cosine", "ema": 0.99},
    "without average of weights": {"ema": 0.0},
    "four symmetries": {"symmetries": 4},
    "trained at the size of evaluation": {"train_scale": 1.0},
    "trained at 160 pixels of 224": {"train_scale": 0.714},
    "rate x 2": {"learning_rate": 2e-3},
    "one rate for head and backbone": {"head_rate": 1.0},
    "layer decay 0.8": {"layer_decay": 0.8},
    "crops from 0.35": {"crop_scale": 0.35},
    "jitter 0.2": {"jitter": 0.2},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "asymmetric loss": {"loss": "asymmetric"},
    "dropout 0.2": {"drop_rate": 0.2},
    "batches of 16": {"batch_size": 16},
    "scene as a second task": {"scene_head": True},
}


def main() -> None:
    """Run the rows that are asked for and print the table."""
    arguments = _arguments()
    with exit_on_error():
        data = load_data(DataConfig(dataset=str(arguments.dataset)))
    scores: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    for seed in range(arguments.seeds):
        for half in range(1 + arguments.both):
            for name in arguments.rows or ROWS:
                config = _config(name, seed, arguments)
                score, took = _run(config, halves(data, half))
                scores[name].append(score)
                seconds[name].append(took)
                _log(arguments.output, name=name, seed=seed, half=half, map=score, seconds=took)
    print(table(scores, seconds))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="A dataset with images, label lists and scenes.")
    parser.add_argument("--weights", default="pretrained", help="As the trainer's --weights.")
    parser.add_argument("--epochs", type=int, help="Of every row; by default the row's own.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--both", action="store_true", help="Train on either half.")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help=f"Any of: {'; '.join(ROWS)}.")
    parser.add_argument("--output", type=Path, default=Path("ablation.jsonl"))
    return parser.parse_args()


def _config(name: str, seed: int, arguments: argparse.Namespace) -> TrainingConfig:
    changes = {"weights": arguments.weights, "seed": seed, "keep": "last", "tune_thresholds": False, "trackers": ()}
    if arguments.epochs:
        changes["epochs"] = arguments.epochs
    return modern(**dict(ROWS[name]) | changes)


def halves(data: ImageData, half: int) -> ImageData:
    """Return one half of the pooled images as `train`, the other as `validation`, each scene shared evenly.

    Args:
        data: With scenes.
        half: 0 or 1.
    """
    pool = concatenate_datasets([data.splits["train"], data.splits["validation"]])
    draw = np.random.default_rng(0)
    side = np.empty(len(pool), int)
    scenes = np.array(pool["scene"][:])
    for scene in np.unique(scenes):
        rows = draw.permutation(np.flatnonzero(scenes == scene))
        side[rows] = (np.arange(len(rows)) + scene) % 2
    parts = {
        "train": pool.select(np.flatnonzero(side != half)),
        "validation": pool.select(np.flatnonzero(side == half)),
    }
    return dataclasses.replace(data, splits=parts)


def _run(config: TrainingConfig, data: ImageData) -> tuple[float, float]:
    """Return the mean average precision of the held-out half, in per cent, and the seconds of the run."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = train(dataclasses.replace(config, output_dir=Path(folder) / "run"), data)
        return 100 * result.scores.validation["map"], time.perf_counter() - started


def _log(path: Path, **record: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def table(scores: Mapping[str, list[float]], seconds: Mapping[str, list[float]]) -> str:
    """Return the rows as a Markdown table, with the deviation over runs if there are several."""
    lines = ["| Recipe | mAP | runs | seconds |", "|---|---:|---:|---:|"]
    for name, values in scores.items():
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        lines.append(
            f"| {name} | {statistics.mean(values):.2f}{spread} | {len(values)} | {statistics.mean(seconds[name]):.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
