"""timm models with a classifier of our labels, and the weights that they start from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, WeightsError, name_alternatives
from mlrsnet_hf.training.config import PRETRAINED, RANDOM

State = Mapping[str, torch.Tensor]


def build_model(
    name: str,
    labels: int,
    weights: str = PRETRAINED,
    image_size: int | None = None,
    say: Callable[[str], None] = print,
) -> nn.Module:
    """Return a timm model that gives (N, labels) logits.

    Args:
        name: A name that timm knows, with or without the tag of its weights.
        labels: Number of labels.
        weights: A weights file, `pretrained` or `random`.
        image_size: Fixes the input size of models that have one (most transformers).
        say: Is told if the classifier of the weights does not fit and is started anew.

    Raises:
        UnknownNameError: timm does not know the name.
        WeightsError: The weights cannot be had, or belong to another architecture.
        ConfigurationError: The model cannot take another input size.
    """
    require_known_model(name)
    if weights == PRETRAINED:
        model = _pretrained_model(name, labels, say)
    else:
        model = timm.create_model(name, num_classes=labels)
        if weights != RANDOM:
            load_weights(model, Path(weights), say)
    _set_input_size(model, image_size)
    return model


def require_known_model(name: str) -> None:
    """Raise `UnknownNameError` with near names unless timm has a model of this name."""
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise UnknownNameError(
            f"timm {timm.__version__} knows no model {name!r}", _near_models(architecture, timm.list_models())
        )
    if name != architecture and name not in timm.list_pretrained(f"{architecture}.*"):
        raise UnknownNameError(
            f"timm {timm.__version__} knows no weights {name!r}",
            name_alternatives(name, timm.list_pretrained(f"{architecture}.*")),
        )


def _near_models(name: str, known: list[str]) -> str:
    """Return a remedy with near names, or the way to the list: timm's whole list fills several screens."""
    remedy = name_alternatives(name, known)
    return remedy if remedy.startswith("Did you mean") else "See timm.list_models() for the names."


def timm_settings(model: nn.Module) -> dict[str, Any]:
    """Return what timm knows of the model and its weights (`pretrained_cfg`)."""
    return cast(dict[str, Any], model.pretrained_cfg)


def classifier_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that give the logits; timm allows several."""
    names = timm_settings(model).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def load_weights(model: nn.Module, path: Path, say: Callable[[str], None] = print) -> None:
    """Load a weights file into the model; all but the classifier must fit.

    Raises:
        WeightsError: The file is missing, damaged, or of another architecture.
    """
    state = read_weights(path)
    expected = model.state_dict()
    heads = tuple(f"{name}." for name in classifier_names(model))
    anew = [
        key
        for key, value in expected.items()
        if key.startswith(heads) and (key not in state or state[key].shape != value.shape)
    ]
    body = {key: value for key, value in state.items() if key not in anew}
    _require_fit(model, path, body, {key: value for key, value in expected.items() if key not in anew})
    model.load_state_dict(body, strict=False)
    for key in anew:
        if key.endswith(".weight"):
            found = f"{len(state[key])} outputs" if key in state else "no such tensor"
            say(f"{path}: {key} has {found}, the model needs {len(expected[key])}: started anew")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file or of a PyTorch file, which is read without running its code.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} does not exist", f"Give the path of a file, {PRETRAINED!r} or {RANDOM!r}."
        )
    try:
        state = load_state_dict(str(path), weights_only=True)
    # A PyTorch file is a zip archive or a pickle of whatever content; its readers raise many types.
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({type(error).__name__}: {_first_line(error)})",
            "Give a whole .safetensors file, or a PyTorch file that holds a state dict.",
        ) from error
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"weights file {path} holds no state dict", "Give a file of named tensors.")
    return state


def _require_fit(model: nn.Module, path: Path, state: State, expected: State) -> None:
    """Raise unless names and shapes are the same."""
    faults = [f"{key} is missing" for key in expected if key not in state]
    faults += [f"{key} is unknown" for key in state if key not in expected]
    faults += [
        f"{key} has shape {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise WeightsError(
            f"weights file {path} does not fit {timm_settings(model)['architecture']}: {'; '.join(faults[:3])}{more}",
            "Give the weights of this architecture, or name the model that they belong to.",
        )


def _pretrained_model(name: str, labels: int, say: Callable[[str], None]) -> nn.Module:
    try:
        model = timm.create_model(name, pretrained=True, num_classes=labels)
    # Connection errors are OSErrors; timm raises RuntimeError for a model that has no weights.
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the weights of {name!r} cannot be downloaded: {_first_line(error)}",
            f"Pass a file as --weights, or --weights {RANDOM}.",
        ) from error
    outputs = timm_settings(model)["num_classes"]
    if outputs != labels:
        for classifier in classifier_names(model):
            say(f"{name}: {classifier}.weight has {outputs} outputs, the model needs {labels}: started anew")
    return model


def _set_input_size(model: nn.Module, image_size: int | None) -> None:
    config = timm_settings(model)
    if image_size is None or not config.get("fixed_input_size") or config["input_size"][1:] == (image_size, image_size):
        return
    try:
        cast(Any, model).set_input_size(img_size=(image_size, image_size))
    except (AttributeError, AssertionError, ValueError) as error:
        raise ConfigurationError(
            f"{config['architecture']} takes images of {config['input_size'][1]} pixels only, not {image_size}",
            "Leave image_size unset, or choose another model.",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
