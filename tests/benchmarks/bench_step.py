"""Training steps of the loop against a bare loop on resident tensors: what all the rest costs.

Run `python tests/benchmarks/bench_step.py`. The bare loop does forward, backward and optimizer step on one batch that
lies on the device, in the same precision and memory format; the loop reads, augments and copies its batches, averages
the weights, clips the gradient, agrees with other processes, keeps the losses and shows them. Both run in turns, in
the same process, and the medians are compared, by the clock and, for a machine that others use too, by the time of
the cores. With `--cache off` every batch of the loop is decoded from JPEG files: what feeding costs beside a resident
batch. On a GPU the most memory of either is compared too.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Sequence as Steps
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from datasets import Dataset, Features, Sequence, Value
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.models.preprocessing import model_input
from mlrsnet_hf.training import train as training
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

FEATURES = Features({"id": Value("string"), "image": ImageFeature(), "labels": Sequence(Value("int64"))})


def pictures(images: int, labels: int) -> Dataset:
    """Return noise of 256 pixels a side, as JPEG files."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    return Dataset.from_dict(
        {
            "id": [str(row) for row in range(images)],
            "image": [{"bytes": jpeg(Image.fromarray(pixels).resize((256, 256))), "path": None} for pixels in coarse],
            "labels": [draw.choice(labels, 3, replace=False).tolist() for _ in range(images)],
        },
        features=FEATURES,
    )


def drawn_data(images: int) -> ImageData:
    """Return a training split of so many images, two of which are the validation split."""
    labels = tuple(f"label {number}" for number in range(60))
    split = pictures(images, len(labels))
    return ImageData(
        splits={"train": split, "validation": split.select(range(2))},
        label_names=labels,
        scene_names=(),
        source={"fingerprint": ""},
    )


def jpeg(image: Image.Image) -> bytes:
    """Return a file of the image."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def wait(device: torch.device) -> np.ndarray:
    """Return the seconds on the clock, and of this process's cores, when the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="of each loop, after one that is not counted")
    parser.add_argument("--precision", default="no")
    parser.add_argument("--compile", action="store_true", help="both loops' network by torch.compile")
    parser.add_argument("--cache", default="memory")
    parser.add_argument("--num-workers", type=int, default=0)
    options = parser.parse_args()
    data = drawn_data(options.batch_size * (options.steps + 3))
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            model=options.model,
            weights="random",
            output_dir=Path(folder) / "run",
            epochs=1,
            batch_size=options.batch_size,
            image_size=options.image_size,
            train_scale=1.0,
            precision=options.precision,
            compile=options.compile,
            cache=options.cache,
            num_workers=options.num_workers,
            jitter=0.2,
            log_every=options.steps + 3,
            trackers=(),
        )
        bare, whole = measure(config, data)
    for name, few, many in zip(("clock", "cores"), bare, whole, strict=True):
        print(f"by the {name}: bare loop {few:.3f} s a step, training loop {many:.3f} s, ratio {many / few:.3f}")
    if MeasuredTrainer.peaks:
        few, many = np.max(MeasuredTrainer.peaks, axis=0)
        print(f"most memory: bare loop {few / 1e6:.0f} MB, training loop {many / 1e6:.0f} MB, ratio {many / few:.3f}")
    print(f"{options.model} at {options.image_size} pixels, batches of {options.batch_size}, {options.precision}")


class MeasuredTrainer(Trainer):
    """Takes a step of the bare loop before each of its own, and notes the clock around both."""

    moments: ClassVar[list[tuple[np.ndarray, np.ndarray]]] = []
    """Before and after each step of the bare loop; see `wait`."""
    peaks: ClassVar[list[tuple[int, int]]] = []
    """Most bytes on the GPU in each step of the bare loop and of the training loop."""

    def train_step(self, micro_batches: Steps[Batch]) -> torch.Tensor:
        """Take both steps."""
        device = self.accelerator.device
        before = wait(device)
        if not self.moments:
            self.resident = micro_batches[0].to(device)
            self.pixels = model_input(self.resident, self.preprocessing)
        _new_peak(device)
        loss = self.loss(self.model(self.pixels), self.resident)
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.moments.append((before, wait(device)))
        bare_peak = _new_peak(device)
        loss = super().train_step(micro_batches)
        if device.type == "cuda":
            self.peaks.append((bare_peak, torch.cuda.max_memory_allocated()))
        return loss


def _new_peak(device: torch.device) -> int:
    """Return the most bytes that were on a GPU since the last call, 0 for another device."""
    if device.type != "cuda":
        return 0
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return peak


def measure(config: TrainingConfig, data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """Return the median seconds, see `wait`, of a step of the bare loop and of the training loop, done in turns."""
    MeasuredTrainer.moments.clear()
    training.Trainer = MeasuredTrainer  # type: ignore[misc]
    train(config, data)
    before, after = (np.array(moments) for moments in zip(*MeasuredTrainer.moments, strict=True))
    bare, whole = after - before, before[1:] - after[:-1]  # from a bare step to the next the loop goes round once
    return np.median(bare[1:], axis=0), np.median(whole[1:], axis=0)


if __name__ == "__main__":
    main()
