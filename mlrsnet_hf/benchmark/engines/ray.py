"""Ray, on one machine or on several that share the benchmark's folder: each chain is a Ray Core task.

Ray decides where a chain runs and on which GPUs, and begins it anew when its worker or machine dies; what is done, and
what a checkpoint holds, is not done again.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines.worker import do_chain, tell_death, write_to_log
from mlrsnet_hf.benchmark.folder import Chain
from mlrsnet_hf.errors import ConfigurationError, InterruptedRunError, MLRSNetError, require_extra
from mlrsnet_hf.escaping import on_one_line

RETRIES = 20
"""How often a chain whose worker has died is begun anew, unless `max_retries` says otherwise; -1 is without end."""


def run_chains(chains: Sequence[Chain], config: EngineConfig, watch: Callable[[], None]) -> None:
    """Do chains as Ray tasks, as many at once as there is room for.

    Args:
        chains: Folders of jobs, where all machines of the cluster see them under the same path.
        config: With the option `address` of a cluster (`auto` for the one of this machine; without it RAY_ADDRESS, or
            else a Ray that ends with this process); the others are those of a Ray task, such as `num_gpus`, `num_cpus`,
            `memory` and `max_retries`. By default a process has one GPU where there are any, and its share of cores.
        watch: Is called about once a second, and when a chain has ended.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigurationError: There is no Ray at the address, it has no room for a chain, or it knows no such option.
        MLRSNetError: A worker can do no jobs (other code, other data, a full disk); raised when the others have ended.
    """
    require_extra("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    options = {name: _plain(text) for name, text in config.options.items()}
    address = options.pop("address", None)
    try:
        ray.init(address, include_dashboard=False, logging_level="warning", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"there is no Ray to connect to, address={address} ({on_one_line(str(error))})",
            "Start one with ray start --head, or give its address.",
        ) from error
    try:
        _run_all(chains, config.processes, options, watch)
    finally:
        ray.shutdown()


def _run_all(chains: Sequence[Chain], processes: int, options: Mapping[str, Any], watch: Callable[[], None]) -> None:
    import ray
    from ray.exceptions import RayError, RayTaskError

    room = ray.cluster_resources()
    gpus, cores = room.get("GPU", 0), room.get("CPU", 1)
    share = (
        {"num_gpus": processes, "num_cpus": max(1, int(cores / gpus)) * processes} if gpus else {"num_cpus": processes}
    )
    # max_calls: a process for each chain, which leaves nothing on its GPU.
    fixed = {"max_calls": 1, "retry_exceptions": [InterruptedRunError]}
    try:
        task = ray.remote(**{"max_retries": RETRIES, **share, **options, **fixed})(_do_chain)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"Ray refuses its options ({error})", "Give options of a Ray task.") from error
    left = {task.remote(chain, processes): chain for chain in chains}
    refusal: MLRSNetError | None = None
    while left:
        for ended in ray.wait(list(left), timeout=1.0)[0]:
            chain = left.pop(ended)
            try:
                ray.get(ended)
            except RayTaskError as error:
                if not isinstance(error.cause, MLRSNetError):
                    raise
                refusal = error.cause
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
