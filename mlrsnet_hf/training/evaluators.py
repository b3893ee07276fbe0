"""Predictions of a whole split, and the metrics on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import nn
from tqdm.auto import tqdm

from mlrsnet_hf.metrics import mean_average_precision, training_values
from mlrsnet_hf.training.inputs import Loader, SplitImages, make_loader, ordered_batches, read_batches
from mlrsnet_hf.training.preprocessing import Preprocessing, normalise


@dataclass(frozen=True, slots=True)
class Predictions:
    """The model's answer to a split, one row per image in the split's order."""

    targets: npt.NDArray[np.float32]
    """(N, L), 0 or 1."""
    logits: npt.NDArray[np.float32]
    """(N, L)."""

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """(N, L) sigmoid of the logits."""
        return 1.0 / (1.0 + np.exp(-self.logits.astype(np.float64)))


def evaluation_loader(images: SplitImages, batch_size: int, workers: int, accelerator: Accelerator) -> Loader:
    """Return the loader of this process's share of a split."""
    batches = ordered_batches(len(images), batch_size, accelerator.process_index, accelerator.num_processes)
    return make_loader(images, batches, workers)


def predict(
    model: nn.Module,
    loader: Loader,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    title: str = "evaluating",
) -> Predictions:
    """Run the model over a split, each image once whatever the number of processes.

    Args:
        model: On the accelerator's device; left in evaluation mode.
        loader: This process's `evaluation_loader`.
        preprocessing: The model's.
        accelerator: Knows the device and the other processes.
        title: Of the progress bar.

    Returns:
        The predictions of the whole split, on every process.
    """
    images = cast(SplitImages, loader.dataset)
    model.eval()
    rows = [torch.empty(0, dtype=torch.int64, device=accelerator.device)]
    logits = [torch.empty(0, images.targets.shape[1], device=accelerator.device)]
    hidden = not accelerator.is_main_process
    with torch.inference_mode():
        for batch in tqdm(read_batches(loader), title, len(loader), leave=False, disable=hidden):
            pixels = normalise(batch.pixels.to(accelerator.device, non_blocking=True), preprocessing)
            rows.append(batch.rows.to(accelerator.device, non_blocking=True))
            logits.append(model(pixels).float())
    return _place(torch.cat(rows), torch.cat(logits), images, accelerator)


def _place(rows: torch.Tensor, logits: torch.Tensor, images: SplitImages, accelerator: Accelerator) -> Predictions:
    """Gather the rows of all processes and put each in its place."""
    # The shares may differ by one row; collectives want equal shapes.
    rows, logits = (
        accelerator.gather(accelerator.pad_across_processes(tensor, pad_index=-1)).cpu() for tensor in (rows, logits)
    )
    logits, rows = logits[rows >= 0], rows[rows >= 0]
    assert torch.equal(rows.sort().values, torch.arange(len(images))), "an image was lost or counted twice"
    return Predictions(targets=images.targets.numpy(), logits=logits[rows.argsort()].numpy())


def evaluate(predictions: Predictions) -> Iterator[tuple[str, float]]:
    """Yield (name, value) of every metric that the registry wants evaluated in training."""
    yield from training_values(predictions.targets, predictions.scores).items()


def label_precisions(predictions: Predictions, label_names: Sequence[str]) -> dict[str, float | None]:
    """Return the average precision of each label; None for a label that does not occur in the split."""
    values = mean_average_precision(predictions.targets, predictions.scores).values
    return {name: None if np.isnan(value) else float(value) for name, value in zip(label_names, values, strict=True)}
