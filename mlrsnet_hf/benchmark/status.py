"""How far a benchmark is: done, running, failed and left by network, why jobs failed, and the time to go."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.job import FAILURE, PROVENANCE, RESULT, STATES, Job, State, attempts_of, told_beside
from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.reports.text_table import aligned

_TRACKERS = {
    "tensorboard": "tensorboard --logdir {root}/jobs",
    "trackio": "trackio show --project mlrsnet-hf",
    "wandb": "https://wandb.ai, project mlrsnet-hf",
    "mlflow": "mlflow ui",
}
"""Where each tracker shows what runs."""
_LISTED = 10
"""Jobs of a kind in a list."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far the jobs of a benchmark are."""

    root: Path
    jobs: Mapping[Path, Job]
    states: Mapping[Path, State]

    @classmethod
    def of(cls, benchmark: Benchmark, jobs: Mapping[Path, Job] | None = None) -> "Status":
        """Look at the folders of some jobs, or of all.

        Raises:
            ConfigurationError: The folder is no benchmark.
        """
        jobs = benchmark.jobs() if jobs is None else jobs
        return cls(benchmark.root, jobs, benchmark.states(jobs))

    @property
    def counts(self) -> dict[State, int]:
        """Number of jobs by state, those of every state."""
        found = Counter(self.states.values())
        return {state: found[state] for state in STATES}

    @property
    def seconds_to_go(self) -> float | None:
        """Seconds that one worker takes for what is left, judged by what is done; None where nothing is done yet."""
        known: dict[tuple[str, ...], list[float]] = {}
        for folder, job in self.jobs.items():
            seconds = _seconds(folder / RESULT)
            if seconds is not None:
                for key in _alike(job):
                    known.setdefault(key, []).append(seconds)
        if not known:
            return None
        total = 0.0
        for folder, job in self.jobs.items():
            if self.states[folder] in ("left", "running"):
                total += next((statistics.fmean(known[key]) for key in _alike(job) if key in known), 0.0)
        return total

    def text(self) -> str:
        """Return the lines that tell a person."""
        states = [state for state in STATES if self.counts[state] or state in ("done", "left")]
        rows = [["", *states]]
        groups = dict.fromkeys((job.kind, job.network, job.recipe) for job in self.jobs.values())
        for kind, network, recipe in groups:
            own = Counter(
                self.states[folder]
                for folder, job in self.jobs.items()
                if (job.kind, job.network, job.recipe) == (kind, network, recipe)
            )
            rows.append([f"{kind} {network} ({recipe})", *(str(own[state]) for state in states)])
        rows.append(["all", *(str(self.counts[state]) for state in states)])
        lines = [f"{self.root}: {len(self.jobs):,} jobs", *aligned(rows, "<" + ">" * len(states))]
        lines += [f"running: {job.label}{_epoch(folder, job)}" for folder, job in self._in("running")]
        lines += [f"failed: {job.label}: {reason_of(folder)} ({folder})" for folder, job in self._in("failed")]
        if self.counts["waiting"]:
            lines.append(f"waiting: {self.counts['waiting']:,} jobs whose model is not there, as its training failed")
        seconds = self.seconds_to_go
        if seconds and seconds > 0:
            lines.append(f"time to go: about {duration(seconds)} for one worker, judged by the jobs that are done")
        if self.counts["failed"]:
            lines.append(f"again: mlrsnet benchmark retry {self.root}")
        lines += [f"tracker: {link}" for link in self._links()]
        return "\n".join(lines)

    def _in(self, state: State) -> list[tuple[Path, Job]]:
        return [(folder, job) for folder, job in self.jobs.items() if self.states[folder] == state][:_LISTED]

    def _links(self) -> list[str]:
        trained = [job for job in self.jobs.values() if job.training is not None]
        names = {name for job in trained for name in job.training_config().trackers}
        return [_TRACKERS.get(name, name).format(root=self.root) for name in sorted(names)]


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    Examples:
        >>> duration(42), duration(600), duration(9000), duration(400000)
        ('42 s', '10 min', '2.5 h', '4.6 days')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _alike(job: Job) -> list[tuple[str, ...]]:
    """Return what jobs have in common that take about as long, the closest likeness first."""
    protocol = str(job.data.get("protocol"))
    return [(job.kind, job.network, job.recipe, protocol), (job.kind, job.network), (job.kind, protocol), (job.kind,)]


def _seconds(result: Path) -> float | None:
    found = told_beside(result / PROVENANCE).get("seconds")
    return float(found) if isinstance(found, int | float) else None


def reason_of(folder: Path) -> str:
    """Return why the job of a folder failed."""
    return f"{told_beside(folder / FAILURE).get('reason', 'unknown')}"


def _epoch(folder: Path, job: Job) -> str:
    """Return how far a training under way is, as its history tells."""
    for attempt in attempts_of(folder):
        try:
            history = read_json(attempt / job.label / "history.json", list[Any], "")
        except MLRSNetError:  # it has not come so far
            continue
        epochs = job.training_config().epochs
        return f", epoch {len(history) + 1} of {epochs}" if len(history) < epochs else ", trained, being measured"
    return ""
