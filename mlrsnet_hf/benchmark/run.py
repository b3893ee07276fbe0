"""`mlrsnet benchmark run` and `retry`: write the jobs down, hand what is left to an engine, tell how far it came."""

import dataclasses
import importlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlrsnet_hf.benchmark.config import EngineConfig, GridChoice
from mlrsnet_hf.benchmark.folder import FILE, Benchmark, Chain
from mlrsnet_hf.benchmark.grid import read_grid
from mlrsnet_hf.benchmark.job import FAILURE, REPLACED, Job, State
from mlrsnet_hf.benchmark.plan import disk_of, disk_warning
from mlrsnet_hf.benchmark.status import Status, duration, reason_of
from mlrsnet_hf.errors import EXTRAS, ConfigurationError, require_extra
from mlrsnet_hf.files import kept_if_stopped
from mlrsnet_hf.runtime.logs import get_logger, print_result, progress_bar

RunChains = Callable[[Sequence[Chain], EngineConfig, Callable[[], None]], None]
"""What each engine has: does all jobs of some chains, and calls what it is given while it waits."""

logger = get_logger(__name__)


def run_benchmark(choice: GridChoice, engine: EngineConfig) -> Status:
    """Write down the jobs of a grid, and run what is left of the benchmark.

    Raises:
        MLRSNetError: The grid, the data or this machine cannot be used.
        InterruptedRunError: A signal asked to stop; the same command goes on.
    """
    run_chains = find_engine(engine)
    benchmark = begin(choice)
    return run_left(benchmark, engine, run_chains)


def begin(choice: GridChoice) -> Benchmark:
    """Write down the jobs of the grid that is chosen, or look for those that are there.

    Raises:
        MLRSNetError: There is neither, or the grid or its data cannot be used.
    """
    benchmark = Benchmark(choice.folder.expanduser().absolute())
    if choice.chosen is not None:
        benchmark.begin(read_grid(choice.chosen), choice.data_dir, choice.other_code)
    elif not (benchmark.root / FILE).is_file():
        remedy = "Give --preset (paper, modern, leakage, multi-vs-single, demo) or --grid FILE."
        if choice.folder.is_file():
            remedy = f"Give the benchmark's folder first, and this file as --grid {choice.folder}."
        raise ConfigurationError(f"{choice.folder} is no benchmark, and no grid is given", remedy)
    else:
        benchmark.go_on(choice.other_code)
    return benchmark


def find_engine(config: EngineConfig) -> RunChains:
    """Return the `run_chains` of an engine.

    Raises:
        MissingExtraError: It is not installed.
    """
    if config.engine in EXTRAS:
        require_extra(config.engine)
    module: Any = importlib.import_module(f"mlrsnet_hf.benchmark.engines.{config.engine}")
    found: RunChains = module.run_chains
    return found


def run_left(benchmark: Benchmark, engine: EngineConfig, run_chains: RunChains) -> Status:
    """Have an engine do all that is left, and tell how it went.

    Raises:
        MLRSNetError: This machine cannot be used.
        InterruptedRunError: A signal asked to stop.
    """
    jobs = benchmark.jobs()
    before = Status.of(benchmark, jobs)
    chains = benchmark.chains(jobs, before.states)
    total = sum(state != "replaced" for state in before.states.values())
    logger.info("%d jobs, of which %d are done: %s", total, before.counts["done"], benchmark.root)
    kept = f"What is done is kept in {benchmark.root}; give the same command again to go on."
    if chains and (warning := disk_warning(benchmark.root, disk_of(benchmark, jobs, before.states))):
        logger.warning("warning: %s", warning)
    with (
        kept_if_stopped(lambda: kept),
        progress_bar(description="jobs", total=total, initial=before.counts["done"], unit="job") as bar,
    ):
        if chains:
            run_chains(chains, engine, _Watch(benchmark, jobs, before.states, bar))
    after = Status.of(benchmark, jobs)
    if not (after.counts["left"] or after.counts["running"]):
        shutil.rmtree(benchmark.decoded, ignore_errors=True)
    print_result(after.text())
    return after


class _Watch:
    """Tells each job that has ended since the last call, and how long the rest will take.

    Args:
        benchmark: The benchmark.
        jobs: Its jobs.
        states: How far they were.
        bar: Counts those that are done.
    """

    def __init__(self, benchmark: Benchmark, jobs: Mapping[Path, Job], states: Mapping[Path, State], bar: Any) -> None:  # noqa: ANN401
        self._benchmark, self._jobs, self._states, self._bar = benchmark, jobs, dict(states), bar

    def __call__(self) -> None:
        states = self._benchmark.states(self._jobs)
        for folder, state in states.items():
            if state == self._states[folder] or state not in ("done", "failed"):
                continue
            now = Status(self._benchmark.root, self._jobs, states)
            done, total = now.counts["done"] + now.counts["failed"], len(self._jobs) - now.counts["replaced"]
            seconds = now.seconds_to_go
            left = "" if not seconds else f"; about {duration(seconds)} to go"
            how = f"{state}: {reason_of(folder)}" if state == "failed" else state
            logger.info("job %d of %d: %s %s%s", done, total, self._jobs[folder].label, how, left)
            if state == "done":
                self._bar.update()
        self._states = states


def retry(folder: Path, changes: Mapping[str, Any], engine: EngineConfig, other_code: bool = False) -> Status:
    """Run the failed jobs of a benchmark again, as they were or with changed training settings.

    A changed setting that defines the job makes another job of it, and of what is measured of its model; the one that
    failed stays as it is, and tells by which it was replaced.

    Args:
        folder: Of the benchmark.
        changes: Settings of `TrainingConfig` by name.
        engine: Who runs them.
        other_code: Whether the code may be other than that of the jobs that are there.

    Raises:
        MLRSNetError: The folder is no benchmark, a setting cannot be used, or this machine cannot.
    """
    run_chains = find_engine(engine)
    benchmark = Benchmark(folder.expanduser().absolute())
    benchmark.go_on(other_code)
    jobs = benchmark.jobs()
    states = benchmark.states(jobs)
    failed = {folder: job for folder, job in jobs.items() if states[folder] == "failed"}
    if not failed:
        print_result(f"{benchmark.root}: no job has failed")
    others: dict[Path, Job] = {}
    for place, job in failed.items():
        changed = dataclasses.replace(job, training=_changed(job, changes)) if job.training is not None else job
        if changed.name != job.name:
            others[place] = changed
        else:
            changed.write(place)
            (place / FAILURE).unlink(missing_ok=True)  # another worker may have ended it since
    _replace(benchmark, jobs, others, changes)
    return run_left(benchmark, engine, run_chains)


def _changed(job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
    from mlrsnet_hf.benchmark.grid import training_settings

    return {**(job.training or {}), **training_settings(changes)}


def _replace(
    benchmark: Benchmark, jobs: Mapping[Path, Job], trained: Mapping[Path, Job], changes: Mapping[str, Any]
) -> None:
    """Put other trainings in the place of failed ones, and others in the place of the jobs that need their models."""
    names = {place.name: job.name for place, job in trained.items()}
    others = dict(trained)
    for folder, job in jobs.items():
        if names.keys() & set(job.needs):
            others[folder] = dataclasses.replace(job, needs=tuple(names.get(name, name) for name in job.needs))
    for folder, job in others.items():
        job.write(benchmark.jobs_folder / job.name)
        text = json.dumps({"by": job.name, "changes": dict(changes)}, indent=2)
        (folder / REPLACED).write_text(text + "\n", encoding="utf-8")
