"""Work shared among processes, in order, with little held at a time."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mlrsnet_hf.errors import MLRSNetError

Item = TypeVar("Item")
Result = TypeVar("Result")

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
"""What asks a command to stop; SIGUSR1 as Slurm sends it on request, some time before it ends a job."""

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
    with deaf_children():
        pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), initializer=leave_signals_to_the_parent
        )
    try:
        window: deque[Future[list[Result]]] = deque()
        for some in batches:
            with deaf_children():  # which are begun one by one, as work comes
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


@contextmanager
def deaf_children() -> Iterator[None]:
    """Hold back `STOP_SIGNALS` in the block, and for good in the processes that it begins, which inherit that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def leave_signals_to_the_parent(worker: int = 0) -> None:
    """Make a process that shares the work deaf to `STOP_SIGNALS`, which schedulers and terminals send to it too.

    The parent still needs its results up to where it stops. SIGTERM that the parent itself sends ends the process all
    the same, because Python waits for it after that.

    Args:
        worker: Its number, which `DataLoader` tells.
    """
    for number in STOP_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # elsewhere SIGTERM ends the process, whoever sends it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_the_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


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
