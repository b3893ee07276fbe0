"""What is said of the processes that a launcher has begun, or not."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from mlrsnet_hf.runtime.device import use_processor

# As accelerate 1.15 sets them for --cpu --num_processes 2.
LAUNCHED = {
    "ACCELERATE_MIXED_PRECISION": "no",
    "MASTER_ADDR": "127.0.0.1",
}


@pytest.mark.parametrize(
    ("environment", "processes", "warned"),
    [
        (LAUNCHED, 1, True),
        (LAUNCHED | {"WORLD_SIZE": "1"}, 1, False),  # torchrun with one process
        ({"ACCELERATE_MIXED_PRECISION": "no"}, 1, False),  # --num_processes 1
        ({"MASTER_ADDR": "node7"}, 1, False),  # of a job script
        (LAUNCHED, 2, False),
    ],
)
def test_a_launcher_that_begins_one_process_of_several(
    environment: dict, processes: int, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in (*LAUNCHED, "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mlrsnet_hf.runtime.device.keep_freed_memory", lambda: None)
    threads = torch.get_num_threads()
    use_processor(SimpleNamespace(device=torch.device("cpu"), num_processes=processes), threads)
    assert ("torchrun --nproc_per_node 2" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(
    ("environment", "given", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, 0, 3),
        ({"OMP_NUM_THREADS": "3,1"}, 0, 3),
        ({"OMP_NUM_THREADS": "3"}, 2, 2),
        ({"OMP_NUM_THREADS": "1"}, 0, 1),
        ({"OMP_NUM_THREADS": "1", **LAUNCHED}, 0, 8),  # accelerate's own
        ({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "x"}, 0, 8),  # torchrun's own
        ({"OMP_NUM_THREADS": "2", "TORCHELASTIC_RUN_ID": "x"}, 0, 2),
        ({"OMP_NUM_THREADS": ""}, 0, 8),
        ({"OMP_NUM_THREADS": "many"}, 0, 8),
        ({}, 0, 8),
    ],
)
def test_threads_that_the_user_has_set_are_taken(
    environment: dict, given: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*LAUNCHED, "WORLD_SIZE", "OMP_NUM_THREADS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    taken: list[int] = []
    monkeypatch.setattr("mlrsnet_hf.runtime.device.keep_freed_memory", lambda: None)
    monkeypatch.setattr("mlrsnet_hf.runtime.device.available_cores", lambda: 16)
    monkeypatch.setattr("torch.set_num_threads", taken.append)
    use_processor(SimpleNamespace(device=torch.device("cpu"), num_processes=2), given)
    assert taken == [threads]


STEPS = """
import resource, sys
import numpy as np
from mlrsnet_hf.runtime.device import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def step():
    for _ in range(4):  # each of 16 MB, of which every page is written
        np.ones(2**22, np.float32) + np.ones(2**22, np.float32)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_kept_unless_the_user_has_set_the_allocator() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRE"))}

    def faults(how: str, **environment: str) -> int:
        command = [sys.executable, "-c", STEPS, how]
        return int(subprocess.run(command, env=own | environment, capture_output=True, check=True).stdout)

    kept, given_back = faults("kept"), faults("left")
    assert given_back > 20 * max(kept, 10)
    assert faults("kept", MALLOC_MMAP_MAX_="65536") > 20 * max(kept, 10)
