"""One process and two; that a run's processes stop together is tested in tests/training/test_distributed.py."""

import json
import os
import socket
import subprocess
import sys

import pytest
from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.runtime.collectives import Collectives

PROCESS = """
import json
from accelerate import Accelerator
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.runtime.collectives import Collectives

accelerator = Accelerator(cpu=True)
collectives = Collectives(accelerator)
rank = collectives.index

def fail_on(process):
    def act():
        if rank == process:
            raise ConfigurationError(f"process {process}", "")
        return rank
    return act

def outcome(ask):
    try:
        return ask()
    except MLRSNetError as error:
        return error.found

print(json.dumps([
    collectives.any_process(rank == 1, False, rank == 0),
    collectives.run_on_main(lambda: f"of {rank}"),
    collectives.run_on_all(lambda: rank),
    outcome(lambda: collectives.run_on_main(fail_on(0))),
    outcome(lambda: collectives.run_on_main(fail_on(1))),
    outcome(lambda: collectives.run_on_all(fail_on(1))),
]))
accelerator.end_training()
"""


def test_one_process_asks_itself() -> None:
    collectives = Collectives(Accelerator(cpu=True))
    assert collectives.any_process(True, False) == (True, False)
    assert collectives.run_on_main(lambda: 3) == collectives.run_on_all(lambda: 3) == 3
    collectives.raise_together(None)
    with pytest.raises(ConfigurationError, match="mine"):
        collectives.raise_together(ConfigurationError("mine", ""))


@pytest.mark.slow
def test_two_processes_know_the_same() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            env={**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank, "ACCELERATE_USE_CPU": "true"},
            stdout=subprocess.PIPE,
        )
        for rank in ("0", "1")
    ]
    found = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    common = [True, False, True], "of 0"
    assert found[0] == [*common, 0, "process 0", 0, "process 1"]
    assert found[1] == [*common, 1, "process 0", 0, "process 1"]
