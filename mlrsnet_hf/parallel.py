"""Work shared among processes, in order, with little held at a time."""

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from mlrsnet_hf.errors import MLRSNetError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 16
_BATCHES_PER_PROCESS = 2
_MOST_PROCESSES = 8
"""Each holds some 150 MB, and more would outrun most disks."""


class ProcessDiedError(MLRSNetError, RuntimeError):
    """A process that did a share of the work has died."""


def default_processes() -> int:
    """Return how many processes share the work unless told otherwise: one for each core, up to 8."""
    return min(available_cores(), _MOST_PROCESSES)


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int = 1, batch: int = _BATCH
) -> Iterator[Result]:
    """Apply a function to items in several processes.

    Only a window of items is under way, so that neither a long input nor a slow reader fills the memory.

    Args:
        function: A module-level function.
        items: Read as they are needed, in this process.
        processes: With 1, everything happens in this process. With more, a script must guard its main part with
            `if __name__ == "__main__":`, as `multiprocessing` asks.
        batch: How many items travel at once.

    Yields:
        The results, in the order of the items.

    Raises:
        ProcessDiedError: A process died.
    """
    if processes == 1:
        yield from map(function, items)
        return
    source = iter(items)
    batches = iter(lambda: list(itertools.islice(source, batch)), [])
    # Fresh processes rather than forks: the caller may hold threads, which a fork would not survive.
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        window: deque[Future[list[Result]]] = deque()
        for some in batches:
            window.append(pool.submit(_apply, function, some))
            if len(window) > _BATCHES_PER_PROCESS * processes:
                yield from window.popleft().result()
        for future in window:
            yield from future.result()
    except BrokenProcessPool as error:
        raise ProcessDiedError(
            "a process that did a share of the work has died",
            "Use fewer processes if memory ran out. A script must guard its main part with "
            '`if __name__ == "__main__":`.',
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the cores that the process may use: its affinity, within a container's quota (cgroup v2); at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(_QUOTA)
    return max(1, cores if quota is None else min(cores, quota))


def local_processes() -> int:
    """Return how many processes of this run the machine holds, as torchrun and `accelerate launch` tell it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _quota(path: Path) -> int | None:
    """Return the whole cores that a cgroup allows, or None where nothing limits them."""
    try:
        allowed, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else int(allowed) // int(period)
