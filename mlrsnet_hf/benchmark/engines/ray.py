"""Ray, on one machine or on several that share the benchmark's folder: each chain is a Ray Core task.

Ray decides where a chain runs and on which GPUs, and begins it anew when its worker or machine dies; what is done, and
what a checkpoint holds, is not done again.
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines.worker import do_chain, tell_death, write_to_log
from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.errors import ConfigurationError, InterruptedRunError, MLRSNetError
from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.parallel import ProcessDiedError
from mlrsnet_hf.runtime.logs import get_logger

RETRIES = 20
"""How often a chain whose worker has died is begun anew, unless `max_retries` says otherwise; -1 is without end."""

logger = get_logger(__name__)


def run_chains(chains: Sequence[Chain], config: EngineConfig, watch: Callable[[], None]) -> None:
    """Do chains as Ray tasks, as many at once as there is room for.

    Args:
        chains: Folders of jobs, where all machines of the cluster see them under the same path.
        config: With the option `address` of a cluster (`auto` for the one of this machine; without it RAY_ADDRESS, or
            else a Ray that ends with this process); the others are those of a Ray task, such as `num_gpus`, `num_cpus`,
            `memory` and `max_retries`. By default a process has one GPU where there are any, and its share of cores.
        watch: Is called about once a second, and when a chain has ended.

    Raises:
        ConfigurationError: There is no Ray at the address, or it knows no such option.
        MLRSNetError: A worker can do no jobs (other code, other data, a full disk); raised when the others have ended.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    given = dict(config.options)
    # Ray would otherwise join whatever Ray was last begun on this machine.
    address = given.pop("address", None) or os.environ.get("RAY_ADDRESS") or "local"
    options = {name: _plain(text) for name, text in given.items()}
    # max_calls: a process for each chain, which leaves nothing on its GPU.
    fixed: dict[str, Any] = {"max_calls": 1, "retry_exceptions": [InterruptedRunError, ProcessDiedError]}
    try:
        declare: Any = ray.remote  # its options are checked when they are known
        task = declare(**{"max_retries": RETRIES, **options, **fixed})(_do_chain)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"Ray refuses its options ({error})", "Give options of a Ray task.") from error
    try:
        _look_for(address)
        ray.init(address, include_dashboard=False, logging_level=logging.WARNING, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"there is no Ray to connect to, address={address} ({on_one_line(str(error))})",
            "Start one with ray start --head, or give its address.",
        ) from error
    try:
        room = ray.cluster_resources()
        asked = _share(room, config.processes) | options
        for what, name in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
            if asked.get(name, 0) > room.get(what, 0):
                logger.warning(
                    "Ray has %g %ss, a job asks for %g: it waits for more", room.get(what, 0), what, asked[name]
                )
        _run_all(task.options(**asked), chains, config.processes, watch)
    finally:
        ray.shutdown()


def _look_for(address: str) -> None:
    """Raise an OSError if nobody listens at an address of host and port; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=10.0).close()


def _share(room: Mapping[str, float], processes: int) -> dict[str, Any]:
    """Return what a chain has of a cluster unless it is told otherwise: a GPU for each process, and cores by GPU."""
    gpus, cores = room.get("GPU", 0), room.get("CPU", 1)
    if not gpus:
        return {"num_cpus": processes}
    return {"num_gpus": processes, "num_cpus": max(1, int(cores / gpus)) * processes}


def _run_all(task: Any, chains: Sequence[Chain], processes: int, watch: Callable[[], None]) -> None:  # noqa: ANN401 - of Ray
    import ray
    from ray.exceptions import RayError, RayTaskError

    left = {task.remote(chain, processes): chain for chain in chains}
    refusal: MLRSNetError | None = None
    while left:
        for ended in ray.wait(list(left), timeout=1.0)[0]:
            chain = left.pop(ended)
            try:
                ray.get(ended)
            except RayTaskError as error:
                if isinstance(error.cause, ProcessDiedError) and tell_death(chain, "again and again"):
                    left[task.remote(chain, processes)] = chain
                elif isinstance(error.cause, MLRSNetError):
                    refusal = error.cause
                else:
                    raise
            except RayError as error:  # its workers have died time and again
                if tell_death(chain, f"again and again ({type(error).__name__})"):
                    left[task.remote(chain, processes)] = chain  # what of it does not need that job
        watch()
    if refusal is not None:
        raise refusal


def _do_chain(chain: Chain, processes: int) -> None:
    """Do a chain in a worker's process, which ends with it; what it says goes to the log of the chain."""
    write_to_log(chain)
    do_chain(chain, processes)


def _plain(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
