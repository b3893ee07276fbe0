"""A benchmark's folder as its jobs would leave it, written by the library's own classes, with made-up answers."""

import csv
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.benchmark.expand import expand
from mlrsnet_hf.benchmark.folder import Benchmark, BenchmarkInfo, Dataset
from mlrsnet_hf.benchmark.grid import make_grid
from mlrsnet_hf.benchmark.job import Job
from mlrsnet_hf.configuration.yaml_file import write_settings, write_yaml
from mlrsnet_hf.evaluation.scores import SplitScores, label_scores
from mlrsnet_hf.inputs.load import load_split
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics.means import Interval
from mlrsnet_hf.prediction.evaluation import EVALUATION, EvaluationResult, draw_saved, summarize
from mlrsnet_hf.prediction.predictions_file import (
    PREDICTIONS,
    DataIdentity,
    ModelIdentity,
    PredictionsInfo,
    SavedPredictions,
    ScoredPredictions,
)
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.protocol.config import PERCENTS
from mlrsnet_hf.retrieval.protocol.measures import LabelComparison
from mlrsnet_hf.retrieval.protocol.results import (
    Examples,
    ModelResult,
    ProtocolResult,
    Repeat,
    RetrievalResult,
    SceneResult,
)
from mlrsnet_hf.taxonomy import LABELS
from mlrsnet_hf.training.history import Epoch
from mlrsnet_hf.training.results import DataSummary, ModelSummary, RunSummary, TrainingResult

MEASURES = ("anmrr", "retrieval_map", "precision_at_10", "precision_at_50", "precision_at_100", "precision_at_500")


class MadeUp:
    """A benchmark of made-up answers on real images.

    Args:
        root: The folder to make.
        grid: Values of a grid, as a YAML file has them.
        data_dir: A copy in the layout of the release.
        skill: How much better than chance each network is, by its name in the grid.
    """

    def __init__(
        self, root: Path, grid: Mapping[str, Any], data_dir: Path, skill: Mapping[str, float], **dataset: object
    ) -> None:
        self.benchmark, self.skill, self.data_dir = Benchmark(root), skill, data_dir
        made = make_grid("made-up", grid)
        told = {"fingerprint": "f0e1d2c3" * 8, "images": 30, "label_version": "as-published"} | dataset
        own = Dataset(places={"data_dir": str(data_dir)}, **told)
        datasets = dict.fromkeys(made.images, own)
        for name, images in made.images.items():
            if "dataset" in images.settings:
                places = {"dataset": images.settings["dataset"]}
                datasets[name] = replace(own, places=places, label_version=None)
        (root / "jobs").mkdir(parents=True)
        info = BenchmarkInfo(code="c0de" * 16, datasets=datasets, grids={"made-up": dict(grid)})
        write_yaml(root / "benchmark.yaml", asdict(info), "Made up.")
        versions = {name: one.label_version for name, one in datasets.items()}
        self.datasets = datasets
        self.jobs = expand(made, dict.fromkeys(datasets, own.fingerprint), versions)
        for job in self.jobs:
            job.write(self.folder(job))
        self._splits: dict[tuple, Any] = {}

    def folder(self, job: Job) -> Path:
        return self.benchmark.jobs_folder / job.name

    def train(self, job: Job, scores: Mapping[str, float] | None = None, parameters: int = 11_000_000) -> None:
        """Finish a train job; with `scores` the evaluation holds these, and no predictions are kept."""
        saved = self._answers(job)
        found = summarize(saved, draw_saved(saved, 10))
        if scores is not None:
            found = replace(found, scores={**found.scores, **scores})
        result = self.folder(job) / "result"
        (result / "evaluation").mkdir(parents=True)
        found.save(result / "evaluation" / EVALUATION)
        if scores is None:
            saved.write(result / "evaluation" / PREDICTIONS)
        self._results(job, saved, found, parameters).save(result / "results.json")
        write_settings(result / "settings.yaml", job.training_config(), job.data_config(), recipe=job.recipe)
        self._provenance(job)

    def evaluate(self, job: Job) -> None:
        """Finish an evaluate job."""
        saved = self._answers(job)
        result = self.folder(job) / "result"
        result.mkdir()
        summarize(saved, draw_saved(saved, 10)).save(result / EVALUATION)
        saved.write(result / PREDICTIONS)
        self._provenance(job)

    def fail(self, job: Job, reason: str) -> None:
        """Let a job fail."""
        content = {"error": "DivergedError", "reason": reason, "remedy": "Lower the rate."}
        (self.folder(job) / "failure.json").write_text(json.dumps(content))

    def retrieve(
        self, job: Job, values: Sequence[float] | None = None, scenes: Sequence[str] = ("beach", "island")
    ) -> None:
        """Finish a retrieval job; `values` are those of Table 9."""
        quality = self.skill[job.network] / 3
        draw = np.random.default_rng(zlib.crc32(job.name.encode()))
        config = job.retrieval_config(model=("model",))
        protocols = []
        for name in config.protocol:
            level = float(np.clip(quality + 0.02 * draw.standard_normal(), 0.05, 0.98))
            own = values or [1 - level, *(level * factor for factor in (0.9, 0.95, 0.9, 0.85, 0.7))]
            model = self._searched(config.split_seed[0], dict(zip(MEASURES, own, strict=True)), level, scenes, draw)
            compared, common = None, []
            if len(job.needs) > 1:
                compared = self._searched(
                    config.split_seed[0], dict(zip(MEASURES, own, strict=True)), level, scenes, draw
                )
                common = [[LabelComparison(k, 4.0 + level, 4.0, Interval(0.1, 0.9, 0.95)) for k in (10, 50)]]
            protocols.append(
                ProtocolResult(
                    name=name,
                    percent=PERCENTS[name],
                    model=ModelResult(repeats=[model]),
                    compared=None if compared is None else ModelResult(repeats=[compared]),
                    common_labels=common,
                )
            )
        info = EmbeddingInfo(
            **{"model": job.network, "architecture": "resnet50", "model_fingerprint": "f" * 64, "layer": "pre_logits"},
            **{"dimension": 8, "dtype": "float32", "normalized": False, "dataset_fingerprint": "0" * 64, "rows": 9},
        )
        found = RetrievalResult(
            name=job.network,
            info=info,
            compared_name="other" if len(job.needs) > 1 else None,
            compared_info=info if len(job.needs) > 1 else None,
            distance=config.distance,
            protocols=protocols,
            examples=Examples(protocol=config.protocol[0], seed=0, model=[], compared=[]),
            notes=["made up"],
            versions={"numpy": "2"},
        )
        result = self.folder(job) / "result"
        result.mkdir()
        (result / "results.json").write_text(json.dumps(found.to_json()))
        self._provenance(job)

    def _searched(
        self, seed: int, values: Mapping[str, float], level: float, scenes: Sequence[str], draw: np.random.Generator
    ) -> Repeat:
        recall = np.linspace(0, 1, 101)
        curve = tuple((level + (1 - level) * 0.5 * (1 - recall) - 0.3 * (1 - level) * recall).clip(0, 1).tolist())
        of_scenes = {}
        for scene in scenes:
            value = float(np.clip(values["anmrr"] + 0.1 * draw.standard_normal(), 0, 1))
            bent = tuple((np.array(curve) * (0.8 + 0.2 * draw.random())).tolist())
            of_scenes[scene] = SceneResult(queries=2, relevant=6, values={**values, "anmrr": value}, curve=bent)
        return Repeat(
            seed=seed,
            queries=4,
            database=12,
            values=values,
            best_possible={},
            left_out={},
            queries_without={},
            curve=curve,
            scenes=of_scenes,
        )

    def _answers(self, job: Job) -> SavedPredictions:
        """Return scores of the test split that are the better, the more skill the network has."""
        config = job.data_config(**self.datasets[job.dataset].places)
        key = (job.dataset, config.protocol, config.split_seed)
        if key not in self._splits:
            self._splits[key] = load_split(config, "test")
        split = self._splits[key]
        targets = np.zeros((len(split.rows), len(split.label_names)), np.float32)
        for row, labels in enumerate(split.rows["labels"][:]):
            targets[row, labels] = 1
        scenes = np.array(split.rows["scene"][:]) if split.scene_names else None
        draw = np.random.default_rng([config.split_seed, *map(ord, job.network), int(self.percent(job))])
        task = Task(kind=job.task, label_names=split.label_names, scene_names=split.scene_names)
        of_scenes = None
        if task.scene_outputs:
            of_scenes = draw.random((len(targets), task.scene_outputs)) + 0.5 * np.eye(task.scene_outputs)[scenes]
            of_scenes /= of_scenes.sum(axis=1, keepdims=True)
        skill = self.skill[job.network] + np.random.default_rng(5).normal(0, 0.6, targets.shape[1])
        logits = (2 * targets - 1) * (skill + 0.004 * self.percent(job)) + draw.normal(0, 1.6, targets.shape)
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        labeled = task.label_outputs > 0
        names = task.label_names[: task.label_outputs]
        info = PredictionsInfo(
            kind=job.task,
            model=ModelIdentity(name=job.label, architecture=None, fingerprint="a" * 64, image_size=64),
            data=DataIdentity(
                dataset=job.dataset,
                hub_id=None,
                protocol=config.protocol,
                split="test",
                split_seed=config.split_seed,
                label_version=config.label_version,
                is_mlrsnet=False,
                synthetic=False,
                images=len(targets),
                fingerprint="b" * 64,
            ),
            symmetries=1,
            thresholds=dict.fromkeys(names, 0.5),
            thresholds_from="0.5 for all labels",
            trained_on=0,
        )
        known = [targets, scores] if labeled else [np.empty((len(targets), 0), np.float32), np.empty((len(targets), 0))]
        told = None if of_scenes is None else scenes
        return SavedPredictions(
            info=info,
            ids=tuple(split.rows["id"][:]),
            task=task if labeled else replace(task, label_names=()),
            predictions=ScoredPredictions.of_scores(*known, told, of_scenes),
            scenes=scenes,
        )

    @staticmethod
    def percent(job: Job) -> float:
        """Return the percent that trains."""
        return float("".join(filter(str.isdigit, job.data_config().protocol or "")) or 0)

    def _results(self, job: Job, saved: SavedPredictions, found: EvaluationResult, parameters: int) -> TrainingResult:
        config = job.training_config()
        names = ("sample_f1", "f1_of_means", "map", "micro_f1", "macro_f1", "scene_accuracy")
        values = {name: found.scores[name] for name in names if name in found.scores}
        test = len(saved.ids)
        train = max(1, round(test * self.percent(job) / (90 - self.percent(job))))
        speed = 300 / (1 + len(job.network) % 5)
        return TrainingResult(
            recipe=job.recipe,
            config=config,
            data=DataSummary(
                source={"dataset": "mlrsnet", "protocol": saved.info.data.protocol, "fingerprint": "b" * 64},
                label_names=saved.task.label_names,
                scene_names=saved.task.scene_names,
                images={"train": train, "validation": 3, "test": test},
            ),
            model=ModelSummary(
                name=config.model,
                architecture=config.model.partition(".")[0],
                parameters=parameters,
                weights=config.weights,
                image_size=config.image_size or 224,
            ),
            task=job.task,
            history=tuple(
                Epoch(epoch=one, step=one * 9, loss=0.5 / one, learning_rate=0.01, validation=values)
                for one in range(1, config.epochs + 1)
            ),
            scored_epoch=config.epochs,
            scores=SplitScores(validation=values, test=values),
            tuned=None,
            eval_symmetries=1,
            labels=tuple(label_scores(saved.predictions, saved.task)),
            run=RunSummary(
                processes=1,
                precision="no",
                device="cpu",
                batch={"global": 32, "per_process": 32, "accumulation": 1},
                seconds=train * config.epochs / speed,
                resumed=False,
            ),
        )

    def _provenance(self, job: Job) -> None:
        content = {
            "device": "cpu",
            "machine": "Linux x86_64, 2 cores",
            "code": "c0de" * 16,
            "seconds": 90.0,
            "versions": {},
        }
        (self.folder(job) / "result" / "provenance.json").write_text(json.dumps(content))


NETWORKS = {"ResNet50": 1.5, "DenseNet201": 2.5, "VGGNet16": 0.4}
GRID = {
    "networks": list(NETWORKS),
    "recipes": ["paper"],
    "protocols": ["ratio20", "ratio40"],
    "split_seeds": [0, 1, 2],
    "retrieval": {"protocols": ["retrieval10"]},
}
SCENES = ("beach", "island", "stadium")
_LABELS = ("water", "sand", "sea", "trees", "buildings")


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of twenty images in the layout of the release."""
    root, draw = tmp_path_factory.mktemp("copy") / "release", np.random.default_rng(3)
    (root / "Labels").mkdir(parents=True)
    for scene in SCENES:
        (root / "Images" / scene).mkdir(parents=True)
        file = io.StringIO()
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", *(label.published for label in LABELS)])
        for number in range(1, 21):
            name = f"{scene}_{number:05d}.jpg"
            color = tuple(int(part) for part in draw.integers(0, 256, 3))
            size = (24, 16) if scene == "stadium" and number == 1 else (16, 16)
            Image.new("RGB", size, color).save(root / "Images" / scene / name)
            there = {label for label in _LABELS if draw.random() < 0.5} or {"water"}
            table.writerow([name, *(int(label.name in there) for label in LABELS)])
        (root / "Labels" / f"{scene}.csv").write_text(file.getvalue())
    return root


@pytest.fixture(scope="session")
def make_benchmark(copy: Path) -> Callable[..., MadeUp]:
    """Return a function that makes a benchmark none of whose jobs is done."""

    def make(root: Path, **changes: object) -> MadeUp:
        return MadeUp(root, GRID | changes, copy, NETWORKS, images=60)

    return make
