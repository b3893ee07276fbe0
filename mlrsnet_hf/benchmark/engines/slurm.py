"""SLURM: chains become the tasks of job arrays, by submitit, and come back when SLURM ends them early.

Some time before its time limit, or where a cluster preempts with a signal, a task gets SIGUSR1: training writes a
checkpoint, and the task goes back into the queue (`scontrol requeue`). After SIGTERM alone training writes a checkpoint
too, and the task waits for what SLURM decides: the end, as after `scancel`, or the queue, as after preemption.
"""

import hashlib
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines.sbatch import submitit_parameters
from mlrsnet_hf.benchmark.folder import Benchmark, Chain
from mlrsnet_hf.errors import ConfigurationError, InterruptedRunError
from mlrsnet_hf.escaping import for_file_name, shortened
from mlrsnet_hf.runtime.logs import print_result

LARGEST_ARRAY = 1000
"""Tasks of an array; SLURM's MaxArraySize is 1001 unless a cluster sets another."""
_TURNS = 10_000
"""How often a task may come to its time limit; submitit's default is 3."""


class ChainTask:
    """What a task of an array calls; submitit asks its `checkpoint` what to put back into the queue."""

    def __call__(self, chain: Chain, processes: int) -> None:
        """Do the jobs of a chain."""
        from submitit import JobEnvironment

        from mlrsnet_hf.benchmark.engines.worker import do_chain

        requeue = JobEnvironment._usr_sig()
        try:
            do_chain(chain, processes)
        except InterruptedRunError as stop:
            # Training took the signal from submitit to write its checkpoint first; now it is submitit's turn.
            if stop.signal == requeue:
                signal.raise_signal(requeue)
            while True:  # until SLURM's next signal, or the end
                signal.pause()

    def checkpoint(self, chain: Chain, processes: int) -> Any:  # noqa: ANN401 - of submitit, which is imported late
        """Return the same chain: its folders say what is done of it."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, chain, processes)


def run_chains(chains: Sequence[Chain], config: EngineConfig, watch: Callable[[], None]) -> None:
    """Submit chains as job arrays, and return at once.

    Args:
        chains: Folders of jobs, where all nodes see them under the same path; logs come into `slurm` of the benchmark.
        config: With options of sbatch, such as `partition`, `time`, `mem`, `gres` and `account`, `true` for one without
            a value; and with submitit's `setup` (a line of shell before each task), `signal_delay_s` and
            `array_parallelism`.
        watch: Is not called: `mlrsnet benchmark status` tells how far the jobs are.

    Raises:
        ConfigurationError: There is no SLURM here, it refuses the options, or has jobs of this benchmark already.
    """
    from submitit import SlurmExecutor

    root = Benchmark.of_job(chains[0][0]).root
    logs = root / "slurm"
    name = f"mlrsnet-{for_file_name(root.name)}-{hashlib.sha256(bytes(root)).hexdigest()[:6]}"
    parameters = submitit_parameters(config.options, config.processes)
    try:
        executor = SlurmExecutor(logs, max_num_timeout=_TURNS)  # refuses a machine without srun
        call = ["squeue", "--noheader", "--format=%F", f"--name={name}"]
        queued = set(subprocess.run(call, capture_output=True, text=True, check=True).stdout.split())
        if not queued:
            executor.update_parameters(job_name=name, **parameters)
            parts = [chains[at : at + LARGEST_ARRAY] for at in range(0, len(chains), LARGEST_ARRAY)]
            arrays = [_array(submit(executor, part, config.processes)) for part in parts]
    except (RuntimeError, ValueError, OSError, subprocess.CalledProcessError) as error:
        told = " ".join(str(getattr(error, "stderr", None) or error).split())
        raise ConfigurationError(
            f"SLURM takes no jobs ({shortened(told, 300)})", "Mend its options, or choose another engine."
        ) from error
    if queued:
        raise ConfigurationError(
            f"{root}: SLURM has jobs of it in its queue already ({', '.join(sorted(queued))})",
            "Wait for them, or end them with scancel first; what they have done is kept.",
        )
    print_result(
        f"submitted to SLURM as {name}: {len(chains):,} tasks ({', '.join(arrays)})\n"
        f"logs, and which task does what: {logs}\nhow far they are: mlrsnet benchmark status {root}"
    )


def submit(executor: Any, chains: Sequence[Chain], processes: int) -> list[Any]:  # noqa: ANN401 - of submitit
    """Submit chains as one array, write down which task does what, and return submitit's jobs."""
    jobs: list[Any] = executor.map_array(ChainTask(), chains, [processes] * len(chains))
    tasks = zip(jobs, chains, strict=True)
    lines = [f"{job.job_id}\t{' '.join(folder.name for folder in chain)}\n" for job, chain in tasks]
    (Path(executor.folder) / f"{_array(jobs)}.tsv").write_text("".join(lines), encoding="utf-8")
    return jobs


def _array(jobs: Sequence[Any]) -> str:
    return str(jobs[0].job_id).partition("_")[0]
