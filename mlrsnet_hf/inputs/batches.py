"""Which images make which batch: drawn from (seed, epoch) alone, and shared among processes and parts of a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from mlrsnet_hf.errors import ConfigurationError, ImageError

Draw = tuple[int, int] | tuple[int, int, bytes | ImageError]
"""(epoch, row): which image, and with the draws of which epoch; of a streamed split or an archive with its file, or why
that cannot be read."""

# Separate the random streams of one seed; a trailing 0 would not (numpy pads seeds with zeros).
ORDER_STREAM, AUGMENTATION_STREAM = 1, 2


class ShuffledBatches(Sampler[list[Draw]]):
    """This process's share of the batches of an epoch, in an order drawn from (seed, epoch).

    Each batch of `batch_size` rows, one optimizer step, is split evenly over the processes, and each process's share
    over `accumulation` parts, which follow each other. So a step sees the same rows whatever the split. The rows that
    do not fill the last batch are left out of that epoch; a split smaller than one batch makes one smaller batch.

    Args:
        rows: Rows of the split.
        batch_size: Rows of an optimizer step, over all processes and parts.
        seed: Of the order.
        process: Which of the processes this one is, from 0.
        processes: Number of processes that share each batch.
        accumulation: Parts into which each process splits its share of a step.
        chunks: Of a streamed split the chunk of each row: an epoch takes one chunk after the other, in a random order,
            and the rows of each in a random order.

    Attributes:
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
    ) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, rows)
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
        if self.rows < wanted:
            found = f"the {self.rows} images of the split make one batch, which {shared} cannot share evenly"
        fitting = self.batch_size - self.batch_size % parts
        remedy = f"Set batch_size to a multiple of {parts}, such as {fitting}."
        if not fitting:
            remedy = "Use more images." if self.rows < parts else f"Use a larger batch_size, of at least {parts}."
        raise ConfigurationError(found, remedy)

    def __len__(self) -> int:
        """Number of optimizer steps of an epoch."""
        return self.rows // self.batch_size

    def __iter__(self) -> Iterator[list[Draw]]:
        order = self._order(self.epoch)
        for step in range(self.first_step, len(self)):
            batch = self._slice(order, step)
            for part in range(self.process, self.parts, self.processes):
                yield [(self.epoch, row) for row in batch[part :: self.parts]]

    def step_rows(self, epoch: int, step: int) -> list[int]:
        """Return the rows of all processes and parts in a step of an epoch; the first step is 0."""
        return self._slice(self._order(epoch), step)

    def _order(self, epoch: int) -> list[int]:
        random = np.random.default_rng((self.seed, ORDER_STREAM, epoch))
        order = random.permutation(self.rows)
        if self.chunks is not None:
            turn = random.permutation(self.chunks.max() + 1)
            order = order[np.argsort(turn[self.chunks[order]], kind="stable")]
        return order.tolist()

    def _slice(self, order: list[int], step: int) -> list[int]:
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
