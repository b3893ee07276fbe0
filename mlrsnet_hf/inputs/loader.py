"""Batches read ahead of the training step, by threads of this process or by processes beside it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import PartialState, is_initialized
from torch.utils.data import DataLoader

from mlrsnet_hf.errors import ImageError, MLRSNetError, OutOfMemoryError
from mlrsnet_hf.inputs.batches import Batch, Draw, ShuffledBatches, ordered_batches
from mlrsnet_hf.inputs.split_images import Sample, SplitImages
from mlrsnet_hf.parallel import available_cores, local_processes
from mlrsnet_hf.runtime.signals import leave_signals_to_the_parent

Batches = ShuffledBatches | Sequence[list[Draw]]

_MOST_THREADS = 16
"""More would wait for Python's lock."""
_AHEAD = 4
"""Batches made while a GPU is at work."""
_BUILDERS = 2
"""Batches made at the same time, so that one is decoded while another is put together and pinned."""


class ThreadedLoader:
    """`Batch`es made by threads, each batch by all of them.

    Decoding and resizing leave Python's lock to others, and no batch has to travel from another process.

    Args:
        dataset: The images.
        batches: Lists of draws, one per batch.
        threads: Number of threads.
        ahead: Batches, at least 1, that are made before they are asked for.
        pin: Put the batches where a GPU can copy them from.
    """

    def __init__(self, dataset: SplitImages, batches: Batches, threads: int, ahead: int, pin: bool) -> None:
        self.dataset = dataset
        self.batches = batches
        self.threads = threads
        self.ahead = ahead
        self.pin = pin

    def __len__(self) -> int:
        """Number of batches, or of optimizer steps where those have parts."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        pool, builders = ThreadPoolExecutor(self.threads), ThreadPoolExecutor(_BUILDERS)
        try:
            yield from self._read_ahead(pool, builders)
        finally:
            builders.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_ahead(self, pool: Executor, builders: Executor) -> Iterator[Batch]:
        draws = iter(self.batches)
        window: deque[Future[Batch]] = deque()
        window.extend(builders.submit(self._build, some, pool) for some in islice(draws, self.ahead))
        while window:
            batch = window.popleft().result()
            window.extend(builders.submit(self._build, some, pool) for some in islice(draws, 1))
            yield batch

    def _build(self, draws: list[Draw], pool: Executor) -> Batch:
        # Many small shares: the threads end together although some images take longer.
        samples = [sample for share in pool.map(self._read, _shares(draws)) for sample in share]
        batch = self.dataset.batch(samples)
        return batch.pin_memory() if self.pin else batch

    def _read(self, draws: list[Draw]) -> list[Sample]:
        return [self.dataset[draw] for draw in draws]


Loader = ThreadedLoader | DataLoader


def make_loader(images: SplitImages, batches: Batches, workers: int) -> Loader:
    """Return the loader of `Batch`es (with workers, an `ImageError` may stand in place of one); see `read_batches`.

    Args:
        images: The split.
        batches: Lists of draws, one per batch; iterated anew for each epoch.
        workers: Processes that read. With 0, threads of this process do it, which is usually faster: several batches
            ahead of a step that a GPU takes, one ahead where the step needs the cores itself.
    """
    device = _device()
    gpu = device.type == "cuda"
    if workers == 0:
        ahead = 1 if device.type == "cpu" else _AHEAD
        return ThreadedLoader(images, batches, threads=_threads(), ahead=ahead, pin=gpu)
    return DataLoader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=gpu,
        persistent_workers=True,
        worker_init_fn=leave_signals_to_the_parent,
    )


def read_batches(loader: Loader) -> Iterator[Batch]:
    """Yield the loader's batches.

    Raises:
        ImageError: An image of the next batch cannot be read.
    """
    for batch in loader:
        if isinstance(batch, ImageError):
            raise batch
        yield batch


def _device() -> torch.device:
    """Return where the batches go: the device that Accelerate has chosen for the run, if there is one."""
    if is_initialized():
        return PartialState().device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _threads() -> int:
    """Return this process's share of the machine's cores."""
    return max(1, min(_MOST_THREADS, available_cores() // local_processes()))


def _shares(draws: list[Draw], size: int = 4) -> Iterable[list[Draw]]:
    return (draws[start : start + size] for start in range(0, len(draws), size))


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - a Batch or an ImageError, which DataLoader's types do not foresee
    return batch


Watch = Callable[[MLRSNetError | None], object]
"""Takes this process's error, if it has one; raises on every process or on none."""


class WatchedLoader:
    """This process's batches of a split; before each, all processes agree that none must stop.

    A process that read no further than its own error or signal would leave the others waiting for its predictions.

    Args:
        loader: Of `Batch`es.
        rounds: The most batches that any process has.
        watch: Is told at each round.
    """

    def __init__(self, loader: Loader, rounds: int, watch: Watch) -> None:
        self.loader = loader
        self.dataset = loader.dataset
        self.rounds = rounds
        self.watch = watch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        batches = read_batches(self.loader)
        for _ in range(self.rounds):
            batch, error = next_or_error(batches)
            self.watch(error)
            if batch is not None:
                yield batch


def next_or_error(batches: Iterator[Batch]) -> tuple[Batch | None, MLRSNetError | None]:
    """Return the next batch, or None after the last, or the error in its place."""
    try:
        return next(batches, None), None
    except MLRSNetError as error:
        return None, error
    except MemoryError:
        return None, OutOfMemoryError(
            "out of memory while images were read",
            "Lower cache_megabytes, num_workers or eval_batch_size; --resume takes it.",
        )


def evaluation_loader(images: SplitImages, batch_size: int, workers: int, accelerator: Accelerator) -> Loader:
    """Return the loader of this process's share of a split."""
    batches = ordered_batches(len(images), batch_size, accelerator.process_index, accelerator.num_processes)
    return make_loader(images, batches, workers)
