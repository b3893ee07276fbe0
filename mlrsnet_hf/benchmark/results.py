"""What a benchmark has found so far: a folder of jobs as rows, each with its settings, scores and times.

A row is a job, whether it has ended, failed or waits, so that a part of a grid can be read as well as the whole.
Repetitions are rows that differ in their seeds alone; the rows of one `Group` are those of one place in a table.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.job import (
    EVALUATION,
    FAILURE,
    HOW_MEASURED,
    HOW_TRAINED,
    PLACES,
    PROVENANCE,
    RESULT,
    Job,
    Kind,
    State,
    told_beside,
)
from mlrsnet_hf.dataset.splits.protocols import CUSTOM, DEFAULT_PROTOCOL, PROTOCOLS
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import for_file_name, on_one_line
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.models.paper_networks import paper_name
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS
from mlrsnet_hf.retrieval.protocol.results import RetrievalScores, read_scores
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import RESULTS, TrainingResult

_OF_A_REPETITION = HOW_TRAINED | {"seed"}
"""Settings of a training in which repetitions may differ."""
_OF_A_SPLIT = PLACES | {"protocol", "split_seed"}
"""Settings of the data in which rows of one dataset may differ."""
_OF_A_MEASUREMENT = HOW_MEASURED | {"protocol", "split_seed", "examples", "dataset", "label_version"}
"""Settings of a retrieval or an evaluation in which rows of one network may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job of a benchmark, and what it has found."""

    folder: Path
    job: Job
    state: State
    model: Job
    """The train job whose model is measured: the job itself, or the first that it needs."""
    protocol: str
    """Name of the protocol that the model is trained by; empty for data that has none."""
    compared: Job | None = None
    """The train job whose model a retrieval compares with."""
    reason: str = ""
    """Why it failed, or why its result cannot be read; empty where neither."""
    trained: TrainingResult | None = None
    """Of a training that is done."""
    evaluation: EvaluationResult | None = None
    """Of the test split; None for a retrieval, and where it is not done."""
    retrieval: RetrievalScores | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What the worker has told of itself: `device`, `machine`, `versions`, `code`."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def result(self) -> Path:
        """The folder of what came out."""
        return self.folder / RESULT

    @property
    def training(self) -> TrainingConfig:
        """The settings by which the model was trained."""
        return self.model.training_config()

    @property
    def model_name(self) -> str:
        """Name of the train job whose model is measured."""
        return self.name if self.job.kind == "train" else self.job.needs[0]

    @property
    def called(self) -> str:
        """What the grid calls the network; of one of the paper's by timm's name, the paper's."""
        return paper_name(self.model.network) or self.model.network

    @property
    def network(self) -> str:
        """The paper's name of the network, whatever its weights; of others what the grid calls them."""
        return paper_name(self.training.model) or self.model.network

    @property
    def repetition(self) -> tuple[int, int]:
        """Split seed and training seed: what is paired between networks."""
        return self.model.data_config().split_seed, self.training.seed

    @property
    def evaluation_folder(self) -> Path:
        """Where the evaluation of the test split lies."""
        return self.result / EVALUATION if self.job.kind == "train" else self.result

    @property
    def predictions(self) -> Path | None:
        """The file of the test split's predictions, where it is kept."""
        path = self.evaluation_folder / PREDICTIONS
        return path if path.is_file() else None

    def score(self, name: str) -> float | None:
        """Return a metric of the test split at the paper's threshold; None where it was not measured."""
        return None if self.evaluation is None else self.evaluation.scores.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Repetitions of one experiment: all rows with these settings, whatever became of them."""

    kind: Kind
    variant: str
    """What the tables call the network, with what tells it from others of the same name."""
    network: str
    trained_on: str
    """What the images are called that the model learns from."""
    dataset: str
    """What those are called that it is measured on."""
    protocol: str
    rows: tuple[Row, ...]

    @property
    def anchor(self) -> str:
        """Name of its place in the list of jobs."""
        measured = "" if self.dataset == self.trained_on else self.dataset
        parts = (self.kind, self.variant, self.trained_on, measured, self.protocol)
        return "-".join(["jobs", *(for_file_name(part).lower().replace("_", "-") for part in parts if part)])

    @property
    def title(self) -> str:
        """The group in words."""
        what = {"train": "", "evaluate": f", measured on {self.dataset}", "retrieval": ", retrieval"}[self.kind]
        return ", ".join(part for part in (self.variant, self.trained_on, self.protocol) if part) + what

    @property
    def done(self) -> tuple[Row, ...]:
        """The rows with a result."""
        return tuple(row for row in self.rows if row.state == "done")

    @property
    def gap(self) -> str:
        """Why there is no number at all: not run yet, or the reasons of failures."""
        failed = [row for row in self.rows if row.state == "failed"]
        reasons = "; ".join(dict.fromkeys(row.reason for row in failed if row.reason))
        told = f"failed: {reasons}" if reasons else "failed"
        waiting = any(row.state == "waiting" for row in self.rows)
        if failed and len(failed) == len(self.rows):
            return told
        return "its model failed" if waiting and not failed else f"{told}; others not run" if failed else "not run yet"

    def values(self, metric: str) -> list[float]:
        """Return a metric of the test split in each repetition in which it is defined."""
        found = (row.score(metric) for row in self.done)
        return [value for value in found if value is not None and not math.isnan(value)]


@dataclass(frozen=True)
class Results:
    """All rows of a benchmark's folder."""

    benchmark: Benchmark
    rows: tuple[Row, ...]
    """In the order of the grids."""

    def of_kind(self, kind: Kind) -> list[Group]:
        """Return the groups of a kind, in the order of the tables."""
        return [group for group in self.groups if group.kind == kind]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All groups: by kind and images, networks in the order of the grids, protocols in their own."""
        variants: dict[str, str] = {}
        for kind in get_args(Kind):
            own = [row for row in self.rows if row.job.kind == kind]
            variants |= _titles([(row.name, row.called, _settings(row)) for row in own])
        images = _titles(
            [(f"{row.name} {role}", job.dataset, _images(job)) for row in self.rows for role, job in _roles(row)]
        )
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            data = [images[f"{row.name} {role}"] for role, _ in _roles(row)]
            found.setdefault((row.job.kind, *data, variants[row.name], row.protocol), []).append(row)
        groups = [
            Group(
                kind=rows[0].job.kind,
                variant=variant,
                network=rows[0].network,
                trained_on=learned,
                dataset=measured,
                protocol=protocol,
                rows=tuple(sorted(rows, key=lambda row: (row.repetition, row.name))),
            )
            for (_, learned, measured, variant, protocol), rows in found.items()
        ]
        places = {key: place for place, key in enumerate(dict.fromkeys(_place(group) for group in groups))}
        protocols = {name: place for place, name in enumerate(PROTOCOLS)}
        return tuple(
            sorted(
                groups,
                key=lambda group: (
                    get_args(Kind).index(group.kind),
                    places[_place(group)],
                    protocols.get(group.protocol, len(protocols)),
                ),
            )
        )


def read_results(folder: Path) -> Results:
    """Read a benchmark's folder as it stands; jobs may be running in it.

    A job whose result is damaged counts as failed, and its reason says so. Jobs that `retry` has replaced are left out.

    Raises:
        ConfigurationError: It is no benchmark, or what defines a job cannot be read.
    """
    benchmark = Benchmark(folder)
    jobs = benchmark.jobs()
    states = benchmark.states(jobs)
    by_name = {path.name: job for path, job in jobs.items()}
    places = {name: dataset.places for name, dataset in benchmark.info().datasets.items()}
    rows = [
        _read_row(path, job, states[path], by_name, places) for path, job in jobs.items() if states[path] != "replaced"
    ]
    return Results(benchmark=benchmark, rows=tuple(rows))


def _read_row(
    folder: Path, job: Job, state: State, jobs: Mapping[str, Job], places: Mapping[str, Mapping[str, Any]]
) -> Row:
    missing = [name for name in job.needs if name not in jobs]
    if missing:
        raise ConfigurationError(f"{folder}: needs the job {missing[0]}, which is not there", "Bring it back.")
    models = [jobs[name] for name in job.needs] or [job]
    found: dict[str, Any] = {}
    reason = _failure(folder) if state == "failed" else ""
    if state == "done":
        result = folder / RESULT
        try:
            if job.kind == "retrieval":
                found["retrieval"] = read_scores(result / RESULTS)
            elif job.kind == "evaluate":
                found["evaluation"] = EvaluationResult.load(result)
            else:
                found["trained"] = TrainingResult.load(result / RESULTS)
                found["evaluation"] = EvaluationResult.load(result / EVALUATION)
        except MLRSNetError as error:
            told = error.found.removeprefix(f"{folder}/")
            state, found, reason = "failed", {}, f"{told}; remove its folder {RESULT}, then run again"
    return Row(
        folder=folder,
        job=job,
        state=state,
        model=models[0],
        protocol=_protocol(models[0], places.get(models[0].dataset, {})),
        compared=models[1] if len(models) > 1 else None,
        reason=on_one_line(reason, 200),
        provenance=told_beside(folder / RESULT / PROVENANCE),
        **found,
    )


def _protocol(job: Job, places: Mapping[str, Any]) -> str:
    """Return the protocol of a train job; that of a dataset of MLRSNet is `ratio20` where none is given, nor a file."""
    if job.data.get("split_file") is not None:
        return CUSTOM
    dataset = places.get("dataset") or job.data.get("dataset", MLRSNET)
    return str(job.data.get("protocol") or (DEFAULT_PROTOCOL if dataset == MLRSNET else ""))


def _failure(folder: Path) -> str:
    """Return the reason that a failed job has left."""
    return str(told_beside(folder / FAILURE).get("reason", ""))


def _settings(row: Row) -> dict[str, Any]:
    """Return the settings that tell a network from others, without those of a repetition."""
    values = row.training.to_dict()
    told: dict[str, Any] = {"recipe": row.model.recipe, "task": row.model.task}
    measured = {**(row.job.retrieval or {}), **(row.job.evaluation or {})}
    told |= {name: value for name, value in measured.items() if name not in _OF_A_MEASUREMENT}
    if row.compared is not None:
        told["compared with"] = f"{row.compared.network}, {row.compared.task}"
    return told | {name: value for name, value in values.items() if name not in _OF_A_REPETITION}


def _roles(row: Row) -> tuple[tuple[str, Job], tuple[str, Job]]:
    """Return the images that a row's model learns from, and those that it is measured on."""
    return ("learned", row.model), ("measured", row.job if row.job.kind == "evaluate" else row.model)


def _images(job: Job) -> dict[str, Any]:
    """Return the settings that tell images from others of the same name."""
    return {name: value for name, value in job.data_config().to_dict().items() if name not in _OF_A_SPLIT}


def _titles(named: Iterable[tuple[str, str, dict[str, Any]]]) -> dict[str, str]:
    """Return what to call each thing: its name, with the settings that tell it from others of that name.

    Args:
        named: Key, name and settings of each.
    """
    named = list(named)
    by_name: dict[str, list[dict[str, Any]]] = {}
    for _, name, settings in named:
        if settings not in by_name.setdefault(name, []):
            by_name[name].append(settings)
    tellers = {name: _tellers(others) for name, others in by_name.items()}
    return {
        key: ", ".join([name, *(_told(teller, settings.get(teller)) for teller in tellers[name])])
        for key, name, settings in named
    }


def _told(setting: str, value: object) -> str:
    return str(value) if setting in ("recipe", "task", "model") else f"{setting.replace('_', ' ')} {value}"


def _tellers(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a few names of settings that tell all of these apart, the first that do."""
    told: list[str] = []
    for name in dict.fromkeys(name for one in settings for name in one):
        if len(_distinct(settings, [*told, name])) > len(_distinct(settings, told)):
            told.append(name)
    return told


def _distinct(settings: Sequence[Mapping[str, Any]], names: Sequence[str]) -> set[str]:
    return {json.dumps([one.get(name) for name in names], default=str) for one in settings}


def _place(group: Group) -> tuple[str, str, str, str]:
    """Return what groups of all protocols have in common."""
    return group.kind, group.trained_on, group.dataset, group.variant
