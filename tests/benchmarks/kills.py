"""A benchmark whose workers are killed beside one that is left in peace: python tests/benchmarks/kills.py --kills 50.

Small networks on drawn scenes are trained and measured three times: by one process after the other in peace; by Ray on
a cluster of two nodes in this machine, whose workers and node SIGKILL strikes, half of the workers when they have just
written a checkpoint; and by submitit's local executor, whose tasks are preempted. Exit status 1 unless each job is done
once, with the same files, byte by byte, save the times that they tell. A kill takes about a quarter of a minute.
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from mlrsnet_hf.benchmark.config import EngineConfig
from mlrsnet_hf.benchmark.engines import ray as ray_engine
from mlrsnet_hf.benchmark.engines import slurm as slurm_engine
from mlrsnet_hf.benchmark.engines.worker import LOG
from mlrsnet_hf.benchmark.folder import Benchmark, Chain
from mlrsnet_hf.benchmark.grid import make_grid
from mlrsnet_hf.benchmark.job import RESULT
from mlrsnet_hf.benchmark.run_job import PROVENANCE, run_chain
from mlrsnet_hf.training.results import RESULTS

GRID: dict[str, Any] = {
    "networks": ["test_resnet"],
    "recipes": ["demo"],
    "datasets": [{"name": "scenes", "synthetic": 2}],
    "protocols": ["ratio40"],
    "training": {
        "image_size": 32,
        "batch_size": 8,
        "epochs": 3,
        "checkpoint_steps": 1,
        "log_every": 1,
        "cpu_threads": 1,
        "num_workers": 0,
    },
    "evaluations": [{"split": "validation"}],
}
"""Each network takes a dozen steps, with a checkpoint after each."""


def begin(root: Path, networks: int, scenes: Path | None = None) -> list[Chain]:
    """Write down a benchmark of so many networks, on scenes that are there already, if they are; return its chains."""
    if scenes is not None:
        shutil.copytree(scenes, root / "scenes")
    benchmark = Benchmark(root)
    benchmark.begin(make_grid("kills", GRID | {"split_seeds": list(range(networks))}), None)
    jobs = benchmark.jobs()
    return benchmark.chains(jobs, benchmark.states(jobs))


def run_in_peace(chains: Sequence[Chain]) -> None:
    """Do the jobs in this process, by one thread as in the workers: sums of several end in other bits."""
    with patch.dict(os.environ, OMP_NUM_THREADS="1"):
        for chain in chains:
            run_chain(chain)


def workers(root: Path, listening_to: signal.Signals) -> Iterator[tuple[psutil.Process, Path]]:
    """Yield the processes whose output goes to a log of the benchmark and that take a signal, with the log."""
    for process in psutil.process_iter():
        folder = Path("/proc", str(process.pid))
        try:
            log = (folder / "fd/1").readlink()
            caught = int(re.search(r"SigCgt:\s*(\w+)", (folder / "status").read_text())[1], 16)
        except OSError:  # of somebody else, or just gone
            continue
        if not log.is_relative_to(root) or not log.name.endswith(("log.txt", "log.out")):
            continue
        if listening_to == signal.SIGKILL or caught >> (listening_to - 1) & 1:
            yield process, log


class Strikes(threading.Thread):
    """Signals to the workers of a benchmark, until there are enough; used in a `with` block.

    Args:
        root: Folder of the benchmark.
        number: How many.
        what: The signal.
        in_training: Whether to strike a worker whenever it has written another checkpoint; else every other strike
            comes at any moment.
        pause: The longest time before a strike at any moment, in seconds.
    """

    def __init__(
        self, root: Path, number: int, what: signal.Signals, in_training: bool = False, pause: float = 10.0
    ) -> None:
        super().__init__(daemon=True)
        self.root, self.number, self.what, self.in_training, self.pause = root, number, what, in_training, pause
        self.struck: Counter[str] = Counter()
        """Strikes by the folder or file of the worker's log."""
        self._over = threading.Event()
        self._seen: set[Path] = set()

    def __enter__(self) -> "Strikes":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Strike."""
        draw = random.Random(0)
        while self.struck.total() < self.number:
            at_any_moment = not self.in_training and self.struck.total() % 2 == 0
            if self._over.wait(draw.uniform(0.5, self.pause) if at_any_moment else 0.05):
                return
            job = None if at_any_moment else self._with_new_checkpoint()
            if job is None and not at_any_moment:
                continue
            found = [one for one in workers(self.root, self.what) if job is None or self._is_of(one[1], job)]
            if found:
                process, log = draw.choice(found)
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(self.what)
                    self.struck[log.parent.name if log.name == LOG else log.name] += 1

    def _with_new_checkpoint(self) -> Path | None:
        """Return the folder of a job that has a checkpoint which no strike followed yet."""
        for checkpoint in self.root.glob("jobs/*/attempts/*/*/checkpoints/step-*"):
            if checkpoint not in self._seen:
                self._seen.add(checkpoint)
                return checkpoint.parents[4]
        return None

    @staticmethod
    def _is_of(log: Path, job: Path) -> bool:
        return log.name != LOG or log.parent == job


def run_on_ray(root: Path, chains: Sequence[Chain], kills: int, nodes: int, in_training: bool = False) -> Strikes:
    """Do the jobs on a cluster of two nodes with one core each; kill workers, then the second node, so often."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    killed = []

    def kill_node() -> None:
        """Kill the second node with its worker, and begin another."""
        if len(killed) < nodes and strikes.struck.total() >= (len(killed) + 1) * kills // (nodes + 1):
            cluster.remove_node(second.pop(), allow_graceful=False)
            killed.append(time.monotonic())
            second.append(cluster.add_node(num_cpus=1))

    second = [cluster.add_node(num_cpus=1)]
    try:
        with Strikes(root, kills, signal.SIGKILL, in_training) as strikes:
            options = (f"address={cluster.address}", "max_retries=-1")
            ray_engine.run_chains(chains, EngineConfig(engine="ray", option=options), kill_node)
    finally:
        cluster.shutdown()
    strikes.struck["a node"] = len(killed)
    return strikes


def run_by_submitit(root: Path, chains: Sequence[Chain], preemptions: int, in_training: bool = False) -> Strikes:
    """Do the jobs by submitit's local executor, all at once, whose tasks are preempted so often."""
    os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "USR1"
    from submitit import LocalExecutor

    executor = LocalExecutor(root / "slurm", max_num_timeout=1000)
    executor.update_parameters(timeout_min=60)
    with Strikes(root, preemptions, signal.SIGUSR1, in_training) as strikes:
        for job in slurm_engine.submit(executor, chains, 1):
            job.result()
    return strikes


def differences(first: Path, second: Path) -> list[str]:
    """Return what is not the same in the results of two benchmarks of the same jobs, save the times that they tell."""
    found = []
    for folder in sorted(path for path in (first / "jobs").iterdir()):
        here, there = folder / RESULT, second / "jobs" / folder.name / RESULT
        for left in [*(second / "jobs" / folder.name).glob("attempts/*"), *there.parent.glob("failure.json")]:
            found.append(f"{left} is left")
        names = {path.relative_to(place) for place in (here, there) for path in place.rglob("*") if path.is_file()}
        if not names:
            found.append(f"{folder.name} has no result")
        for name in sorted(names):
            if not (here / name).is_file() or not (there / name).is_file():
                found.append(f"{folder.name}/{name} is there once")
            elif name.name != PROVENANCE and _content(here / name) != _content(there / name):
                found.append(f"{folder.name}/{name} differs")
    return found


def _content(path: Path) -> bytes:
    """Return what a file holds; of results.json without how long the run took, and whether it went on."""
    content = path.read_bytes()
    return re.sub(rb'"(seconds|resumed)": [^,\n]+', b"", content) if path.name == RESULTS else content


def main() -> None:
    """Compare, and print what was done and found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kills", type=int, default=50, help="strikes in all: a tenth hits nodes, three tenths preempt"
    )
    parser.add_argument("--networks", type=int, default=6)
    options = parser.parse_args()
    nodes, preemptions = options.kills // 10, 3 * options.kills // 10
    wrong = False
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        run_in_peace(begin(folder / "peace", options.networks))
        scenes = folder / "peace" / "scenes"
        for engine in ("ray", "submitit"):
            root, started = folder / engine, time.monotonic()
            chains = begin(root, options.networks, scenes)
            if engine == "ray":
                strikes = run_on_ray(root, chains, options.kills - nodes - preemptions, nodes)
            else:
                strikes = run_by_submitit(root, chains, preemptions)
            found = differences(folder / "peace", root)
            wrong |= bool(found)
            print(f"{engine}: {strikes.struck.total()} strikes in {time.monotonic() - started:.0f} s: {strikes.struck}")
            print(f"{engine}: {len(found)} differences from the run in peace", *found, sep="\n  ")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
