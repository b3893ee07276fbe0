"""Whether a change of the recipe helps: repeated cross-validation over several sets, paired with a named peer.

Run `python tests/benchmarks/cross_validate.py --dataset PATH ... --weights FILE --rows modern "crops from 0.35"`.

The training and validation images of each set are pooled and cut into folds, scene by scene; near-duplicates share a
fold. Each row of the table trains on all folds but one and scores that one at its last epoch, so that nothing is
chosen on the images that are scored, and every image is scored once per seed. `plain` is the plainest fine-tuning
there is, in a loop of its own. The table gives, per set, macro mean average precision in per cent, the mean over folds
and seeds; the difference to the first row, with the 95 percent interval of a paired bootstrap over the groups of
near-duplicates; and the seconds of processor time of one run.

A run that is done is not done again: its scores lie in `--output`. Start as many of these as there are cores.
"""

import argparse
import dataclasses
import io
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from datasets import Dataset, concatenate_datasets
from datasets import Image as ImageFeature
from PIL import Image
from torchvision import transforms

from mlrsnet_hf.dataset.near_duplicates.groups import near_duplicate_groups
from mlrsnet_hf.evaluation.intervals import rankings, weighted_map
from mlrsnet_hf.evaluation.predict import predict
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.loader import evaluation_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.models.build import build_model
from mlrsnet_hf.models.saved_model import load_model
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.training.recipes import modern
from mlrsnet_hf.training.train import train

PLAIN = "plain"
ROWS: dict[str, Mapping[str, Any]] = {
    PLAIN: {},
    "modern": {},
    "cosine, average of 100 steps": {"schedule": "cosine", "ema": 0.99},
    "without average of weights": {"ema": 0.0},
    "four symmetries": {"symmetries": 4},
    "trained at the size of evaluation": {"train_scale": 1.0},
    "trained at 160 pixels of 224": {"train_scale": 0.714},
    "256 pixels, trained at 224": {"image_size": 256, "train_scale": 0.875},
    "320 pixels, trained at 256": {"image_size": 320, "train_scale": 0.8},
    "rate x 2": {"learning_rate": 2e-3},
    "rate / 2.5": {"learning_rate": 4e-4},
    "one rate for head and backbone": {"head_rate": 1.0},
    "layer decay 0.8": {"layer_decay": 0.8},
    "crops from 0.35": {"crop_scale": 0.35},
    "jitter 0.2": {"jitter": 0.2},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "asymmetric loss": {"loss": "asymmetric"},
    "dropout and stochastic depth 0.2": {"drop_rate": 0.2, "drop_path_rate": 0.2},
    "batches of 16": {"batch_size": 16},
    "rare labels repeated": {"repeat_threshold": 0.05},
    "scene as a second task": {"scene_head": True},
}
"""What each row changes in `modern`."""


def main() -> None:
    """Do the runs that are left, then print a table for each set."""
    arguments = _arguments()
    torch.set_num_threads(1)  # the clock of the processor then counts work, not threads that wait
    arguments.output.mkdir(parents=True, exist_ok=True)
    for path in arguments.dataset:
        with exit_on_error():
            data = load_data(DataConfig(dataset=str(path)))
        pool = concatenate_datasets([data.splits["train"], data.splits["validation"]])
        groups = groups_of(pool, arguments.output / f"{path.name}-groups.json")
        fold_of = folds(np.array(pool["scene"][:]), groups, arguments.folds)
        for seed in range(arguments.seeds):
            for fold in range(arguments.folds):
                for row in arguments.rows:
                    run_once(arguments, row, seed, fold, data, pool, fold_of)
        print(f"\n{path.name}, {len(pool)} images, {arguments.folds} folds, {arguments.seeds} seeds\n")
        print(table(arguments, path.name, groups))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--dataset", type=Path, nargs="+", required=True, help="Datasets with images, label lists and scenes."
    )
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--weights", default="pretrained", help="As the trainer's --weights.")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[PLAIN, "modern"], metavar="ROW")
    parser.add_argument("--epochs", type=int, help="Of every row; by default 18 for modern, 15 for plain.")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--draws", type=int, default=1000, help="Of the bootstrap.")
    parser.add_argument("--output", type=Path, default=Path("cross_validation"))
    return parser.parse_args()


def groups_of(pool: Dataset, path: Path) -> np.ndarray:
    """Return the (N,) number of each image's group of near-duplicates, which is kept in a file."""
    if not path.exists():
        stored = pool.cast_column("image", ImageFeature(decode=False))
        found = near_duplicate_groups((str(row), record["image"]["bytes"]) for row, record in enumerate(stored))
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps([found[str(row)] for row in range(len(pool))]))
    return np.array(json.loads(path.read_text()))


def folds(scenes: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Return the (N,) fold of each image: each scene shared evenly, each group whole.

    Args:
        scenes: (N,) ids.
        groups: (N,) numbers.
        count: Number of folds.
    """
    draw = np.random.default_rng(0)
    fold_of = np.empty(len(scenes), int)
    filled = np.zeros((scenes.max() + 1, count))
    for group in draw.permutation(np.unique(groups)):
        members = np.flatnonzero(groups == group)
        held = filled[scenes[members[0]]]
        fold_of[members] = fold = int(np.argmin(held + draw.random(count) / 2))
        held[fold] += len(members)
    return fold_of


def run_once(
    arguments: argparse.Namespace,
    row: str,
    seed: int,
    fold: int,
    data: ImageData,
    pool: Dataset,
    fold_of: np.ndarray,
) -> None:
    """Train a row on all folds but one, score that one, and keep what came out."""
    path = run_file(arguments, Path(str(data.source["dataset"])).name, row, seed, fold)
    if path.exists():
        return
    held_out = np.flatnonzero(fold_of == fold)
    parts = {"train": pool.select(np.flatnonzero(fold_of != fold)), "validation": pool.select(held_out)}
    parted = dataclasses.replace(data, splits=parts)
    started = time.process_time()
    if row == PLAIN:
        targets, scores = plain(arguments, parted, seed)
    else:
        targets, scores = trained(arguments, dict(ROWS[row]), parted, seed)
    seconds = time.process_time() - started
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, rows=held_out, targets=targets, scores=scores, seconds=seconds)


def run_file(arguments: argparse.Namespace, dataset: str, row: str, seed: int, fold: int) -> Path:
    """Return where the scores of a run lie."""
    length = f"-{arguments.epochs}-epochs" if arguments.epochs else ""
    name = f"{dataset}-{arguments.model}-{row}{length}-seed{seed}-fold{fold}of{arguments.folds}.npz"
    return Path(arguments.output) / name.replace(" ", "_").replace("/", "over")


def trained(
    arguments: argparse.Namespace, changes: dict[str, Any], data: ImageData, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, L) targets and scores of the held-out fold after a run of the trainer."""
    changes |= {"model": arguments.model, "weights": arguments.weights, "seed": seed, "cpu_threads": 1}
    changes |= {"keep": "last", "tune_thresholds": False, "trackers": ()}
    if arguments.epochs:
        changes["epochs"] = arguments.epochs
    with tempfile.TemporaryDirectory() as folder:
        train(modern(**changes, output_dir=Path(folder) / "run"), data)
        saved = load_model(Path(folder) / "run" / "model")
    transform = saved.preprocessing.evaluation_transform()
    images = SplitImages(data.splits["validation"], saved.task, transform, reading=saved.preprocessing.reading)
    accelerator = Accelerator(cpu=True)
    loader = evaluation_loader(images, 64, 0, accelerator)
    predictions = predict(saved.model, loader, saved.preprocessing, accelerator)
    return predictions.targets, predictions.scores


def plain(arguments: argparse.Namespace, data: ImageData, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what `trained` does after the plainest fine-tuning: crops, flips, AdamW and a one-cycle rate."""
    torch.manual_seed(seed)
    side, batch, epochs = 224, 32, arguments.epochs or 15
    normalize = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    flips = [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()]
    resize = transforms.Resize((256, 256))
    learn = transforms.Compose([resize, transforms.RandomCrop(side), *flips, *normalize])
    look = transforms.Compose([resize, transforms.CenterCrop(side), *normalize])
    labels = len(data.label_names)
    (images, targets), (held_out, truth) = (_decoded(data.splits[name], labels) for name in ("train", "validation"))
    model = build_model(arguments.model, data.label_names, arguments.weights).to(memory_format=torch.channels_last)
    steps = len(images) // batch
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(images))
        for rows in order[: steps * batch].split(batch):
            pixels = torch.stack([learn(images[row]) for row in rows]).contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(pixels), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    model.eval()
    with torch.inference_mode():
        rows = torch.arange(len(held_out)).split(60)
        logits = [model(torch.stack([look(held_out[row]) for row in part])) for part in rows]
    return truth.numpy(), torch.cat(logits).sigmoid().numpy()


def _decoded(split: Dataset, labels: int) -> tuple[list[Image.Image], torch.Tensor]:
    stored = split.cast_column("image", ImageFeature(decode=False))
    images = [Image.open(io.BytesIO(record["bytes"])).convert("RGB") for record in stored["image"][:]]
    targets = torch.zeros(len(split), labels)
    for row, ids in enumerate(split["labels"][:]):
        targets[row, ids] = 1
    return images, targets


def table(arguments: argparse.Namespace, dataset: str, groups: np.ndarray) -> str:
    """Return the rows of a set as a Markdown table."""
    draw = np.random.default_rng(0)
    unique, numbers = np.unique(groups, return_inverse=True)
    counts = draw.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), arguments.draws)
    weights = np.vstack([np.ones(len(groups)), counts[:, numbers]])
    lines = ["| Recipe | mAP | against the first, 95% | CPU seconds |", "|---|---:|---:|---:|"]
    first: np.ndarray | None = None
    for row in arguments.rows:
        values, seconds = [], []
        for seed in range(arguments.seeds):
            for fold in range(arguments.folds):
                with np.load(run_file(arguments, dataset, row, seed, fold)) as run:
                    ranked = rankings(run["targets"] > 0, run["scores"].astype(float))
                    values.append(100 * weighted_map(ranked, weights[:, run["rows"]]))
                    seconds.append(float(run["seconds"]))
        mean = np.mean(values, axis=0)
        first = mean if first is None else first
        low, high = np.percentile((mean - first)[1:], [2.5, 97.5])
        against = "" if row == arguments.rows[0] else f"{(mean - first)[0]:+.2f} ({low:+.2f} to {high:+.2f})"
        lines.append(f"| {row} | {mean[0]:.2f} | {against} | {np.mean(seconds):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
