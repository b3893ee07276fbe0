"""This machine, one chain after the other, each in a process of its own: what one leaves behind touches no other.

A worker that dies without a word, as where the system ends it for want of memory, is begun once more, which goes on
from its checkpoints; then its job has failed.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines.worker import LOG, do_chain, is_busy, launch_command, tell_death, write_to_log
from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, ConfigurationError, InterruptedRunError, MLRSNetError
from mlrsnet_hf.runtime.logs import exit_on_error

_TRIES = 2
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_LOADED = ["mlrsnet_hf.benchmark.run_job"]
"""What the server that forks the workers imports, once for all of them."""


def run_chains(chains: Sequence[Chain], config: EngineConfig, watch: Callable[[], None]) -> None:
    """Do all jobs of some chains but those that other living workers are at.

    Args:
        chains: Folders of jobs.
        config: Says how many processes a job has.
        watch: Is called about once a second, and when a chain has ended.

    Raises:
        ConfigurationError: No job can be done on this machine: other code, other data, a full disk.
        InterruptedRunError: A signal asked to stop; the worker has written its checkpoint.
    """
    busy = [chain for chain in chains if is_busy(chain)]
    for chain in (*(chain for chain in chains if chain not in busy), *busy):
        for tried in range(1, _TRIES + 1):
            if is_busy(chain):
                break
            code = _work_off(chain, config.processes, watch)
            watch()
            if code == 0:
                break
            if tried == _TRIES:
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                memory = " (the system ends so what takes more memory than there is)" if code == -signal.SIGKILL else ""
                tell_death(chain, f"{how}, twice{memory}")


def _work_off(chain: Chain, processes: int, watch: Callable[[], None]) -> int:
    """Return the exit code of a worker that did a chain; a negative one is the signal that ended it."""
    if processes > 1:
        with (chain[0] / LOG).open("ab") as file:
            child = subprocess.Popen(launch_command(chain, processes), stdout=file, stderr=subprocess.STDOUT)
            with _stopped_with_it(child.pid, child.wait):
                while child.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(1.0)
                    watch()
        return child.returncode
    context: Any = multiprocessing.get_context(_METHOD)
    if _METHOD == "forkserver":
        context.set_forkserver_preload(_LOADED)
    told, tell = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(chain, tell))
    worker.start()
    tell.close()
    with _stopped_with_it(worker.pid, worker.join):
        while worker.exitcode is None:
            worker.join(1.0)
            watch()
    if worker.exitcode == EXIT_INTERRUPTED:
        raise InterruptedRunError("the worker was asked to stop", "Give the same command again to go on.")
    if worker.exitcode == EXIT_BAD_INPUT and told.poll():
        raise ConfigurationError(*told.recv())
    return int(worker.exitcode)


@contextmanager
def _stopped_with_it(worker: int, wait: Callable[[], object]) -> Iterator[None]:
    """Pass a signal that asks to stop on to the worker, and wait until it has written its checkpoint.

    Raises:
        InterruptedRunError: One came.
    """
    try:
        yield
    except KeyboardInterrupt:
        os.kill(worker, signal.SIGTERM)
        wait()
        raise InterruptedRunError(
            "a signal came; the job under way is kept", "Give the same command again to go on."
        ) from None


def _work(chain: Chain, tell: Any) -> None:  # noqa: ANN401 - a connection
    """Do a chain, in the worker's process; what it says goes to the log."""
    write_to_log(chain)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with exit_on_error("benchmark"):
        try:
            do_chain(chain, processes=1)
        except InterruptedRunError:
            raise
        except MLRSNetError as error:
            tell.send((error.found, error.remedy))
            raise


def _end_with_parent() -> None:
    """Ask this process to stop when the one that began it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
