"""The jobs of a grid: the product of its axes, those of one split one after the other."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlrsnet_hf.benchmark.grid import Grid, Images, Network, Retrieval
from mlrsnet_hf.benchmark.job import HOW_MEASURED, PLACES, Job, defining_settings
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig, TaskKind
from mlrsnet_hf.models.paper_networks import PAPER_NETWORKS
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.recipes import RECIPES

_OF_TASK: Mapping[TaskKind, dict[str, Any]] = {
    "labels": {},
    "labels+scene": {"scene_head": True},
    "scene": {"single_label": True},
}
_DEFAULTS: Mapping[str, Any] = {"trackers": (), "cache": "disk"}
"""Training settings of jobs, unless a grid says otherwise: decoded images are shared by the jobs of a machine."""
_NOWHERE = frozenset({"output_dir", "overwrite", "resume", "cache_dir"})
"""Training settings that are given where a job is run."""


def expand(grid: Grid, fingerprints: Mapping[str, str], versions: Mapping[str, str | None]) -> list[Job]:
    """Return the jobs of a grid: each train job with the measurements of its model behind it.

    One repetition is complete before the next, and the jobs of one split follow each other, which share its decoded
    images.

    Args:
        grid: The grid.
        fingerprints: Of the images, by the name of the dataset.
        versions: The version of MLRSNet's labels that is read where settings leave it open, by dataset.

    Raises:
        ConfigurationError: Settings do not go together.
    """
    jobs: dict[str, Job] = {}
    for images in grid.datasets:
        own: dict[str, Any] = {"fingerprint": fingerprints[images.name], "dataset": images.name}
        for split_seed, protocol, recipe in itertools.product(
            grid.split_seeds, grid.protocols_of(images), grid.recipes
        ):
            data = _data(images, versions, protocol, split_seed)
            shown = "" if images.name == MLRSNET else f"{_plain(images.name)}-"
            split = f"{shown}{f'{protocol}-' if protocol else ''}split{split_seed}"
            for network, seed in itertools.product(grid.networks, grid.seeds or (split_seed,)):
                common: dict[str, Any] = {"network": network.name, "recipe": recipe, **own}
                trained: dict[TaskKind, Job] = {}
                for task in grid.tasks:
                    marks = [_plain(network.name), recipe, *([task.replace("+", "-")] if task != "labels" else [])]
                    label = f"{'-'.join(marks)}-{split}-seed{seed}"
                    training = defining_settings(_training(grid, network, recipe, task, seed), _NOWHERE)
                    trained[task] = Job(kind="train", label=label, task=task, data=data, training=training, **common)
                jobs |= {job.name: job for job in trained.values()}
                for task, job in trained.items():
                    found = [*_evaluations(grid, job, fingerprints, versions, protocol, split_seed)]
                    if protocol is not None and grid.retrieval is not None and protocol in grid.retrieval.of_protocols:
                        found += _retrievals(grid.retrieval, job, trained.get(grid.retrieval.compare or task))
                    jobs |= {one.name: one for one in found}
    return list(jobs.values())


def _training(grid: Grid, network: Network, recipe: str, task: TaskKind, seed: int) -> TrainingConfig:
    """Return the settings of a run: the recipe's, over them the grid's, then the network's."""
    changes = {**_DEFAULTS, **grid.training, **network.training, **_OF_TASK[task], "seed": seed}
    if recipe == "paper" and "model" not in network.training and network.name in PAPER_NETWORKS:
        return RECIPES[recipe](network.name, **changes)
    return RECIPES[recipe](**{**changes, "model": network.model})


def _evaluations(
    grid: Grid,
    job: Job,
    fingerprints: Mapping[str, str],
    versions: Mapping[str, str | None],
    protocol: str | None,
    split_seed: int,
) -> Iterator[Job]:
    for measurement in grid.evaluations:
        if measurement.of_protocols is not None and protocol not in measurement.of_protocols:
            continue
        images = measurement.images
        data = job.data
        own: dict[str, Any] = {"dataset": job.dataset, "fingerprint": job.fingerprint}
        if images is not None:
            is_mlrsnet = images.settings.get("dataset", MLRSNET) == MLRSNET
            data = _data(images, versions, protocol if is_mlrsnet else None, split_seed)
            own = {"dataset": images.name, "fingerprint": fingerprints[images.name]}
        settings = defining_settings(EvaluationConfig(**{"page": False, **measurement.settings}), frozenset())
        on = [_plain(images.name)] if images is not None else []
        marks = [*on, *(_plain(f"{name}{value}") for name, value in settings.items() if name not in HOW_MEASURED)]
        yield dataclasses.replace(
            job,
            kind="evaluate",
            label=f"evaluate-{'-'.join([*marks, job.label])}",
            data=data,
            training=None,
            evaluation=settings,
            needs=(job.name,),
            **own,
        )


def _retrievals(retrieval: Retrieval, job: Job, compared: Job | None) -> Iterator[Job]:
    if retrieval.compare is not None and (compared is None or compared.name == job.name):
        return  # it is what the others are compared with
    needs = (job.name, compared.name) if compared is not None and compared.name != job.name else (job.name,)
    data = DataConfig(**job.data)
    for layer, distance in itertools.product(retrieval.layers, retrieval.distances):
        config = RetrievalConfig(
            model=("model",),
            dataset=data.dataset,
            label_version=data.label_version,
            protocol=retrieval.protocols,  # type: ignore[arg-type] # checked
            split_seed=(data.split_seed,),
            layer=layer,  # type: ignore[arg-type] # checked
            distance=distance,  # type: ignore[arg-type] # checked
        )
        more = [] if (layer, distance) == ("pre_logits", "euclidean") else [layer, distance]
        yield dataclasses.replace(
            job,
            kind="retrieval",
            label="-".join(["retrieval", *more, job.label]),
            training=None,
            retrieval=defining_settings(config, frozenset({"model"})),
            needs=needs,
        )


def _data(images: Images, versions: Mapping[str, str | None], protocol: str | None, seed: int) -> dict[str, Any]:
    given = {"label_version": versions[images.name], "protocol": protocol, "split_seed": seed, **images.settings}
    if given.get("split_file") is not None:
        given["protocol"] = None
    is_here = images.settings.get("dataset", MLRSNET) != MLRSNET and Path(given["dataset"]).expanduser().exists()
    return defining_settings(DataConfig(**given), PLACES | ({"dataset"} if is_here else frozenset()))


def _plain(name: str) -> str:
    """Return a name as a part of a folder's."""
    return "".join(sign if sign.isalnum() or sign in "._" else "_" for sign in name)[:60]
