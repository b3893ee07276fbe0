"""A finished run to a model repository: weights, configuration, recipe, history and card."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, constants, eval_result_entries_to_yaml

from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.escaping import for_file_name
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.models import FOLDER
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.prediction.evaluation import EvaluationResult
from mlrsnet_hf.publishing.cards import CARD
from mlrsnet_hf.publishing.hub import check_repo_id
from mlrsnet_hf.publishing.model_card import ModelCard
from mlrsnet_hf.publishing.model_index import defined_scores, evaluation_arguments, metric_arguments
from mlrsnet_hf.publishing.origin import find_origin
from mlrsnet_hf.publishing.repository import EVAL_RESULTS, Repository, files_of, link_file
from mlrsnet_hf.training.results import RESULTS, TrainingResult

MODEL = "model"
_SETTINGS = "settings.yaml"
_BESIDE = ("history.csv", "history.json", "curves.png")
_EVALUATIONS = "evaluations"
OF_BENCHMARK = "benchmark"
"""Folder of what a benchmark adds: for each of its jobs one with what was found."""

Arguments = Callable[[str], Mapping[str, Any]]
"""Returns what the score of a metric depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """What a model's repository holds as a part of a benchmark."""

    repo_id: str
    """Dataset repository of the benchmark."""
    files: Mapping[str, Path]
    """Path in the repository, in `OF_BENCHMARK` -> file here."""
    entries: Sequence[EvalResultEntry]
    """Results that the Hub lists beside the benchmark's."""


def is_run(path: Path) -> bool:
    """Tell whether a folder is that of a finished run."""
    return (path / RESULTS).is_file() and (path / MODEL / "config.json").is_file()


def build_model_repository(
    path: Path,
    folder: Path,
    repo_id: str,
    dataset_id: str | None = None,
    license: str | None = None,
    revision: str | None = None,
    evaluations: Sequence[str | Path] = (),
    benchmark: ModelPart | None = None,
) -> Repository:
    """Fill a folder with what a model repository holds.

    Args:
        path: The run folder.
        folder: An empty folder; the weights are linked into it.
        repo_id: USER/NAME, which the card's code names.
        dataset_id: Repository of the data that the model learned, for the card and the results that the Hub lists.
        license: The weights' license, by the Hub's name for it; by default that of the weights that it began with.
        revision: The branch that the card will lie on, for its code; main by default.
        evaluations: Folders of evaluations of this very model, whose scores the card and the Hub list too.
        benchmark: What a benchmark that the model is a part of adds.

    Raises:
        ConfigurationError: results.json is not that of a finished run, a name is no repository's, or an evaluation is
            of another model.
        MissingExtraError: What training needs is not installed; timm knows where its weights come from.
    """
    if dataset_id:
        check_repo_id(dataset_id)
    require_extra("train")
    results = TrainingResult.load(path / RESULTS)
    for name, source in files_of(path / MODEL).items():
        link_file(source, folder / name)
    for name in _BESIDE:
        if (path / name).is_file():
            link_file(path / name, folder / name)
    (folder / RESULTS).write_text(public_results((path / RESULTS).read_text(encoding="utf-8")), encoding="utf-8")
    if (path / _SETTINGS).is_file():
        text = (path / _SETTINGS).read_text(encoding="utf-8")
        (folder / _SETTINGS).write_text(public_settings(text, read_settings_file(path / _SETTINGS)), encoding="utf-8")
    evaluated = _copy_evaluations(path, folder, evaluations)
    if benchmark is not None:
        for name, source in benchmark.files.items():
            link_file(source, folder / name)
    card = ModelCard(
        repo_id=repo_id,
        results=results,
        origin=find_origin(results.model.name, results.model.weights),
        given_license=license,
        revision=revision,
        dataset_id=dataset_id or results.data.source.get("hub_id"),
        file_names=tuple(files_of(folder)),
        evaluations=tuple(evaluated.values()),
        benchmark_id=None if benchmark is None else benchmark.repo_id,
    )
    (folder / CARD).write_text(card.render(), encoding="utf-8")
    _write_eval_results(folder, card, dataset_id, evaluated)
    if benchmark is not None:
        name = benchmark.repo_id.partition("/")[2]
        write_eval_entries(folder / EVAL_RESULTS / f"{name}.yaml", benchmark.entries)
    return Repository(
        kind="model",
        repo_type="model",
        folder=folder,
        owned=("scene_head.safetensors", *_BESIDE, f"{EVAL_RESULTS}/*", f"{_EVALUATIONS}/*", f"{OF_BENCHMARK}/*"),
    )


def _copy_evaluations(path: Path, folder: Path, evaluations: Sequence[str | Path]) -> dict[str, EvaluationResult]:
    """Copy the evaluations of a run's model into the repository; return them by their files there.

    Raises:
        ConfigurationError: One is damaged, or of another model.
    """
    if not evaluations:
        return {}
    from mlrsnet_hf.models.named_model import load_named_model  # it brings torch, which other repositories do without

    fingerprint = load_named_model(ModelChoice(model=str(path))).fingerprint
    found = {}
    for number, source in enumerate(map(Path, evaluations)):
        result = EvaluationResult.load(source.expanduser())
        if result.info.model.fingerprint != fingerprint:
            raise ConfigurationError(
                f"{source}: an evaluation of another model ({result.info.model.name}, "
                f"{result.info.model.fingerprint[:8]}) than that of {path} ({fingerprint[:8]})",
                "Give evaluations of this model, or evaluate it again.",
            )
        data = result.info.data
        name = f"{_EVALUATIONS}/{number + 1}-{for_file_name(data.dataset)}-{for_file_name(data.split)}.json"
        (folder / name).parent.mkdir(exist_ok=True)
        result.save(folder / name)
        found[name] = result
    return found


def _write_eval_results(
    folder: Path, card: ModelCard, dataset_id: str | None, evaluated: Mapping[str, EvaluationResult]
) -> None:
    """Write the results on test splits in the form that the Hub lists beside a benchmark's.

    https://huggingface.co/docs/hub/eval-results: a value per task; the dataset's eval.yaml names the tasks. There is a
    file for each dataset. Results of the run stand before those of evaluations of the same task.
    """
    results = card.results
    entries: dict[str, dict[str, EvalResultEntry]] = {}

    def add(file: str, dataset: str, protocol: str | None, scores: Mapping[str, float], depends_on: Arguments) -> None:
        for name, value in scores.items():
            if math.isnan(value):
                continue
            task = f"{protocol or 'default'}_{name}"
            entry = EvalResultEntry(
                dataset_id=dataset,
                task_id=task,
                value=round(value, 6),
                source_url=f"{constants.ENDPOINT}/{card.repo_id}/blob/{card.revision or 'main'}/{file}",
                source_name=file,
                notes=_note(depends_on(name), name),
            )
            entries.setdefault(dataset, {}).setdefault(task, entry)

    if dataset_id and results.scored_split == "test":
        protocol = results.data.source.get("protocol")
        add(
            RESULTS,
            dataset_id,
            protocol,
            defined_scores(results),
            partial(metric_arguments, results),
        )
    for file, result in evaluated.items():
        data = result.info.data
        if data.hub_id and data.split == "test":
            add(file, data.hub_id, data.protocol, result.scores, partial(evaluation_arguments, result))
    for dataset, tasks in entries.items():
        name = dataset.partition("/")[2]
        if sum(other.partition("/")[2] == name for other in entries) > 1:  # of two owners
            name = dataset.replace("/", "--")
        write_eval_entries(folder / EVAL_RESULTS / f"{name}.yaml", list(tasks.values()))


def write_eval_entries(path: Path, entries: Sequence[EvalResultEntry]) -> None:
    """Write results in the form that the Hub reads in `.eval_results`; no file where there are none."""
    if entries:
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(eval_result_entries_to_yaml(list(entries)), sort_keys=False), encoding="utf-8")


def _note(arguments: Mapping[str, Any], name: str) -> str:
    threshold = [f"decisions at threshold {arguments['threshold']}"] if "threshold" in arguments else []
    views = [f"logits averaged over {arguments['views']} views of each image"] if "views" in arguments else []
    return "; ".join([f"{metric_title(name)} on the test split", *threshold, *views])


def public_results(text: str) -> str:
    """Return results.json with each path that leads out of the working folder cut to its last name."""
    content = json.loads(text)
    for part in ("config", "data", "model"):
        names = {name: content[part][name] for name in ("label_names", "scene_names") if name in content[part]}
        content[part] = public_value(content[part]) | names  # which are no paths, whatever they look like
    return json.dumps(content, indent=2) + "\n"


def public_settings(text: str, settings: dict[str, Any]) -> str:
    """Return the text of settings.yaml, which holds one setting a line, with such paths cut and its comments kept."""
    for name, value in settings.items():
        if (public := public_value(value)) != value:
            line = f"{name}: {json.dumps(public, ensure_ascii=False)}"  # quoted: a folder may be called 0123
            text = re.sub(rf"^{re.escape(name)}:.*(\n[ -].*)*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
    return text


def public_value(value: Any) -> Any:  # noqa: ANN401 - what JSON and YAML hold
    """Return a value with each text that is a path out of the working folder cut to its last name."""
    if isinstance(value, dict):
        return {name: public_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [public_value(part) for part in value]
    if not isinstance(value, str):
        return value
    path = value.removeprefix(FOLDER)
    leads_out = Path(path).is_absolute() or path.startswith("~") or Path(path).parts[:1] == ("..",)
    return value.removesuffix(path) + Path(path).name if len(path) > 1 and leads_out else value
