"""What a worker does with a chain, and what is written down when workers die of it; common to the engines."""

import subprocess
import sys
import time

from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.benchmark.job import state_of
from mlrsnet_hf.benchmark.run_job import run_chain, write_failure
from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, ConfigurationError, InterruptedRunError
from mlrsnet_hf.parallel import ProcessDiedError
from mlrsnet_hf.runtime.signals import Interruption

LOG = "log.txt"
"""What a worker says, in the folder of the first job of its chain."""
_POLL = 0.5
"""Seconds."""


def do_chain(chain: Chain, processes: int) -> None:
    """Do a chain in this process, or in several that accelerate launch begins.

    Raises:
        MLRSNetError: No job can be done on this machine, see `run_job`.
        InterruptedRunError: A signal asked to stop, and the checkpoint is written; a later call goes on.
        ProcessDiedError: One of several processes has died.
    """
    if processes == 1:
        run_chain(chain)
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
    if interruption.signal is not None or child.returncode == EXIT_INTERRUPTED:
        raise InterruptedRunError(
            "a signal asked to stop", "Give the same command again to go on.", interruption.signal
        )
    if child.returncode == EXIT_BAD_INPUT:
        raise ConfigurationError(f"{chain[0].name}: no job can be done here", "The log says why.")
    if child.returncode:
        raise ProcessDiedError(
            f"{chain[0].name}: its processes ended with exit code {child.returncode}", "The log may say why."
        )


def launch_command(chain: Chain, processes: int) -> list[str]:
    """Return the command that does a chain in several processes, one for a GPU."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes)]
    return [*launch, "-m", "mlrsnet_hf", "benchmark", "job", *map(str, chain)]


def is_busy(chain: Chain) -> bool:
    """Tell whether a living worker is at one of the jobs."""
    return any(state_of(folder) == "running" for folder in chain)


def tell_death(chain: Chain, how: str) -> bool:
    """Write down that the first job of a chain that is not done has ended its workers; tell whether there is one."""
    for folder in chain:
        if state_of(folder) in ("left", "running"):
            remedy = f"See {chain[0] / LOG}; retry it with other settings, such as a lower batch_size."
            write_failure(folder, {"error": "WorkerDied", "reason": how, "remedy": remedy})
            return True
    return False
