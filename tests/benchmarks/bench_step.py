"""Training steps of the loop against a bare loop on resident tensors: what all the rest costs.

Run `python tests/benchmarks/bench_step.py`. The bare loop does forward, backward and optimizer step on one batch that
lies on the device, in the same precision and memory format; the loop reads, augments and copies its batches, averages
the weights, clips the gradient, agrees with other processes, keeps the losses and shows them. Both run in turns, in
the same process, and the medians are compared, by the clock and, for a machine that others use too, by the time of
the cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Sequence, Value
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.inputs.task import ImageData, make_task
from mlrsnet_hf.models.preprocessing import model_input
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import make_accelerator
from mlrsnet_hf.runtime.progress_bar import ProgressBar
from mlrsnet_hf.runtime.signals import Interruption
from mlrsnet_hf.training.checkpoints.checkpoints import Checkpoints
from mlrsnet_hf.training.checkpoints.run_folder import RunFolder
from mlrsnet_hf.training.components import make_parts
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.resume import Opening
from mlrsnet_hf.training.trainer import EpochLoop, Run, make_record

FEATURES = Features({"id": Value("string"), "image": ImageFeature(), "labels": Sequence(Value("int64"))})


def pictures(images: int, labels: int) -> Dataset:
    """Return noise of 256 pixels a side, as JPEG files."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    return Dataset.from_dict(
        {
            "id": [str(row) for row in range(images)],
            "image": [Image.fromarray(pixels).resize((256, 256)) for pixels in coarse],
            "labels": [draw.choice(labels, 3, replace=False).tolist() for _ in range(images)],
        },
        features=FEATURES,
    )


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
    parser.add_argument("--cache", default="memory")
    parser.add_argument("--num-workers", type=int, default=0)
    options = parser.parse_args()
    labels = tuple(f"label {number}" for number in range(60))
    images = options.batch_size * (options.steps + 2)
    split = pictures(images, len(labels))
    data = ImageData(
        splits={"train": split, "validation": split.select(range(2))},
        label_names=labels,
        scene_names=(),
        source={"fingerprint": ""},
    )
    with tempfile.TemporaryDirectory() as folder, Interruption() as interruption:
        config = TrainingConfig(
            model=options.model,
            weights="random",
            output_dir=Path(folder) / "run",
            epochs=1,
            batch_size=options.batch_size,
            image_size=options.image_size,
            train_scale=1.0,
            precision=options.precision,
            cache=options.cache,
            num_workers=options.num_workers,
            jitter=0.2,
            log_every=options.steps + 2,
            trackers=(),
        )
        interruption.defer()
        bare, whole = measure(make_run(config, data, interruption), options.steps)
    for name, few, many in zip(("clock", "cores"), bare, whole, strict=True):
        print(f"by the {name}: bare loop {few:.3f} s a step, training loop {many:.3f} s, ratio {many / few:.3f}")


def make_run(config: TrainingConfig, data: ImageData, interruption: Interruption) -> Run:
    """Return a run that has not taken a step."""
    folder = RunFolder(config.output_dir)
    folder.create()
    accelerator = make_accelerator(
        config.precision, config.trackers, folder.logs, config.accumulation, config.cpu_threads, config.seed
    )
    task = make_task(data, config.scene_head, config.single_label)
    parts = make_parts(config, data, task, accelerator, folder.decoded, print)
    opening = Opening(make_record(config, data, accelerator))
    checkpoints = Checkpoints(folder.checkpoints, config.keep_checkpoints)
    return Run(parts, folder, checkpoints, opening, Collectives(accelerator), interruption)


def measure(run: Run, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the median seconds, see `wait`, of a step of the bare loop and of the training loop, done in turns."""
    parts = run.parts
    device = parts.accelerator.device
    parts.set_training_mode()
    parts.inputs.batches.epoch = 1
    reader = iter(parts.inputs.training)
    resident = next(iter(parts.inputs.training)).to(device)
    pixels = model_input(resident, parts.preprocessing)
    bare, whole = [], []
    with ProgressBar(steps + 1, 0, shown=True) as bar:
        loop = EpochLoop(parts, run.progress, run.watch, bar)
        for _ in range(steps + 1):
            start = wait(device)
            loss = parts.step.loss(parts.model(pixels), resident)
            parts.accelerator.backward(loss)
            parts.step.optimizer.step()
            parts.step.optimizer.zero_grad()
            middle = wait(device)
            loop.take_step(reader)
            end = wait(device)
            bare.append(middle - start)
            whole.append(end - middle)
    return np.median(bare[1:], axis=0), np.median(whole[1:], axis=0)


if __name__ == "__main__":
    main()
