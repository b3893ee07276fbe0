"""This machine, one chain after the other, each in a process of its own: what one leaves behind touches no other.

A worker that dies without a word, as where the system ends it for want of memory, is begun once more, which goes on
from its checkpoints; then its job has failed.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines.worker import do_chain, is_busy, tell_death, write_to_log
from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.benchmark.job import LINGER
from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, ConfigurationError, InterruptedRunError, MLRSNetError
from mlrsnet_hf.parallel import ProcessDiedError
from mlrsnet_hf.runtime.logs import exit_on_error, get_logger

_TRIES = 2
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_LOADED = ["mlrsnet_hf.benchmark.run_job"]
"""What the server that forks the workers imports, once for all of them."""

logger = get_logger(__name__)


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
            if is_busy(chain, 0 if tried == 1 else LINGER):
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
    """Return the exit code of a worker that did a chain; a negative one is the signal that ended it.

    Raises:
        ConfigurationError: See `run_chains`.
        InterruptedRunError: See `run_chains`.
    """
    context: Any = multiprocessing.get_context(_METHOD)
    if _METHOD == "forkserver":
        context.set_forkserver_preload(_LOADED)
    told, tell = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(chain, processes, tell))
    worker.start()
    tell.close()
    try:
        while worker.exitcode is None:
            worker.join(1.0)
            watch()
    except KeyboardInterrupt:  # a signal that asks to stop: the worker writes its checkpoint first
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGTERM)
        worker.join()
        raise InterruptedRunError(
            "a signal came; the job under way is kept", "Give the same command again to go on."
        ) from None
    if worker.exitcode == EXIT_INTERRUPTED:
        raise InterruptedRunError("the worker was asked to stop", "Give the same command again to go on.")
    if worker.exitcode == EXIT_BAD_INPUT and told.poll():
        raise ConfigurationError(*told.recv())
    return int(worker.exitcode)


def _work(chain: Chain, processes: int, tell: Any) -> None:  # noqa: ANN401 - a connection
    """Do a chain, in the worker's process; what it says goes to the log."""
    write_to_log(chain)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with exit_on_error("benchmark"):
        try:
            do_chain(chain, processes)
        except InterruptedRunError:
            raise
        except ProcessDiedError as error:  # one that it began: as if it had died itself
            logger.error("%s", error)
            sys.exit(1)
        except MLRSNetError as error:
            tell.send((error.found, error.remedy))
            raise


def _end_with_parent() -> None:
    """Ask this process to stop when the one that began it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
