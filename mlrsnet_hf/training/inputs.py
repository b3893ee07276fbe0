"""Splits of a dataset to batches, the same whatever the number of workers and processes.

Every draw comes from (seed, epoch) or (seed, epoch, row), never from the state of a process. Pixels stay uint8 until
they are on the device. Batches carry their rows, so that evaluation can put each prediction in its place.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from tqdm.auto import tqdm

from mlrsnet_hf.cores import available_cores
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.training.augmentation import Augmentation
from mlrsnet_hf.training.task import Task
from mlrsnet_hf.training.preprocessing import Pixels, PixelTransform, Preprocessing, decode_image, normalise

Draw = tuple[int, int]
"""(epoch, row): which image, and with the draws of which epoch."""

# Separate the random streams of one seed; a trailing 0 would not (numpy pads seeds with zeros).
_ORDER, _AUGMENTATION = 1, 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of one step."""

    rows: torch.Tensor
    """(N,) int64 positions in the split."""
    pixels: torch.Tensor
    """(N, S, S, 3) uint8."""
    targets: torch.Tensor
    """(N, L) float32, 0 or 1."""
    scenes: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        scenes = None if self.scenes is None else self.scenes.to(device, non_blocking=True)
        return Batch(*(t.to(device, non_blocking=True) for t in (self.rows, self.pixels, self.targets)), scenes)


class SplitImages(TorchDataset):
    """One split as (row, pixels, targets), by `Draw`.

    Args:
        split: Rows with an `image` and a list of `labels`; other columns are not read, but for `id` in errors.
        label_names: The labels, in the order of the targets' columns.
        transform: The part that is the same in every epoch.
        augment: The random part; None for evaluation.
        seed: Of the random part.
    """

    def __init__(
        self,
        split: datasets.Dataset,
        task: Task,
        transform: PixelTransform,
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.images = split.cast_column("image", datasets.Image(decode=False))
        self.targets = multi_hot(split["labels"][:], task.label_outputs)
        self.ids = list(split['id'])
        self.scenes = None
        self.transform = transform
        self.augment = augment
        self.seed = seed
        self._cache: list[Pixels] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw) -> "tuple[int, Pixels, torch.Tensor] | ImageError":
        """Return the sample, or the error as a value: raised in a worker process, it would lose its type."""
        epoch, row = draw
        try:
            pixels = self._cache[row] if self._cache is not None else self._read(row)
        except ImageError as error:
            return error
        if self.augment is not None:
            pixels = self.augment(pixels, np.random.default_rng((self.seed, _AUGMENTATION, epoch, row)))
        return row, pixels, self.targets[row]

    def cache(self, megabytes: int, progress: bool) -> bool:
        """Decode all images now if they take at most `megabytes`, judged by the first; return whether they do.

        Raises:
            ImageError: An image cannot be read.
        """
        if self._read(0).nbytes * len(self) > megabytes * 2**20:
            return False
        with ThreadPoolExecutor(available_cores()) as pool:
            images = pool.map(self._read, range(len(self)))
            self._cache = list(tqdm(images, "decoding", len(self), unit="img", leave=False, disable=not progress))
        return True

    def _read(self, row: int) -> Pixels:
        record = self.images[row]
        return self.transform(decode_image(record["image"], record.get("id", f"row {row}")))


class ShuffledBatches(Sampler[list[Draw]]):
    """This process's share of every training batch, in an order drawn from (seed, epoch).

    Each batch of `batch_size` rows is split evenly over the processes. The rows that do not fill the last batch are
    left out of that epoch; a split smaller than one batch makes one smaller batch.

    Attributes:
        epoch: The epoch whose batches the next iteration yields.

    Raises:
        ConfigurationError: The processes cannot share the batch.
    """

    def __init__(
        self, rows: int, batch_size: int, seed: int, process: int = 0, processes: int = 1, accumulation: int = 1
    ) -> None:
        if batch_size % processes:
            raise ConfigurationError(
                f"batch_size={batch_size} cannot be split over {processes} processes",
                f"Give a multiple of {processes}.",
            )
        if rows < processes:
            raise ConfigurationError(
                f"the training split holds {rows} images for {processes} processes", "Use more images."
            )
        self.rows = rows
        self.batch_size = min(batch_size, rows - rows % processes)
        self.seed = seed
        self.process = process
        self.processes = processes
        self.epoch = 0
        self.first_step = 0
        self.accumulation = accumulation

    def __len__(self) -> int:
        return self.rows // self.batch_size

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.first_step, len(self)):
            batch = self.step_rows(self.epoch, step)
            own = batch[self.process :: self.processes]
            for part in range(self.accumulation):
                yield [(self.epoch, row) for row in own[part :: self.accumulation]]

    def step_rows(self, epoch: int, step: int) -> list[int]:
        """Return the rows of a step."""
        order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(self.rows).tolist()
        return order[step * self.batch_size : (step + 1) * self.batch_size]


def model_input(batch: Batch, preprocessing: Preprocessing) -> torch.Tensor:
    """Return the normalised pixels."""
    return normalise(batch.pixels, preprocessing)


def ordered_batches(rows: int, batch_size: int, process: int = 0, processes: int = 1) -> list[list[Draw]]:
    """Return this process's share of the rows, each row once over all processes, in batches."""
    own = [(0, row) for row in range(process, rows, processes)]
    return [own[start : start + batch_size] for start in range(0, len(own), batch_size)]


def make_loader(images: SplitImages, batches: Any, workers: int) -> DataLoader:  # noqa: ANN401 - any iterable of draws
    """Return the loader of `Batch`es (or an `ImageError` in place of one)."""
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def read_batches(loader: DataLoader) -> Iterator[Batch]:
    """Yield the loader's batches.

    Raises:
        ImageError: An image of the next batch cannot be read.
    """
    for batch in loader:
        if isinstance(batch, ImageError):
            raise batch
        yield Batch(*batch)


def multi_hot(label_ids: Sequence[Sequence[int]], labels: int) -> torch.Tensor:
    """Return lists of label ids as (N, labels) float32, 0 or 1."""
    targets = torch.zeros(len(label_ids), labels)
    for row, ids in enumerate(label_ids):
        targets[row, list(ids)] = 1.0
    return targets


def _collate(samples: list) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor] | ImageError":
    for sample in samples:
        if isinstance(sample, ImageError):
            return sample
    rows, pixels, targets = zip(*samples, strict=True)
    return torch.tensor(rows), torch.from_numpy(np.stack(pixels)), torch.stack(targets)
