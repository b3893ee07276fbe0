"""A finished run to a model repository: weights, configuration, recipe, history and card."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import constants

from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.metrics import metric_title
from mlrsnet_hf.models import FOLDER
from mlrsnet_hf.publishing.cards import CARD
from mlrsnet_hf.publishing.hub import check_repo_id
from mlrsnet_hf.publishing.model_card import ModelCard, defined_scores, metric_arguments
from mlrsnet_hf.publishing.origin import find_origin
from mlrsnet_hf.publishing.repository import EVAL_RESULTS, Repository, files_of, link_file
from mlrsnet_hf.training.results import RESULTS, TrainingResult

MODEL = "model"
_SETTINGS = "settings.yaml"
_BESIDE = ("history.csv", "history.json", "curves.png")


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
) -> Repository:
    """Fill a folder with what a model repository holds.

    Args:
        path: The run folder.
        folder: An empty folder; the weights are linked into it.
        repo_id: USER/NAME, which the card's code names.
        dataset_id: Repository of the data that the model learned, for the card and the results that the Hub lists.
        license: The weights' license, by the Hub's name for it; by default that of the weights that it began with.
        revision: The branch that the card will lie on, for its code; main by default.

    Raises:
        ConfigurationError: results.json is not that of a finished run, or a name is no repository's.
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
    card = ModelCard(
        repo_id=repo_id,
        results=results,
        origin=find_origin(results.model.name, results.model.weights),
        given_license=license,
        revision=revision,
        dataset_id=dataset_id or results.data.source.get("hub_id"),
        file_names=tuple(files_of(folder)),
    )
    (folder / CARD).write_text(card.render(), encoding="utf-8")
    if dataset_id and results.scored_split == "test":
        _write_eval_results(folder, card, dataset_id)
    return Repository(
        kind="model",
        repo_type="model",
        folder=folder,
        owned=("scene_head.safetensors", *_BESIDE, f"{EVAL_RESULTS}/*"),
    )


def _write_eval_results(folder: Path, card: ModelCard, dataset_id: str) -> None:
    """Write the results in the form that the Hub lists beside a benchmark's.

    https://huggingface.co/docs/hub/eval-results: a value per task; the dataset's eval.yaml names the tasks.
    """
    results = card.results
    protocol = results.data.source.get("protocol") or "default"

    def note(name: str) -> str:
        arguments = metric_arguments(results, name)
        threshold = [f"decisions at threshold {arguments['threshold']}"] if "threshold" in arguments else []
        views = [f"logits averaged over {arguments['views']} views of each image"] if "views" in arguments else []
        return "; ".join([f"{metric_title(name)} on the test split", *threshold, *views])

    entries = [
        {
            "dataset": {"id": dataset_id, "task_id": f"{protocol}_{name}"},
            "value": round(value, 6),
            "source": {
                "url": f"{constants.ENDPOINT}/{card.repo_id}/blob/{card.revision or 'main'}/{RESULTS}",
                "name": RESULTS,
            },
            "notes": note(name),
        }
        for name, value in defined_scores(results).items()
    ]
    target = folder / EVAL_RESULTS / f"{dataset_id.partition('/')[2]}.yaml"
    target.parent.mkdir()
    target.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")


def public_results(text: str) -> str:
    """Return results.json with each path that leads out of the working folder cut to its last name."""
    content = json.loads(text)
    for part in ("config", "data", "model"):
        names = {name: content[part][name] for name in ("label_names", "scene_names") if name in content[part]}
        content[part] = _public(content[part]) | names  # which are no paths, whatever they look like
    return json.dumps(content, indent=2) + "\n"


def public_settings(text: str, settings: dict[str, Any]) -> str:
    """Return the text of settings.yaml, which holds one setting a line, with such paths cut and its comments kept."""
    for name, value in settings.items():
        if (public := _public(value)) != value:
            line = f"{name}: {json.dumps(public, ensure_ascii=False)}"  # quoted: a folder may be called 0123
            text = re.sub(rf"^{re.escape(name)}:.*(\n[ -].*)*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
    return text


def _public(value: Any) -> Any:  # noqa: ANN401 - what JSON and YAML hold
    if isinstance(value, dict):
        return {name: _public(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_public(part) for part in value]
    if not isinstance(value, str):
        return value
    path = value.removeprefix(FOLDER)
    leads_out = Path(path).is_absolute() or path.startswith("~") or Path(path).parts[:1] == ("..",)
    return value.removesuffix(path) + Path(path).name if len(path) > 1 and leads_out else value
