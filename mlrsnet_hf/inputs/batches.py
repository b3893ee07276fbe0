"""Which images make which batch: drawn from (seed, epoch) alone, and shared among processes and parts of a step.

Rows that hold rare labels may be drawn several times in an epoch: see `repeat_factors`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.inputs.pixels.augmentation import random_numbers

Draw = tuple[int, int] | tuple[int, int, bytes | ImageError]
"""(view, row): which image, and which of its random views; of a streamed split or an archive with its file, or why that
cannot be read.

The view is the epoch where an epoch draws a row first, and epoch + k x 2**32 where it draws it for the k-th time more.
"""

# Separate the random streams of one seed; a trailing 0 would not (numpy pads seeds with zeros).
ORDER_STREAM, AUGMENTATION_STREAM, REPEAT_STREAM = 1, 2, 5
_ONE = 2**32
"""Repeat factors count in parts of it: whole numbers add up to the same in any order."""


def repeat_factors(present: npt.NDArray[np.bool_], threshold: float) -> npt.NDArray[np.float64]:
    """Return how many times an epoch draws each image in the mean, so that rare labels are seen more often.

    With f(c) the share of the images that show label c, r(c) = max(1, sqrt(threshold / f(c))), and the factor of an
    image is the largest r(c) of the labels it shows, 1 if it shows none (repeat factor sampling: Gupta, Dollar and
    Girshick 2019, "LVIS: A Dataset for Large Vocabulary Instance Segmentation").

    Args:
        present: (N, L), whether an image is known to show a label.
        threshold: Share of the images, from 0 to 1, from which on labels are repeated no more; 0 repeats none.

    Returns:
        (N,) numbers of at least 1.

    Examples:
        >>> repeat_factors(np.array([[True, False], [True, False], [True, False], [True, True]]), 1.0)
        array([1., 1., 1., 2.])
    """
    factors = np.ones(len(present))
    for label in present.T:
        count = np.count_nonzero(label)
        if count:
            factors[label] = np.maximum(factors[label], np.sqrt(threshold * len(present) / count))
    return factors


class ShuffledBatches(Sampler[list[Draw]]):
    """This process's share of the batches of an epoch, in an order drawn from (seed, epoch).

    Each batch of `batch_size` rows, one optimizer step, is split evenly over the processes, and each process's share
    over `accumulation` parts, which follow each other. So a step sees the same rows whatever the split. The rows that
    do not fill the last batch are left out of that epoch; a split smaller than one batch makes one smaller batch.

    With repeat factors, an epoch draws a row as often as the whole part of its factor, and once more in the share of
    the epochs that its fraction tells: stochastic rounding, by a systematic sample of the fractions in a random order.
    So the rows of an epoch are the sum of all factors, rounded down or up; the batches that this sum rounded down fills
    are those of every epoch, and the number of steps is known before.

    Args:
        rows: Rows of the split.
        batch_size: Rows of an optimizer step, over all processes and parts.
        seed: Of the order.
        process: Which of the processes this one is, from 0.
        processes: Number of processes that share each batch.
        accumulation: Parts into which each process splits its share of a step.
        chunks: Of a streamed split the chunk of each row: an epoch takes one chunk after the other, in a random order,
            and the rows of each in a random order.
        factors: How many times an epoch draws each row in the mean, at least 1; None draws each once.

    Attributes:
        epoch_rows: Rows that every epoch draws, with those that it repeats; some epochs draw one more.
        epoch: The epoch whose batches the next iteration yields.
        first_step: So many steps of that epoch are passed over, without a look at their images.

    Raises:
        ConfigurationError: The processes and parts cannot share the batch evenly.
    """

    def __init__(
        self,
        rows: int,
        batch_size: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        accumulation: int = 1,
        chunks: npt.NDArray[np.int64] | None = None,
        factors: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.rows = rows
        self._factors = np.rint((np.ones(rows) if factors is None else factors) * _ONE).astype(np.int64)
        self.epoch_rows = int(self._factors.sum() // _ONE)
        self.batch_size = min(batch_size, self.epoch_rows)
        self.seed = seed
        self.process = process
        self.processes = processes
        self.accumulation = accumulation
        self.chunks = chunks
        self.parts = processes * accumulation
        self.epoch = 0
        self.first_step = 0
        if not self.batch_size or self.batch_size % self.parts:
            self._refuse(batch_size)

    def _refuse(self, wanted: int) -> NoReturn:
        parts = self.parts
        shared = f"{self.processes} processes" + (f" x {self.accumulation} parts" if self.accumulation > 1 else "")
        found = f"batch_size={wanted} cannot be split over {shared}"
        if self.epoch_rows < wanted:
            repeated = f", {self.epoch_rows} with those that are repeated," if self.epoch_rows > self.rows else ""
            found = f"the {self.rows} images of the split{repeated} make one batch, which {shared} cannot share evenly"
        fitting = self.batch_size - self.batch_size % parts
        remedy = f"Set batch_size to a multiple of {parts}, such as {fitting}."
        if not fitting:
            remedy = "Use more images." if self.epoch_rows < parts else f"Use a larger batch_size, of at least {parts}."
        raise ConfigurationError(found, remedy)

    def __len__(self) -> int:
        """Number of optimizer steps of an epoch."""
        return self.epoch_rows // self.batch_size

    def __iter__(self) -> Iterator[list[Draw]]:
        order = self._order(self.epoch)
        for step in range(self.first_step, len(self)):
            batch = self._slice(order, step)
            for part in range(self.process, self.parts, self.processes):
                yield batch[part :: self.parts]

    def step_rows(self, epoch: int, step: int) -> list[int]:
        """Return the rows of all processes and parts in a step of an epoch; the first step is 0."""
        return [draw[1] for draw in self._slice(self._order(epoch), step)]

    def _order(self, epoch: int) -> list[Draw]:
        rows = np.repeat(np.arange(self.rows), self._counts(epoch))
        views = epoch + _ONE * (np.arange(len(rows)) - np.searchsorted(rows, rows))
        random = np.random.default_rng((self.seed, ORDER_STREAM, epoch))
        order = random.permutation(len(rows))
        if self.chunks is not None:
            turn = random.permutation(self.chunks.max() + 1)
            order = order[np.argsort(turn[self.chunks[rows[order]]], kind="stable")]
        return list(zip(views[order].tolist(), rows[order].tolist(), strict=True))

    def _counts(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the (N,) number of times that an epoch draws each row."""
        counts, fractions = np.divmod(self._factors, _ONE)
        rows = np.flatnonzero(fractions)
        if len(rows):
            keys = [next(random_numbers(self.seed, REPEAT_STREAM, epoch, row)) for row in rows.tolist()]
            rows = rows[np.argsort(keys, kind="stable")]
            # A row is drawn once more where the sum of the fractions passes a whole number, from a random start.
            start = int(next(random_numbers(self.seed, REPEAT_STREAM, epoch)) * _ONE)
            counts[rows] += np.diff((start + np.cumsum(fractions[rows])) // _ONE, prepend=0)
        return counts

    def _slice(self, order: list[Draw], step: int) -> list[Draw]:
        return order[step * self.batch_size : (step + 1) * self.batch_size]


Draws = ShuffledBatches | Sequence[list[Draw]]
"""Which images make which batch; iterated anew for each epoch."""


def ordered_batches(rows: int, batch_size: int, process: int = 0, processes: int = 1) -> list[list[Draw]]:
    """Return this process's share of the rows, each row once over all processes, in batches."""
    own: list[Draw] = [(0, row) for row in range(process, rows, processes)]
    return [own[start : start + batch_size] for start in range(0, len(own), batch_size)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with what is to be learned from them; `model_input` makes the network's input of it."""

    rows: torch.Tensor
    """(N,) int64 positions in the split."""
    pixels: torch.Tensor
    """(N, S, S, C) uint8."""
    targets: torch.Tensor
    """(N, L) float32, 0 or 1, NaN where it is not known; L is 0 where labels are not learned."""
    scenes: torch.Tensor | None = None
    """(N,) int64 scene ids, where scenes are learned."""
    symmetries: torch.Tensor | None = None
    """(N,) uint8: which symmetry each image is still to be turned by, where they are drawn; see `turn`."""
    color: torch.Tensor | None = None
    """(N, 3, 4) float32: how the colors (0 to 255) of each image change; see `random_color_matrix`. Where there are not
    three channels (N, 1, 2)."""
    faults: Mapping[int, ImageError] = field(default_factory=dict)
    """Why an image could not be read, by row, where that is not fatal; its pixels are black."""

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device, without waiting for the copy from pinned memory."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Return the batch in memory from which a GPU can copy by itself."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        return Batch(
            rows=change(self.rows),
            pixels=change(self.pixels),
            targets=change(self.targets),
            scenes=None if self.scenes is None else change(self.scenes),
            symmetries=None if self.symmetries is None else change(self.symmetries),
            color=None if self.color is None else change(self.color),
            faults=self.faults,
        )
