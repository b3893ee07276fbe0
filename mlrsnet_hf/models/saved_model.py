"""The saved model: a folder that timm and transformers both load.

`model.safetensors` holds timm's own tensors; `config.json` tells either library the architecture, the labels and the
preprocessing. transformers builds the network from `architecture`, `num_classes` and `model_args`, timm from
`pretrained_cfg` as well. `num_classes` stands at the root alone: in `model_args` transformers would pass it twice.

Both libraries see a model of the labels. Where scenes are learned beside them, the classifier's rows of the scenes lie
in `scene_head.safetensors`, and `load_model` puts them together again. A model of scenes alone is one of single labels.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.inputs.pixels.reading import reading_from_json
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.models.saved_config import CONFIG_FILE, WEIGHTS_FILE, ModelInfo, read_model_info, require_enough
from mlrsnet_hf.models.timm_config import classifier_names, timm_settings
from mlrsnet_hf.models.weights import own_tensors, with_shared, write_tensors
from mlrsnet_hf.runtime.logs import get_logger

SCENE_HEAD_FILE = "scene_head.safetensors"
MODEL_FILES = (CONFIG_FILE, WEIGHTS_FILE, SCENE_HEAD_FILE)
"""All that a saved model may consist of; the last is there where scenes are learned beside the labels."""

# What stays true of the weights that we save; other fields tell where the first weights came from.
_KEPT_FIELDS = ("fixed_input_size", "first_conv", "classifier")

logger = get_logger(__name__)

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model as read back from its folder."""

    model: nn.Module
    """(N, C, S, S) to (N, task.outputs) logits; in evaluation mode, on the CPU."""
    preprocessing: Preprocessing
    task: Task
    """A model of scenes alone does not know the labels of its data."""
    thresholds: Mapping[str, float] | None = None
    """Per label the score above which an image is said to have it; None is 0.5 for all."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """What timm and transformers call the outputs: the labels, or the scenes where scenes alone are learned."""
        return self.task.scene_names if self.task.kind == "scene" else self.task.label_names


def save_model(
    model: nn.Module,
    folder: Path,
    preprocessing: Preprocessing,
    task: Task,
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Write the folder, or replace the model that it holds, by one that is whole and on the disk.

    Thresholds stand by label; None is 0.5 for all.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    config = _model_config(model, preprocessing, task, thresholds)
    weights, scene_head = _split_outputs(model, task)
    with whole_folder(folder, replace=True, durable=True) as partial:
        _write_config(partial, config)
        # transformers asks for the format entry.
        write_tensors(weights, partial / WEIGHTS_FILE, {"format": "pt"})
        if scene_head:
            write_tensors(scene_head, partial / SCENE_HEAD_FILE, {"format": "pt"})


def copy_model(source: Path, folder: Path, thresholds: Mapping[str, float] | None = None) -> None:
    """Copy a saved model, in place of the one that `folder` may hold, with other thresholds, if they are given.

    Raises:
        ConfigurationError: A folder cannot be read or written.
    """
    with whole_folder(folder, replace=True, durable=True) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
        if thresholds is not None:
            _write_config(partial, _read_config(partial) | {"thresholds": dict(thresholds)})


def load_model(folder: Path) -> SavedModel:
    """Read a saved model back, through timm.

    Raises:
        WeightsError: The folder holds no whole model.
    """
    info = read_model_info(folder)
    if info.get("label_names") is None:
        raise WeightsError(f"{folder / CONFIG_FILE} has no label_names", "Give the model of a run, which has some.")
    try:
        task = _stored_task(info)
        if info.get("problem_type") is None and task.kind != "scene":
            logger.info(
                "%s does not say whether an image has several of its %d labels: it is taken to",
                folder / CONFIG_FILE,
                len(task.label_names),
            )
        if task.kind == "labels+scene" and not (folder / SCENE_HEAD_FILE).exists():  # transformers leaves it behind
            logger.info("%s has no %s: it tells the labels alone", folder, SCENE_HEAD_FILE)
            task = Task(kind="labels", label_names=task.label_names)
        files = [WEIGHTS_FILE, *([SCENE_HEAD_FILE] if task.kind == "labels+scene" else [])]
        require_enough([folder / name for name in files], folder, lambda: _network(info, task.outputs))
        model = _network(info, task.outputs)
        state: Tensors = load_file(folder / WEIGHTS_FILE)
        if task.kind == "labels+scene":
            for name, rows in load_file(folder / SCENE_HEAD_FILE).items():
                state[name] = torch.cat([state[name], rows])
        model.load_state_dict(with_shared(state, model.state_dict()))
        preprocessing = model_preprocessing(model, None, timm_settings(model)["crop_pct"], reading_from_json(info))
        return SavedModel(model.eval(), preprocessing, task, info.get("thresholds"))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        if isinstance(error, WeightsError):
            raise
        found = error.found if isinstance(error, ConfigurationError) else str(error)
        raise WeightsError(
            f"{folder} holds no saved model: {found}", f"Give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}."
        ) from error


def _network(info: ModelInfo, outputs: int) -> nn.Module:
    """Build the network of a checked config.json, with random weights."""
    names = info["label_names"]
    settings = dict(info.get("pretrained_cfg") or {}) | {"num_classes": len(names), "label_names": names}
    arguments = {name: value for name, value in (info.get("model_args") or {}).items() if name != "num_classes"}
    return timm.create_model(info["architecture"], pretrained_cfg=settings, num_classes=outputs, **arguments)


def _model_config(
    model: nn.Module, preprocessing: Preprocessing, task: Task, thresholds: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the content of `config.json`."""
    source = timm_settings(model)
    single = task.kind == "scene"
    names = task.scene_names if single else task.label_names
    config: dict[str, Any] = {
        "architecture": source["architecture"],
        "num_classes": len(names),
        "num_features": model.num_features,
        "label_names": list(names),
        "problem_type": "single_label_classification" if single else "multi_label_classification",
        "pretrained_cfg": {
            **{field: source[field] for field in _KEPT_FIELDS if field in source},
            **preprocessing.timm_config(),
            "num_classes": len(names),
        },
    }
    if task.kind == "labels+scene":
        config["scene_names"] = list(task.scene_names)
    if thresholds is not None:
        config["thresholds"] = dict(thresholds)
    # transformers would otherwise build the network for the architecture's default size, and three channels; and where
    # there is nothing to say, it would write null when it saves the model again, which timm cannot read.
    arguments = {"img_size": preprocessing.image_size} if source.get("fixed_input_size") else {}
    if preprocessing.channels != 3:
        arguments["in_chans"] = preprocessing.channels
    config["model_args"] = arguments
    return config | preprocessing.reading.to_json()


def _stored_task(info: ModelInfo) -> Task:
    names, problem = info["label_names"], info.get("problem_type")
    by_transformers = info.get("model_type") == "timm_wrapper"  # which then learns one label of several alone
    if problem == "single_label_classification" or (problem is None and by_transformers and len(names) > 1):
        return Task(kind="scene", label_names=(), scene_names=names)
    scenes = info.get("scene_names", ())
    return Task(kind="labels+scene" if scenes else "labels", label_names=names, scene_names=scenes)


def _split_outputs(model: nn.Module, task: Task) -> tuple[Tensors, Tensors]:
    """Return the tensors of the model without the scene outputs beside labels, and the rows of these."""
    state = own_tensors(model)
    if task.kind != "labels+scene":
        return state, {}
    labels = task.label_outputs
    heads = _output_tensors(model)
    rows = {name: state[name][labels:].clone() for name in heads}
    return {name: state[name][:labels].clone() if name in heads else state[name] for name in state}, rows


def _output_tensors(model: nn.Module) -> set[str]:
    """Return the names of the tensors that have one row per output."""
    names = set()
    for classifier in classifier_names(model):
        for part, module in model.get_submodule(classifier).named_modules(prefix=classifier):
            if isinstance(module, nn.Linear | nn.Conv2d):
                names |= {f"{part}.{name}" for name, _ in cast(nn.Module, module).named_parameters()}
    return names


def _read_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return config


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
