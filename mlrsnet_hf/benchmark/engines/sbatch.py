"""Options of sbatch, as `--option NAME=VALUE` gives them, for submitit; and what they are where none are given."""

from collections.abc import Mapping
from typing import Any

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted

DEFAULTS = {"time": "4:00:00", "cpus_per_task": "8", "signal_delay_s": "120", "requeue": "true"}
"""How long a task runs before it goes back into the queue, its cores, and the seconds that it has for a checkpoint. A
GPU for each process is added where no option speaks of GPUs."""
_SETUP = (
    '[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK',  # srun asks for it since 22.05
    "export SUBMITIT_PREEMPT_SIGNAL=USR1",
)
"""Lines of shell before each task."""


def submitit_parameters(options: Mapping[str, str], processes: int = 1) -> dict[str, Any]:
    """Return submitit's parameters for options of sbatch, to which go on as they are those that submitit need not know.

    Raises:
        ConfigurationError: A time or number cannot be read.
    """
    given = {name.replace("-", "_"): value for name, value in options.items()}
    values = {**DEFAULTS, **given}
    if "cpus_per_gpu" in given:
        values.pop("cpus_per_task")
    if not any("gpu" in name or name == "gres" for name in values):
        values["gpus_per_node"] = str(processes)
    # submitit's own SIGUSR2 would end the processes that read images; SIGUSR1 they leave to the one that trains.
    values["signal"] = f"USR1@{_whole('signal_delay_s', values.pop('signal_delay_s'))}"
    found: dict[str, Any] = {}
    if "array_parallelism" in values:
        found["array_parallelism"] = _whole("array_parallelism", values.pop("array_parallelism"))
    found["setup"] = [*([values.pop("setup")] if "setup" in values else []), *_SETUP]
    found["time"] = minutes(values.pop("time"))
    found["additional_parameters"] = {
        name: True if value == "true" else value
        for name, value in values.items()
        if value != "false" and not ("gpu" in name and value == "0")  # which SLURM may refuse
    }
    return found


def minutes(text: str) -> int:
    """Return the minutes of a time as sbatch takes it, rounded up.

    Raises:
        ConfigurationError: It is none.

    Examples:
        >>> [minutes(text) for text in ("90", "90:30", "4:00:00", "1-12", "1-12:30", "1-00:00:01")]
        [90, 91, 240, 2160, 2190, 1441]
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    if len(parts) > len(units) or not all(part.isdecimal() for part in (*parts, days if dash else "0")):
        raise ConfigurationError(f"time={quoted(text)} is none", "Give minutes, hours:minutes:seconds or days-hours.")
    seconds = 86400 * int(days or 0) + sum(int(part) * unit for part, unit in zip(parts, units, strict=False))
    return -(-seconds // 60)


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(f"{name}={quoted(text)} cannot be used", "Give a whole number.")
    return int(text)
