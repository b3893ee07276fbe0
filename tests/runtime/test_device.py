"""What is said of the processes that a launcher has begun, or not."""

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
