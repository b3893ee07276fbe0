"""Runs of the trainer in processes of their own, some of which die: `python doomed_runs.py < runs.json > codes.json`.

Standard input holds a list of runs, done one after the other: the `settings`, the `data` (a folder with one saved
dataset per split, or the address of a streamed set), the number of `processes`, the `fate`: a moment ("step 3",
"disk 2", "evaluation 1", "history 1") and a signal that its processes are sent then, and perhaps a file `seen`, to
which each process adds a line of JSON before each step: its number, and the ids that the process learns from. Prints
the exit codes of each run's processes as JSON; what the runs say goes to standard error. The processes are forks of
this one, because to import torch takes longer than to train a network this small. With arguments in place of standard
input, `doomed_runs.py RUN`, it does one run in this process.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch.distributed
from datasets import load_from_disk

from mlrsnet_hf import files
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.logs import exit_on_error
from mlrsnet_hf.training import trainer
from mlrsnet_hf.training import trainer as evaluation
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.train import train
from mlrsnet_hf.training.trainer import Trainer

MOMENTS: dict[str, tuple[object, str]] = {
    "step": (Trainer, "train_step"),
    "disk": (files, "sync"),  # before and after the name of a checkpoint, and of the best model
    "evaluation": (evaluation, "predict"),
    "history": (trainer, "write_history"),
}

STILL_CONNECTED = 98
"""Exit code of a process that left the others without a word."""


def strike(moment: str, number: str, signal_name: str) -> None:
    """Send this process the signal just before the moment comes for the n-th time."""
    owner, name = MOMENTS[moment]
    original: Callable = getattr(owner, name)
    calls = 0

    def struck(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == int(number):
            os.kill(os.getpid(), getattr(signal, signal_name))
        return original(*arguments, **options)

    setattr(owner, name, struck)


def write_down(file: str) -> None:
    """Write down the ids of each step before it is done."""
    original = Trainer.train_step

    def seen(self: Trainer, micro_batches: list) -> object:
        rows = [row for batch in micro_batches for row in batch.rows.tolist()]
        ids = [self.loaders.train_ids[row] for row in rows]
        with Path(file).open("a") as lines:
            lines.write(json.dumps([self.progress.step + 1, ids]) + "\n")
        return original(self, micro_batches)

    Trainer.train_step = seen  # type: ignore[method-assign]


def load(place: str) -> ImageData:
    if "://" in place:
        return load_data(DataConfig(streaming=place))
    folder = Path(place)
    splits = {split.name: load_from_disk(str(split)) for split in folder.iterdir()}
    names = tuple(splits["train"].features["labels"].feature.names)
    return ImageData(splits=splits, label_names=names, scene_names=(), source={"fingerprint": folder.name})


def live(run: dict) -> None:
    if run.get("seen"):
        write_down(run["seen"])
    if run.get("fate"):
        strike(*run["fate"].split())
    trainer.draw_curves = lambda *_: None  # takes as long as all the rest
    with exit_on_error():
        train(TrainingConfig(**run["settings"]), load(run["data"]))


def start(run: dict) -> list[int]:
    """Fork the processes of a run, with the variables that `accelerate launch` would set."""
    processes = run.get("processes", 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child:
            children.append(child)
            continue
        if processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            os.environ |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
        code = 1
        try:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            live(run)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            if torch.distributed.is_initialized():  # the processes may abort one another while they end
                code = STILL_CONNECTED
            sys.stdout.flush()
            os._exit(code)
    return children


def wait(children: list[int]) -> list[int]:
    """Return the exit codes; the death of one by SIGKILL is the death of all, as when a machine dies."""
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        child, status = os.wait()
        codes[child] = os.waitstatus_to_exitcode(status)
        if codes[child] == -signal.SIGKILL:
            time.sleep(0.1)
            for other in set(children) - set(codes):
                os.kill(other, signal.SIGKILL)
    return [codes[child] for child in children]


def main() -> None:
    if len(sys.argv) > 1:
        live(json.loads(sys.argv[1]))
    else:
        print(json.dumps([wait(start(run)) for run in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
