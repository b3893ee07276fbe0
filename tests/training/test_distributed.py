"""Several processes, or a batch in parts, give what one process gives with whole batches."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from mlrsnet_hf.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED

RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]

SCRIPT = Path(__file__).with_name("doomed_runs.py")
# A network without batch statistics. Plain gradient descent, because AdamW divides a gradient that is zero but for
# rounding by its own size.
SETTINGS = {
    **{"model": "test_vit", "weights": "random", "epochs": 2, "batch_size": 8, "eval_batch_size": 4, "cpu_threads": 1},
    **{"optimizer": "sgd", "learning_rate": 0.1, "ema": 0.5, "trackers": [], "jitter": 0.2},
}
SPLITS = {"whole": (1, 1), "parts": (1, 2), "processes": (2, 1), "both": (2, 2)}


@pytest.fixture(scope="module")
def runs(saved_data: Path, run_processes: RunProcesses, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run, split in four ways."""
    root = tmp_path_factory.mktemp("runs")
    planned = [
        {
            "data": str(saved_data),
            "processes": processes,
            "settings": SETTINGS | {"output_dir": str(root / name), "accumulation": accumulation},
        }
        for name, (processes, accumulation) in SPLITS.items()
    ]
    # A run that has ended: nothing is left to do, and the processes must still part in order.
    planned.append(planned[-1] | {"settings": planned[-1]["settings"] | {"resume": True}})
    codes, said = run_processes(planned)
    assert codes == [[0] * run["processes"] for run in planned], said
    return root


def tensors(run: Path, file: str) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "step-00000008-evaluated" / file)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["parts", "processes", "both"])
def test_a_split_batch_gives_the_weights_of_the_whole(runs: Path, split: str) -> None:
    for file in ("model.safetensors", "average.safetensors"):
        whole, parts = tensors(runs / "whole", file), tensors(runs / split, file)
        assert max((whole[name] - parts[name]).abs().max().item() for name in whole) < 1e-5
    results = json.loads((runs / split / "results.json").read_text())
    processes, accumulation = SPLITS[split]
    assert results["run"]["batch"] == {"global": 8, "per_process": 8 // processes, "accumulation": accumulation}


@pytest.mark.slow
def test_metrics_are_those_of_one_process(runs: Path) -> None:
    whole, shared = (json.loads((runs / name / "results.json").read_text()) for name in ("whole", "processes"))
    for split in ("validation", "test"):
        assert shared["scores"][split] == pytest.approx(whole["scores"][split], abs=1e-6)
    losses = [[epoch["loss"] for epoch in results["history"]] for results in (whole, shared)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
    losses = [[epoch["validation_loss"] for epoch in results["history"]] for results in (whole, shared)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)


@pytest.mark.slow
def test_faults_end_all_processes(
    data: DatasetDict, damaged: Callable, run_processes: RunProcesses, tmp_path: Path
) -> None:
    planned = []
    for broken in ("train", "validation", "test"):
        for name, split in data.items():
            (damaged(split, 3) if name == broken else split).save_to_disk(str(tmp_path / broken / name))
        settings = SETTINGS | {"output_dir": str(tmp_path / f"run-{broken}"), "epochs": 1, "cache": "off"}
        planned.append({"data": str(tmp_path / broken), "processes": 2, "settings": settings})
    codes, said = run_processes(planned)
    assert codes == [[EXIT_BAD_INPUT] * 2] * 3
    for broken in ("train", "validation", "test"):
        # Both processes say it, though one alone met the image.
        assert said.count(f"error: image '{broken}_003' cannot be read") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(
    runs: Path, saved_data: Path, run_processes: RunProcesses, tmp_path: Path, before: int, after: int
) -> None:
    settings = SETTINGS | {"output_dir": str(tmp_path / "run")}
    common = {"data": str(saved_data)}
    first = common | {"settings": settings, "processes": before, "fate": "step 6 SIGTERM"}
    second = common | {"settings": settings | {"resume": True}, "processes": after}
    codes, said = run_processes([first, second])
    assert codes == [[EXIT_INTERRUPTED] * before, [0] * after], said
    assert f"processes was {before}, is {after}: dropout, batch statistics or rounding" in said
    whole, parts = tensors(runs / "whole", "average.safetensors"), tensors(tmp_path / "run", "average.safetensors")
    assert max((whole[name] - parts[name]).abs().max().item() for name in whole) < 1e-5


LAUNCHERS = {"torchrun": ["torch.distributed.run", "--nproc_per_node=2"], "accelerate": ["accelerate.commands.launch"]}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_sigterm_to_the_launcher_leaves_a_checkpoint(saved_data: Path, tmp_path: Path, launcher: str) -> None:
    settings = SETTINGS | {"model": "test_resnet", "image_size": 32, "epochs": 500, "output_dir": str(tmp_path / "run")}
    run = json.dumps({"settings": settings, "data": str(saved_data)})
    command = [sys.executable, "-m", *LAUNCHERS[launcher], str(SCRIPT), run]
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)
    first = tmp_path / "run" / "checkpoints" / "step-00000004-evaluated"
    wait_for(tmp_path / "log", first.exists)
    started.send_signal(signal.SIGTERM)
    assert started.wait(60) != 0  # torchrun gives 1 and accelerate dies of the signal, whatever their processes give
    said = wait_for(tmp_path / "log", lambda: "stopped: " in (tmp_path / "log").read_text())
    cause = "SIGTERM" if launcher == "torchrun" else "the end of the launcher"
    step = int(re.search(rf"stopped: {cause} came; .* up to step (\d+)\.", said)[1])
    assert list(first.parent.glob(f"step-{step:08d}*"))


@pytest.mark.slow
def test_a_signal_to_the_whole_group_finds_the_reading_processes_deaf(saved_data: Path, tmp_path: Path) -> None:
    """So Slurm sends it."""
    settings = SETTINGS | {"model": "test_resnet", "image_size": 32, "epochs": 500, "num_workers": 1}
    run = json.dumps({"settings": settings | {"output_dir": str(tmp_path / "run")}, "data": str(saved_data)})
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen([sys.executable, str(SCRIPT), run], stdout=log, stderr=log, start_new_session=True)
    wait_for(tmp_path / "log", (tmp_path / "run/checkpoints/step-00000004-evaluated").exists)
    os.killpg(started.pid, signal.SIGTERM)
    assert started.wait(60) == EXIT_INTERRUPTED, (tmp_path / "log").read_text()


def wait_for(log: Path, happened: Callable[[], bool]) -> str:
    """Wait for an event of another process; return the log."""
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return log.read_text()
