"""A finished run to a model repository: weights, configuration, recipe, history and card."""

import json
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import constants

from mlrsnet_hf.extras import require_extra
from mlrsnet_hf.publishing.hub import check_repo_id
from mlrsnet_hf.publishing.model_card import CURVES, UNKNOWN_LICENCE, ModelCard
from mlrsnet_hf.publishing.repository import CARD, EVAL_RESULTS, Repository, files_of, place
from mlrsnet_hf.publishing.run_results import PRETRAINED, RANDOM, RunResults, metric_title, read_results

RESULTS = "results.json"
MODEL = "model"
_TOLD = ("settings.yaml", RESULTS)
_BESIDE = ("history.csv", "history.json", CURVES)
_OWN_LICENCE = "apache-2.0"
"""Weights that began with nothing are this software's product."""


def is_run(path: Path) -> bool:
    """Tell whether a folder is that of a finished run."""
    return (path / RESULTS).is_file() and (path / MODEL / "config.json").is_file()


def build_model(
    path: Path, folder: Path, repo_id: str, dataset_id: str | None = None, licence: str | None = None
) -> Repository:
    """Fill a folder with what a model repository holds.

    Args:
        path: The run folder.
        folder: An empty folder; the weights are linked into it.
        repo_id: USER/NAME, which the card's code names.
        dataset_id: Repository of the data that the model learnt, for the card and the results that the Hub lists.
        licence: The weights' licence, by the Hub's name for it; by default that of the weights that it began with.

    Raises:
        ConfigurationError: results.json is not that of a finished run, or a name is no repository's.
        MissingExtraError: What training needs is not installed; timm knows where its weights come from.
    """
    if dataset_id:
        check_repo_id(dataset_id)
    require_extra("train")
    results = read_results(path / RESULTS)
    for name, source in files_of(path / MODEL).items():
        place(source, folder / name)
    for name in _BESIDE:
        if (path / name).is_file():
            place(path / name, folder / name)
    for name in _TOLD:
        if (path / name).is_file():
            (folder / name).write_text(_without_places(path / name), encoding="utf-8")
    base_model, known_licence = _origin(results)
    card = ModelCard(
        repo_id=repo_id,
        results=results,
        licence=licence or known_licence,
        base_model=base_model,
        dataset_id=dataset_id or results.data.get("hub_id"),
        file_names=tuple(files_of(folder)),
    )
    (folder / CARD).write_text(card.render(), encoding="utf-8")
    if dataset_id and results.split == "test":
        _write_eval_results(folder, card, dataset_id)
    return Repository(
        kind="model",
        repo_type="model",
        folder=folder,
        files=files_of(folder),
        owned=("scene_head.safetensors", *_BESIDE, f"{EVAL_RESULTS}/*"),
    )


def _origin(results: RunResults) -> tuple[str | None, str]:
    """Return repository and licence of the weights that training began with, as far as they are known."""
    weights = results.model["weights"]
    if weights == RANDOM:
        return None, _OWN_LICENCE
    if weights != PRETRAINED:
        return None, UNKNOWN_LICENCE
    import timm

    for name in (results.model["name"], results.model["architecture"]):
        if config := timm.get_pretrained_cfg(name):
            return config.hf_hub_id, config.license or UNKNOWN_LICENCE
    return None, UNKNOWN_LICENCE


def _write_eval_results(folder: Path, card: ModelCard, dataset_id: str) -> None:
    """Write the results in the form that the Hub lists beside a benchmark's.

    https://huggingface.co/docs/hub/eval-results: a value per task; the dataset's eval.yaml names the tasks.
    """
    results = card.results
    protocol = results.data.get("protocol") or "default"
    entries = [
        {
            "dataset": {"id": dataset_id, "task_id": f"{protocol}_{name}"},
            "value": round(value, 6),
            "source": {"url": f"{constants.ENDPOINT}/{card.repo_id}/blob/main/{RESULTS}", "name": RESULTS},
            "notes": f"{metric_title(name)} on the {results.split} split; decisions at threshold 0.5",
        }
        for name, value in results.values.items()
    ]
    target = folder / EVAL_RESULTS / f"{dataset_id.partition('/')[2]}.yaml"
    target.parent.mkdir()
    target.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")


def _without_places(path: Path) -> str:
    """Return the text of a JSON or YAML file with each absolute path, which is private, cut to its last name."""
    text = path.read_text(encoding="utf-8")
    content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    for place_ in sorted(set(_absolute_paths(content)), key=len, reverse=True):
        for written in (place_, json.dumps(place_)[1:-1]):
            text = text.replace(written, Path(place_).name)
    return text


def _absolute_paths(content: Any) -> list[str]:  # noqa: ANN401 - what JSON and YAML hold
    if isinstance(content, dict):
        return [path for value in content.values() for path in _absolute_paths(value)]
    if isinstance(content, list):
        return [path for value in content for path in _absolute_paths(value)]
    if isinstance(content, str) and len(content) > 1 and Path(content).is_absolute():
        return [content]
    return []
