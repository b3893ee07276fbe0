"""How fast training images become the network's input, beside datasets with torchvision's v2 transforms.

Run `python tests/benchmarks/bench_inputs.py`. Both sides start from the same JPEG bytes and augment as the recipe
`modern` does: a random square crop at 224 pixels, and all eight symmetries. The figures:

    uint8    batches that are ready for a device, which does the rest; of ours that includes the symmetries, which the
             peer draws for one image at a time, so that there is a row of ours with them too
    float32  turned and normalized on the CPU
    jitter   the same with colors that change, which `modern` does not do

The peer decodes through datasets (Pillow), augments uint8 tensors by torchvision, and is loaded by `DataLoader` with
the number of workers that serves it best. Rounds of both sides alternate, so that ratios hold on a machine that others
use too.
"""

import argparse
import functools
import io
import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.loader import Loader, ThreadedLoader, make_loader
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation, StoredTransform, turn
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing, model_input
from mlrsnet_hf.parallel import available_cores
from mlrsnet_hf.runtime.device import keep_freed_memory
from mlrsnet_hf.training.config import TrainingConfig

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "ucm_release" / "Images"
SIZE, JITTER = 224, 0.2
MODERN = TrainingConfig()
CROP_SCALE, CROP_RATIO, SYMMETRIES = MODERN.crop_scale, MODERN.crop_ratio, MODERN.symmetries
FIGURES = ("uint8", "float32", "jitter")
AHEAD = 4
"""Batches that are made while a GPU is at work, as in `make_loader`."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = Preprocessing(
    image_size=SIZE, crop_pct=1.0, crop_mode="center", interpolation="bicubic", mean=MEAN, std=STD
)


def load_images() -> tuple[datasets.Dataset, str]:
    """Return the images as JPEG bytes, and where they are from."""
    if SHARED.is_dir():
        files, source = [path.read_bytes() for path in sorted(SHARED.glob("*/*.jpg"))], "real scenes"
    else:
        files, source = [synthetic_jpeg(seed) for seed in range(1000)], "synthetic images"
    columns = {
        "id": [f"{number:05d}" for number in range(len(files))],
        "image": [{"bytes": data, "path": None} for data in files],
        "labels": [[number % 60] for number in range(len(files))],
    }
    features = datasets.Features(
        id=datasets.Value("string"), image=datasets.Image(), labels=datasets.Sequence(datasets.Value("int64"))
    )
    return datasets.Dataset.from_dict(columns, features=features), source


def synthetic_jpeg(seed: int) -> bytes:
    """Return a scene-sized picture of smooth noise with some grain, about 14 kB as real ones are."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize((256, 256))
    pixels = np.clip(np.asarray(coarse) + draw.normal(0, 8, (256, 256, 1)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def our_batches(
    split: datasets.Dataset, batch_size: int, figure: str, cached: bool = False, turned: bool = False
) -> Iterator[torch.Tensor]:
    """Yield batches of one epoch after another; those of uint8 as the device gets them, or turned."""
    task = Task(kind="labels", label_names=tuple(map(str, range(60))))
    augment = Augmentation(SIZE, CROP_SCALE, CROP_RATIO, SYMMETRIES, JITTER if figure == "jitter" else 0.0)
    images = SplitImages(split, task, StoredTransform(SIZE), augment)
    if cached:
        images.cache("memory", 10_000)
    batches = ShuffledBatches(len(images), batch_size, seed=0)
    if figure == "uint8":
        loader: Loader = ThreadedLoader(images, batches, available_cores(), AHEAD, pin=False)
    else:
        loader = make_loader(images, batches, workers=0)
    for epoch in itertools.count(1):
        batches.epoch = epoch
        for batch in loader:
            if figure != "uint8":
                yield model_input(batch, PREPROCESSING)
            else:
                yield turn(batch.pixels, batch.symmetries) if turned and batch.symmetries is not None else batch.pixels


class QuarterTurn(torch.nn.Module):
    """A random multiple of 90 degrees."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Turn the image without resampling."""
        return torch.rot90(image, int(torch.randint(4, ())), (-2, -1))


def peer_transform(figure: str) -> v2.Compose:
    """Return the same augmentation as torchvision has it, on uint8 tensors, where it is fastest."""
    steps = [
        v2.ToImage(),
        v2.RandomResizedCrop(SIZE, (CROP_SCALE, 1.0), (1 / CROP_RATIO, CROP_RATIO), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomVerticalFlip(),
        QuarterTurn(),
    ]
    if figure == "jitter":
        steps.append(v2.ColorJitter(JITTER, JITTER, JITTER))
    if figure != "uint8":
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return v2.Compose(steps)


def transform_rows(rows: dict[str, list], transform: v2.Compose) -> dict[str, list]:
    """Apply the transform to a batch of rows, as `with_transform` wants it."""
    return {"image": [transform(image.convert("RGB")) for image in rows["image"]], "labels": rows["labels"]}


def collate(rows: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and multi-hot labels."""
    targets = torch.zeros(len(rows), 60)
    for target, row in zip(targets, rows, strict=True):
        target[row["labels"]] = 1.0
    return torch.stack([row["image"] for row in rows]), targets


def peer_batches(split: datasets.Dataset, batch_size: int, figure: str, workers: int) -> Iterator[torch.Tensor]:
    """Yield batches of one epoch after another."""
    rows = split.with_transform(functools.partial(transform_rows, transform=peer_transform(figure)))
    if workers == 0:
        torch.set_num_threads(available_cores())
    loader = DataLoader(
        rows,
        batch_size,
        shuffle=True,
        num_workers=workers,
        collate_fn=collate,
        drop_last=True,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )
    while True:
        for images, _ in loader:
            yield images


def images_per_second(batches: Iterator[torch.Tensor], seconds: float) -> float:
    """Take batches for some seconds, after two that warm up."""
    for _ in range(2):
        next(batches)
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += len(next(batches))
    return count / (time.perf_counter() - started)


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figures", nargs="+", choices=FIGURES, default=FIGURES)
    options = parser.parse_args()
    keep_freed_memory()  # as the trainer does; it serves both sides
    split, source = load_images()
    cores, size = available_cores(), options.batch_size
    print(f"{len(split)} {source}, {cores} cores, batches of {size}, median of {options.rounds} rounds")
    for figure in options.figures:
        sides = {
            "ours, from JPEG bytes": functools.partial(our_batches, split, size, figure),
            "ours, decoded in memory": functools.partial(our_batches, split, size, figure, cached=True),
        } | {
            f"peer, {workers} workers": functools.partial(peer_batches, split, size, figure, workers)
            for workers in range(cores + 1)
        }
        if figure == "uint8":
            sides["ours, turned on the CPU"] = functools.partial(our_batches, split, size, figure, turned=True)
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds):
            for name, make in sides.items():
                speeds[name].append(images_per_second(make(), options.seconds))
        medians = {name: statistics.median(values) for name, values in speeds.items()}
        best = max(value for name, value in medians.items() if name.startswith("peer"))
        for name, value in medians.items():
            print(
                f"{figure:8}{name:26}{value:7.0f} images/s, {value / cores:6.0f} per core, "
                f"{value / best:5.2f} times the peer's best"
            )


if __name__ == "__main__":
    main()
