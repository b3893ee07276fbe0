"""What a worker does with a chain, and what is written down when workers die of it; common to the engines."""

import os
import subprocess
import sys
import time

from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.benchmark.job import LINGER, state_of
from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, ConfigurationError, InterruptedRunError
from mlrsnet_hf.parallel import ProcessDiedError
from mlrsnet_hf.runtime.signals import Interruption

LOG = "log.txt"
"""What a worker says, in the folder of the first job of its chain."""
_POLL = 0.5
"""Seconds between two looks at processes."""


def do_chain(chain: Chain, processes: int) -> None:
    """Do a chain in this process, or in several that accelerate launch begins.

    Raises:
        MLRSNetError: No job can be done on this machine, see `run_job`.
        InterruptedRunError: A signal asked to stop, and the checkpoint is written; a later call goes on.
        ProcessDiedError: One of several processes has died.
    """
    from mlrsnet_hf.benchmark.run_job import run_chain

    if processes == 1:
        try:
            run_chain(chain)
        except OSError as error:  # a full disk
            found = f"{error.filename or chain[0]}: {error.strerror or error}"
            raise ConfigurationError(found, "Make room, then run again.") from error
        return
    with Interruption() as interruption:
        interruption.defer()
        child, told = subprocess.Popen(launch_command(chain, processes)), False
        # A launcher may die of a signal before those that it began have written their checkpoint.
        while child.poll() is None or (interruption.signal is not None and is_busy(chain)):
            if interruption.signal is not None and not told:
                child.terminate()
                told = True
            time.sleep(_POLL)
    name, code = chain[0].name, child.returncode
    if interruption.signal is not None or code == EXIT_INTERRUPTED:
        raise InterruptedRunError(f"{name} was asked to stop", "A later call goes on.", interruption.signal)
    if code == EXIT_BAD_INPUT:
        raise ConfigurationError(f"{name}: no job can be done on this machine", "What it said above tells why.")
    if code:
        raise ProcessDiedError(f"{name}: its processes ended with exit code {code}", "What they said above may tell.")


def launch_command(chain: Chain, processes: int) -> list[str]:
    """Return the command that does a chain in several processes, one for a GPU."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes)]
    return [*launch, "-m", "mlrsnet_hf", "benchmark", "job", *map(str, chain)]


def write_to_log(chain: Chain) -> None:
    """Send what this process and its children say from here on to the log of a chain."""
    file = os.open(chain[0] / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(file, stream.fileno())
    os.close(file)


def is_busy(chain: Chain, patience: float = 0) -> bool:
    """Tell whether a living worker is at one of the jobs.

    Args:
        chain: Folders of jobs.
        patience: Seconds to wait for what is left of a dead worker; see `LINGER`.
    """
    deadline = time.monotonic() + patience
    while any(state_of(folder) == "running" for folder in chain):
        if time.monotonic() >= deadline:
            return True
        time.sleep(_POLL)
    return False


def tell_death(chain: Chain, how: str) -> bool:
    """Write down that the job which a chain had come to has ended its workers; tell whether there is one."""
    from mlrsnet_hf.benchmark.run_job import write_failure

    if is_busy(chain, LINGER):
        return False
    for folder in chain:
        if state_of(folder) == "left":
            remedy = f"See {chain[0] / LOG}; retry it with other settings, such as a lower batch_size."
            write_failure(folder, {"error": "WorkerDied", "reason": f"its process ended {how}", "remedy": remedy})
            return True
    return False
