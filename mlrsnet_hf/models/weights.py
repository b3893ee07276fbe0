"""Weights files: read without running their code, and loaded only into the architecture that they belong to."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from timm.models import adapt_input_conv, load_state_dict
from torch import nn

from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.models import HUB, PRETRAINED, RANDOM
from mlrsnet_hf.models.timm_config import classifier_names, timm_settings
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)


def load_weights(model: nn.Module, path: Path) -> bool:
    """Load a weights file into the model; all but the classifier must fit. Tell whether that was started anew.

    A file that has what layers share under one of its names only, as safetensors may write it, is whole.

    Raises:
        WeightsError: The file is missing, damaged, or of another architecture.
    """
    expected = model.state_dict()
    state = _with_channels(model, with_shared(read_weights(path, expected), expected), expected)
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
    return bool(anew)


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


def with_shared(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Return weights with what layers share under each of its names, where a file has it under one."""
    filled = dict(state)
    for names in _shared_names(expected):
        known = {expected[name].shape: state[name] for name in names if name in state}
        missing = (name for name in names if name not in state and expected[name].shape in known)
        filled |= {name: known[expected[name].shape] for name in missing}
    return filled


def read_weights(path: Path, names: Collection[str]) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file or of a PyTorch file, which is read without running its code.

    Args:
        path: The file.
        names: Some or all names of the model's own tensors. What all names in the file begin with (`model.` of
            Lightning, `module.`, `_orig_mod.`, `timm_model.`) is taken off if that makes them these.

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
    return _without_prefix(state, names)


def _without_prefix(state: Mapping[str, torch.Tensor], names: Collection[str]) -> dict[str, torch.Tensor]:
    first, *_ = state
    parts = first.split(".")[:-1]
    prefixes = ["".join(f"{part}." for part in parts[:depth]) for depth in range(len(parts) + 1)]
    prefixes = [prefix for prefix in prefixes if all(name.startswith(prefix) for name in state)]
    prefix = max(prefixes, key=lambda prefix: sum(name.removeprefix(prefix) in names for name in state))
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a model on the CPU, by name, to be written: each in memory of its own.

    Some layers share tensors, such as those of CoaT. safetensors refuses them, and timm asks for every name.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    copies = {name for names in _shared_names(tensors) for name in names[1:]}
    return {name: tensor.clone() if name in copies else tensor for name, tensor in tensors.items()}


def write_tensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors file.

    Raises:
        OSError: It cannot be written; in the system's words, which safetensors wraps in its own.
    """
    try:
        save_file(dict(tensors), path, metadata=dict(metadata) if metadata else None)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))) from error


def shares_tensors(model: nn.Module) -> bool:
    """Tell whether a model has a tensor under several names."""
    return bool(_shared_names(model.state_dict()))


def _shared_names(state: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """Return the names of each tensor that has several."""
    names: dict[int, list[str]] = {}
    for name, tensor in state.items():
        if tensor.numel():
            names.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    return [same for same in names.values() if len(same) > 1]


def find_weights_file(weights: str) -> Path:
    """Return the file of weights: a path, or hf-hub:USER/NAME/FILE, which is downloaded.

    Raises:
        WeightsError: It is not there, or cannot be had.
    """
    if weights.startswith(HUB):
        repository, file = file_on_hub(weights)
        if not file:
            raise WeightsError(f"weights {weights!r} name no file", f"Give {HUB}USER/NAME/FILE.")
        return download_folder(repository, "model", [file], error=WeightsError) / file
    path = Path(weights).expanduser()
    require_weights_file(path)
    return path


def file_on_hub(weights: str) -> tuple[str, str]:
    """Return repository and file of hf-hub:USER/NAME/FILE; "" where a repository alone is named."""
    owner, _, rest = weights.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    return f"{owner}/{name}", file


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
