"""The saved model: a folder that timm and transformers both load.

`model.safetensors` holds timm's own tensors; `config.json` tells either library the architecture, the labels and the
preprocessing. transformers builds the network from `architecture`, `num_classes` and `model_args`, timm from
`pretrained_cfg` as well. `num_classes` stands at the root alone: in `model_args` transformers would pass it twice.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.training.models import timm_settings
from mlrsnet_hf.training.preprocessing import Preprocessing, model_preprocessing

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

# What stays true of the weights that we save; other fields tell where the first weights came from.
_KEPT_FIELDS = ("fixed_input_size", "first_conv", "classifier")


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model as read back from its folder."""

    model: nn.Module
    """In evaluation mode, on the CPU."""
    preprocessing: Preprocessing
    label_names: tuple[str, ...]


def save_model(model: nn.Module, folder: Path, preprocessing: Preprocessing, label_names: Sequence[str]) -> None:
    """Write the folder, or replace the model that it holds; whoever reads it finds a whole model at any moment.

    Raises:
        ConfigurationError: The folder cannot be written.
    """
    if not folder.exists():
        with whole_folder(folder) as partial:
            _write(model, partial, preprocessing, label_names)
        return
    fresh = folder.with_name(f".{folder.name}.next")
    shutil.rmtree(fresh, ignore_errors=True)
    with whole_folder(fresh) as partial:
        _write(model, partial, preprocessing, label_names)
    # Within one run the weights alone differ, so the two files may be replaced one after the other.
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (fresh / name).replace(folder / name)
    fresh.rmdir()


def load_model(folder: Path) -> SavedModel:
    """Read a saved model back, through timm.

    Raises:
        WeightsError: The folder holds no whole model.
    """
    try:
        # Without pretrained=True timm would build the architecture with random weights.
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        config = timm_settings(model)
        preprocessing = model_preprocessing(model, None, config["crop_pct"])
        return SavedModel(model.eval(), preprocessing, tuple(config["label_names"]))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise WeightsError(
            f"{folder} holds no saved model: {error}", f"Give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}."
        ) from error


def model_config(model: nn.Module, preprocessing: Preprocessing, label_names: Sequence[str]) -> dict[str, Any]:
    """Return the content of `config.json`."""
    source = timm_settings(model)
    config: dict[str, Any] = {
        "architecture": source["architecture"],
        "num_classes": len(label_names),
        "num_features": model.num_features,
        "label_names": list(label_names),
        "problem_type": "multi_label_classification",
        "pretrained_cfg": {
            **{field: source[field] for field in _KEPT_FIELDS if field in source},
            **preprocessing.timm_config(),
            "num_classes": len(label_names),
        },
    }
    if source.get("fixed_input_size"):
        # transformers would otherwise build the network for the architecture's default size.
        config["model_args"] = {"img_size": preprocessing.image_size}
    return config


def _write(model: nn.Module, folder: Path, preprocessing: Preprocessing, label_names: Sequence[str]) -> None:
    config = model_config(model, preprocessing, label_names)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # transformers asks for the format entry.
    save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
