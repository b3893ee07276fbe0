"""Weights files: read without running their code, and loaded only into the architecture that they belong to."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from timm.models import adapt_input_conv, load_state_dict
from torch import nn

from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.models import PRETRAINED, RANDOM
from mlrsnet_hf.models.timm_config import classifier_names, timm_settings
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a weights file into the model; all but the classifier must fit.

    Raises:
        WeightsError: The file is missing, damaged, or of another architecture.
    """
    expected = model.state_dict()
    state = _with_channels(model, read_weights(path), expected)
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
            logger.info("%s: %s has %s, the model needs %d: started anew", path, key, found, len(expected[key]))


def _with_channels(
    model: nn.Module, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return weights of RGB input with the first layer fitted to the channels of the model, as timm fits its own."""
    fitted = dict(state)
    channels = timm_settings(model)["input_size"][0]
    for name, value in state.items():
        if channels == 3 or value.ndim != 4 or name not in expected or expected[name].shape == value.shape:
            continue
        if value.shape[1] * channels == expected[name].shape[1] * 3:
            fitted[name] = adapt_input_conv(channels, value)
            logger.info("%s is fitted from 3 to %d channels", name, channels)
    return fitted


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file or of a PyTorch file, which is read without running its code.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    require_weights_file(path)
    try:
        state = load_state_dict(str(path), weights_only=True)
    # A PyTorch file is a zip archive or a pickle of whatever content; its readers raise many types.
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"weights file {path} cannot be read ({type(error).__name__}: {first_line(error)})",
            "Give a whole .safetensors file, or a PyTorch file that holds a state dict.",
        ) from error
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"weights file {path} holds no state dict", "Give a file of named tensors.")
    return state


def require_weights_file(path: Path) -> None:
    """Raise `WeightsError` unless the file is there."""
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} does not exist", f"Give the path of a file, {PRETRAINED!r} or {RANDOM!r}."
        )


def _require_fit(
    model: nn.Module, path: Path, state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
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


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without the full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
