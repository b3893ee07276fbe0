"""A run that is killed and resumed beside one that is left in peace: python tests/benchmarks/bench_resume.py.

Three processes, forks of this one, train the same network on the same drawn scenes with PyTorch's deterministic
algorithms: one to the end, one until SIGKILL strikes in the middle of an epoch, and one that goes on from its
checkpoint. Exit status 1 if the loss of an epoch differs by more than `--tolerance` of itself; weights that are equal
to the last bit are said to be.
"""

import argparse
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Sequence as Steps
from pathlib import Path

import torch
from bench_step import drawn_data

from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.training import train as training
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

EPOCHS, STEPS_OF_EPOCH = 2, 6
KILLED_AT = STEPS_OF_EPOCH + 3
"""So many steps are taken; the checkpoint before has one fewer."""


class DoomedTrainer(Trainer):
    """Is killed in the middle of the second epoch."""

    def train_step(self, micro_batches: Steps[Batch]) -> torch.Tensor:
        """Take a step, or die."""
        if self.progress.step == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_step(micro_batches)


def run(options: argparse.Namespace, folder: Path, doomed: bool, resume: bool) -> None:
    """Train in this process."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    if doomed:
        training.Trainer = DoomedTrainer  # type: ignore[misc]
    config = TrainingConfig(
        model=options.model,
        weights="random",
        output_dir=folder,
        resume=resume,
        epochs=EPOCHS,
        batch_size=options.batch_size,
        image_size=options.image_size,
        train_scale=1.0,
        precision=options.precision,
        drop_rate=0.2,
        checkpoint_steps=4,
        trackers=(),
    )
    train(config, drawn_data(options.batch_size * STEPS_OF_EPOCH))


def fork(*arguments: object) -> int:
    """Return the exit code of a process that runs with these arguments."""
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments)
    process.start()
    process.join()
    return process.exitcode or 0


def main() -> None:
    """Run the three, compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="no")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="share by which a loss may differ")
    options = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    with tempfile.TemporaryDirectory() as folder:
        peaceful, struck = Path(folder) / "peaceful", Path(folder) / "struck"
        codes = [
            fork(options, peaceful, False, False),
            fork(options, struck, True, False),
            fork(options, struck, False, True),
        ]
        if codes != [0, -signal.SIGKILL, 0]:
            raise SystemExit(f"the runs ended with {codes}, not with 0, SIGKILL, 0")
        histories = [json.loads((run / "results.json").read_text())["history"] for run in (peaceful, struck)]
        weights = [(run / "model" / "model.safetensors").read_bytes() for run in (peaceful, struck)]
    ratios = [after["loss"] / before["loss"] for before, after in zip(*histories, strict=True)]
    worst = max(ratios, key=lambda ratio: abs(ratio - 1))
    equal = "equal to the last bit" if weights[0] == weights[1] else "not equal to the last bit"
    print(f"loss of the killed and resumed run beside the undisturbed one's: ratio {worst:.9f}, weights {equal}")
    if abs(worst - 1) > options.tolerance:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
