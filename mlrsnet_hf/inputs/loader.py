"""Batches decoded ahead of the model, by threads of this process or by processes beside it."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import PartialState, is_initialized
from torch.utils.data import DataLoader

from mlrsnet_hf.errors import ImageError, MLRSNetError, OutOfMemoryError
from mlrsnet_hf.inputs.batches import Batch, Draw, Draws, ShuffledBatches, ordered_batches
from mlrsnet_hf.inputs.image_list import ArchivedBatches, ListedFiles
from mlrsnet_hf.inputs.pixels.decoding import Pixels
from mlrsnet_hf.inputs.split_images import Sample, SplitImages
from mlrsnet_hf.inputs.stream_reading import StreamedBatches, StreamedFiles
from mlrsnet_hf.parallel import available_cores, deaf_children, leave_signals_to_the_parent, local_processes

_MOST_THREADS = 16
"""More would wait for Python's lock."""
_AHEAD = 4
"""Batches made while a GPU is at work."""
_SHARE = 8
"""Images, at least, that a thread decodes at a time; fewer would often hand Python's lock from thread to thread."""

AnyBatches = Draws | StreamedBatches | ArchivedBatches


class Loader(ABC):
    """The batches of a split, read ahead.

    Args:
        images: The split.
        draws: One list per batch.
    """

    def __init__(self, images: SplitImages, draws: AnyBatches) -> None:
        self.images = images
        self.draws = draws

    def __len__(self) -> int:
        """Number of batches; of optimizer steps, where each of those has several."""
        return len(self.draws)

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches.

        Raises:
            ImageError: An image of the next batch cannot be read.
        """

    def close(self) -> None:  # noqa: B027 - threads end with each iteration
        """End the processes that read; the loader is of no use afterwards."""


def make_loader(images: SplitImages, draws: Draws, workers: int) -> Loader:
    """Return a loader for the device that Accelerate has chosen, or else for a GPU, if there is one.

    Args:
        images: The split.
        draws: One list per batch.
        workers: Processes that read. With 0, threads of this process do it, which is usually faster: several batches
            ahead of a step that a GPU takes, one ahead where the step needs the cores itself.
    """
    batches: AnyBatches = draws
    if isinstance(images.files, StreamedFiles):
        batches = StreamedBatches(draws, images.files)
    elif isinstance(images.files, ListedFiles) and not isinstance(draws, ShuffledBatches):
        batches = ArchivedBatches(draws, images.files)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    device = PartialState().device.type if is_initialized() else default
    if workers:
        return WorkerLoader(images, batches, workers, pin=device == "cuda")
    threads = max(1, min(_MOST_THREADS, available_cores() // local_processes()))
    return ThreadedLoader(images, batches, threads, ahead=1 if device == "cpu" else _AHEAD, pin=device == "cuda")


def evaluation_loader(images: SplitImages, batch_size: int, workers: int, accelerator: Accelerator) -> Loader:
    """Return the loader of this process's share of a split."""
    draws = ordered_batches(len(images), batch_size, accelerator.process_index, accelerator.num_processes)
    return make_loader(images, draws, workers)


class ThreadedLoader(Loader):
    """Batches made by threads, each batch by all of them if it is large enough.

    Decoding and resizing leave Python's lock to others, and no batch has to travel from another process.

    Args:
        images: The split.
        draws: One list per batch.
        threads: Number of threads.
        ahead: Batches, at least 1, that are made before they are asked for.
        pin: Put the batches where a GPU can copy them from.
    """

    def __init__(self, images: SplitImages, draws: AnyBatches, threads: int, ahead: int, pin: bool) -> None:
        super().__init__(images, draws)
        self.threads = threads
        self.ahead = ahead
        self.pin = pin

    def __iter__(self) -> Iterator[Batch]:
        pool, builders = ThreadPoolExecutor(self.threads), ThreadPoolExecutor(self.ahead)
        try:
            waiting = iter(self.draws)
            ahead: deque[Future[Batch]] = deque()
            ahead.extend(builders.submit(self._decode_batch, draws, pool) for draws in islice(waiting, self.ahead))
            while ahead:
                batch = ahead.popleft().result()
                ahead.extend(builders.submit(self._decode_batch, draws, pool) for draws in islice(waiting, 1))
                yield batch
        finally:
            builders.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(wait=False, cancel_futures=True)

    def _decode_batch(self, draws: list[Draw], pool: Executor) -> Batch:
        pixels = self.images.empty_pixels(len(draws))
        places = list(zip(draws, [None] * len(draws) if pixels is None else pixels.numpy(), strict=True))
        size = max(_SHARE, -(-len(places) // self.threads))
        shares = (places[start : start + size] for start in range(0, len(places), size))
        samples = [sample for share in pool.map(self._decode, shares) for sample in share]
        batch = self.images.batch(samples, pixels)
        return batch.pin_memory() if self.pin else batch

    def _decode(self, places: list[tuple[Draw, Pixels | None]]) -> list[Sample]:
        return [self.images.sample(draw, place) for draw, place in places]


class WorkerLoader(Loader):
    """Batches made by the processes of a `DataLoader`, each batch by one of them; arguments as in `ThreadedLoader`."""

    def __init__(self, images: SplitImages, draws: AnyBatches, workers: int, pin: bool) -> None:
        super().__init__(images, draws)
        self._loader: DataLoader | None = DataLoader(
            images,
            batch_sampler=draws,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin,
            persistent_workers=True,
            worker_init_fn=leave_signals_to_the_parent,
        )
        self._reader: Iterator[Batch | ImageError] | None = None

    def __iter__(self) -> Iterator[Batch]:
        assert self._loader is not None, "the loader is closed"
        with deaf_children():
            self._reader = iter(self._loader)
        while self._reader is not None and (batch := next(self._reader, None)) is not None:
            if isinstance(batch, ImageError):
                raise batch
            yield batch

    def close(self) -> None:
        """End the processes, which outlive an epoch; left to the interpreter's end, they hold it up for seconds."""
        # They end when the iterator of their `DataLoader` is collected: nothing else may hold it.
        self._loader = self._reader = None


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - a Batch or an ImageError, which DataLoader's types do not foresee
    return batch


class LockstepLoader(Loader):
    """A loader whose processes all agree to go on before each batch.

    A process that ended at its own error or signal would leave the others waiting for it.

    Args:
        loader: Of this process.
        rounds: The most batches that any process has.
        check: Is called by every process before each round, with the error of its own next batch, if it has one. Raises
            on all processes or on none.
    """

    def __init__(self, loader: Loader, rounds: int, check: Callable[[MLRSNetError | None], object]) -> None:
        super().__init__(loader.images, loader.draws)
        self.loader = loader
        self.rounds = rounds
        self.check = check

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.loader)
        for _ in range(self.rounds):
            batch, error = next_or_error(batches)
            self.check(error)
            if batch is not None:
                yield batch

    def close(self) -> None:
        """End the processes that read."""
        self.loader.close()


def next_or_error(batches: Iterator[Batch]) -> tuple[Batch | None, MLRSNetError | None]:
    """Return the next batch, or None after the last, or the error in its place."""
    try:
        return next(batches, None), None
    except MLRSNetError as error:
        return None, error
    except MemoryError:
        return None, OutOfMemoryError(
            "out of memory while images were read", "Lower cache_megabytes, num_workers or the batch size."
        )
