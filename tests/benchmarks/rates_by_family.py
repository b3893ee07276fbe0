"""Whether each family's row trains, over a grid of rates: python tests/benchmarks/rates_by_family.py --dataset PATH.

A tiny network of each family learns synthetic scenes for a while, by their labels: no masking, no text. Then it is
fine-tuned on the training images of a dataset by its family's row, at multiples of the row's rate, and scored on the
validation images at its last epoch. The table gives macro mean average precision in per cent; the column of 1 is the
row's own rate. It says that the way from weights through a row to a score works. Which rate is best for a network of
usual size and its published weights, networks this small do not tell.

A run that is done is not done again: it lies in `--output`.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

from datasets import concatenate_datasets

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.synthetic.release import write_synthetic_release
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.families import FAMILIES
from mlrsnet_hf.training.recipes import demo, modern
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.train import train

NETWORKS = {
    "cnn_batchnorm": "test_resnet",
    "cnn_plain": "test_nfnet",
    "convnext": "test_convnext",
    "hierarchical": "test_mambaout",
    "hierarchical_masked": "test_convnext2",
    **dict.fromkeys([name for name in FAMILIES if name.startswith("vit_")], "test_vit"),
}
"""timm's smallest network of each family's architectures."""


def main() -> None:
    """Do the runs that are left, then print the table."""
    arguments = _arguments()
    with exit_on_error():
        data = load_data(DataConfig(dataset=str(arguments.dataset)))
        if arguments.images:
            part = data.splits["train"].shuffle(seed=0).select(range(min(arguments.images, len(data.splits["train"]))))
            data = dataclasses.replace(data, splits={**data.splits, "train": part})
        scenes = synthetic_scenes(arguments)
        multiples = " | ".join(f"x {multiple:g}" for multiple in arguments.rates)
        lines = [
            f"| Family | Network | Rate at {arguments.batch_size} | {multiples} |",
            f"|---|---|---:|{'---:|' * len(arguments.rates)}",
        ]
        for family in arguments.families:
            weights = pretrained(arguments, NETWORKS[family], scenes)
            scores = [fine_tuned(arguments, family, weights, multiple, data) for multiple in arguments.rates]
            cells = " | ".join(f"{100 * score:.1f}" for score in scores)
            rate = FAMILIES[family].learning_rate(arguments.batch_size)
            lines.append(f"| `{family}` | `{NETWORKS[family]}` | {rate:.3g} | {cells} |")
    print("\n".join(lines))
    print(f"\n{time.process_time():.0f} seconds of processor time in this process")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="Images with label lists, train and validation.")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 1.0, 10.0], help="Multiples of the row's.")
    parser.add_argument("--images", type=int, help="Training images to take, drawn at random; all if not given.")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3, help="Of fine-tuning.")
    parser.add_argument("--pretraining-epochs", type=int, default=8)
    parser.add_argument(
        "--images-per-scene", type=int, default=20, help="Synthetic images to learn from, of 46 scenes."
    )
    parser.add_argument("--output", type=Path, default=Path("rates_by_family"))
    return parser.parse_args()


def synthetic_scenes(arguments: argparse.Namespace) -> ImageData:
    """Return drawn scenes, all but the validation images to learn from."""
    folder = arguments.output / f"scenes-{arguments.images_per_scene}"
    if not folder.exists():
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_synthetic_release(folder, arguments.images_per_scene, seed=0, processes=1)
    drawn = load_data(DataConfig(data_dir=str(folder)))
    learned = concatenate_datasets([drawn.splits["train"], drawn.splits["test"]])
    return dataclasses.replace(drawn, splits={"train": learned, "validation": drawn.splits["validation"]})


def pretrained(arguments: argparse.Namespace, network: str, scenes: ImageData) -> Path:
    """Return the folder of a run in which a network has learned the scenes from random weights."""
    config = demo(
        model=network,
        learning_rate=2e-3,
        clip_norm=1.0,
        epochs=arguments.pretraining_epochs,
        **_common(arguments, f"pretrained-{network}"),
    )
    run(config, scenes)
    return config.output_dir


def fine_tuned(arguments: argparse.Namespace, family: str, weights: Path, multiple: float, data: ImageData) -> float:
    """Return the validation mAP, as a fraction, after a run by a family's row at a multiple of its rate."""
    config = modern(
        model=NETWORKS[family],
        weights=str(weights),
        family=family,
        batch_size=arguments.batch_size,
        learning_rate=multiple * FAMILIES[family].learning_rate(arguments.batch_size),
        train_scale=1.0,
        epochs=arguments.epochs,
        **_common(arguments, f"{family}-{multiple:g}"),
    )
    return run(config, data).scores.validation["map"]


def _common(arguments: argparse.Namespace, name: str) -> dict[str, object]:
    return {
        "output_dir": arguments.output / name,
        "image_size": arguments.image_size,
        "cpu_threads": 1,
        "keep": "last",
        "tune_thresholds": False,
        "trackers": (),
        "cache": "disk",
        "cache_dir": arguments.output / "decoded",
        "resume": True,
    }


def run(config: TrainingConfig, data: ImageData) -> TrainingResult:
    """Return the result of a run, which is read where it has ended before."""
    results = config.output_dir / "results.json"
    return TrainingResult.load(results) if results.exists() else train(config, data)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
