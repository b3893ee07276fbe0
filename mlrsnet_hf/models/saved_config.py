"""The config.json of a saved model, which may come from anybody: checked before a network is built of it.

timm builds whatever the file names, of any size. So the types and ranges of its values are checked first, and then that
the weights beside it are enough for that network, which is built without memory (PyTorch's meta device) and no further
than the weights reach.
"""

import inspect
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from mlrsnet_hf.configuration.json_file import Name, json_as, read_json
from mlrsnet_hf.configuration.settings import Range, Share
from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.inputs.pixels.reading import MOST_METERS
from mlrsnet_hf.models.weights import first_line

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_OTHER_FILES = ("pytorch_model.bin", "model.bin")

_REMEDY = f"Give a folder with {CONFIG_FILE} and {WEIGHTS_FILE} as a run saves them."
_MOST_RESIZED = 2**13
"""Pixels of a side of the image whose center is taken."""
_MOST_ARGUMENTS = 32
_MOST_ARGUMENT = 2**16
"""Of a number among a network's arguments."""
_OF_FACTORY = frozenset(inspect.signature(timm.create_model).parameters)
"""What says where weights come from, and no argument of a network's."""

Side = Annotated[int, Range(1, 2**12)]
Channels = Annotated[int, Range(1, 1024)]


class PretrainedInfo(TypedDict, total=False):
    """What timm's `pretrained_cfg` says of the input and the classifier; other values are passed on as they are."""

    input_size: tuple[Channels, Side, Side]
    crop_pct: Share
    crop_mode: Literal["center", "squash", "border"]
    interpolation: Literal["bicubic", "bilinear", "nearest", "lanczos", "hamming", "box", "random"]
    mean: tuple[Annotated[float, Range(-100, 100)], ...]
    std: tuple[Annotated[float, Range(0.0001, 100)], ...]
    num_classes: Annotated[int, Range(0, 2**20)]
    fixed_input_size: bool


class _Named(TypedDict):
    architecture: Name


class ModelInfo(_Named, total=False):
    """The content of config.json; transformers writes more than we do, which stays as it is."""

    num_classes: Annotated[int, Range(0, 2**20)]
    label_names: tuple[Name, ...]
    scene_names: tuple[Name, ...]
    model_type: str | None
    """Of transformers, where it wrote the file."""
    problem_type: Literal["single_label_classification", "multi_label_classification"] | None
    thresholds: Mapping[Name, Annotated[float, Range(-1, 1)]] | None
    resolution: Annotated[float, Range(0, MOST_METERS, above=True, below=True)] | None
    image_side: Annotated[int, Range(1, 2**31)] | None
    model_args: Mapping[Name, Any] | None
    pretrained_cfg: PretrainedInfo | None


def read_model_info(folder: Path) -> ModelInfo:
    """Return what the config.json of a folder says.

    Raises:
        WeightsError: It cannot be read, or a value is of another type or out of range.
    """
    source = str(folder / CONFIG_FILE)
    content = read_json(folder / CONFIG_FILE, Mapping[str, Any], _REMEDY, WeightsError)
    info: ModelInfo = json_as(_with_names(dict(content)), ModelInfo, source, _REMEDY, WeightsError)
    if info.get("pretrained_cfg") is None:  # as older versions of timm wrote it
        json_as(dict(info), PretrainedInfo, source, _REMEDY, WeightsError)
    preprocessing: Any = info.get("pretrained_cfg") or info
    if not timm.is_model(info["architecture"]):
        raise WeightsError(f"{source}: timm {timm.__version__} knows no model {quoted(info['architecture'])}", _REMEDY)
    refuse_unusable_input(preprocessing, source, _REMEDY)
    for name in ("first_conv", "classifier"):
        names = preprocessing.get(name)
        several = names if isinstance(names, list) else [names or ""]
        if not all(isinstance(one, str) for one in several):
            raise WeightsError(f"{source}: {name}={quoted(names)} is no name of a layer", _REMEDY)
    _refuse_arguments(info.get("model_args") or {}, source)
    _refuse_names(info, source)
    return info


def refuse_unusable_input(info: Mapping[str, Any], source: str, remedy: str) -> None:
    """Refuse what is said of a network's input, as `PretrainedInfo` has it, if no image can be brought to it.

    Raises:
        WeightsError: Images would become too large, or mean and deviation are of another number of channels.
    """
    channels, *sides = info.get("input_size", (3,))
    if max(sides, default=0) / info.get("crop_pct", 1) > _MOST_RESIZED:
        raise WeightsError(f"{source}: crop_pct={info['crop_pct']} of {max(sides)} pixels is too little", remedy)
    for name in ("mean", "std"):
        if len(info.get(name, [0] * channels)) != channels:
            raise WeightsError(f"{source}: {name} has not one number for each of {channels} channels", remedy)


def check_saved(folder: Path) -> ModelInfo:
    """Return what the config.json of a folder says, of which timm may then build the network that the weights are of.

    Raises:
        WeightsError: See `read_model_info` and `require_enough`.
    """
    info = read_model_info(folder)
    arguments: dict[str, Any] = dict(info.get("model_args") or {})
    if "num_classes" in info:
        arguments["num_classes"] = info["num_classes"]
    weights = next((path for name in (WEIGHTS_FILE, *_OTHER_FILES) if (path := folder / name).is_file()), None)
    if weights is not None:  # else timm says so
        require_enough([weights], folder, lambda: timm.create_model(info["architecture"], **arguments))
    return info


def require_enough(
    weights: Sequence[Path], folder: Path, build: Callable[[], nn.Module], config: str = CONFIG_FILE
) -> None:
    """Refuse a network that has more numbers than the weights beside its config.json; no memory is taken for it.

    Args:
        weights: Their files.
        folder: Where config.json lies.
        build: Builds the network.
        config: Name of config.json, where it has another.

    Raises:
        WeightsError: It has more, a file is damaged, or timm cannot build it.
    """
    stored = sum(map(stored_numbers, weights))
    source = folder / config
    for device in ("meta", "cpu"):  # the latter where older versions of timm want to read a number on the way
        try:
            with (
                _no_more_than(stored, source),
                torch.random.fork_rng(devices=()),
                torch.device(device),
            ):
                needed = sum(parameter.numel() for parameter in build().parameters())
        except WeightsError:
            raise
        except Exception as error:  # a network's code raises anything on arguments that it does not know
            if device == "cpu":
                reason = f"{type(error).__name__}: {first_line(error)}"
                raise WeightsError(f"{source}: the network cannot be built ({reason})", _REMEDY) from error
            continue
        if needed > stored:
            raise _too_few(source, f"{needed:,}", stored)
        return


def stored_numbers(file: Path) -> int:
    """Return how many numbers a safetensors file holds, by its header alone; of another file at most how many.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    try:
        if file.suffix != ".safetensors":
            return file.stat().st_size
        with safe_open(file, "pt") as weights:
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{file}: cannot be read ({first_line(error)})", _REMEDY) from error


@contextmanager
def _no_more_than(stored: int, source: Path) -> Iterator[None]:
    """End the building of a network in the block once it has made far more numbers than are stored."""
    most = 4 * stored + 10_000_000  # some networks make layers that they replace by others
    made, thread = 0, threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        if parameter is not None and threading.get_ident() == thread:  # the hook is one for all threads
            made += parameter.numel()
            if made > most:
                raise _too_few(source, f"more than {most:,}", stored)

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _too_few(source: Path, needed: str, stored: int) -> WeightsError:
    return WeightsError(f"{source}: the network has {needed} numbers, {WEIGHTS_FILE} beside it {stored:,}", _REMEDY)


def _with_names(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content with its `label_names` at the root and as a list, as we write it.

    timm has them there or in `pretrained_cfg`, and as an object of names by output where some have none.
    """
    settings = content.get("pretrained_cfg")
    names = content.get("label_names")
    if names is None and isinstance(settings, Mapping):
        names = settings.get("label_names")
    if isinstance(names, Mapping):
        listed = [names.get(str(output)) for output in range(len(names))]
        names = names if None in listed else listed
    return content | ({} if names is None else {"label_names": names})


def _refuse_arguments(arguments: Mapping[str, Any], source: str) -> None:
    """Refuse arguments of a network that are none: those of timm's factory, or numbers that no network has."""
    if len(arguments) > _MOST_ARGUMENTS:
        raise WeightsError(f"{source}: model_args has {len(arguments)} entries", _REMEDY)
    for name, value in arguments.items():
        entries = value if isinstance(value, list) and len(value) <= _MOST_ARGUMENTS else [value]
        fits = all(
            entry is None
            or (isinstance(entry, str) and len(entry) < 100)
            or (isinstance(entry, int | float) and abs(entry) <= _MOST_ARGUMENT)
            for entry in entries
        )
        if name in _OF_FACTORY or not fits:
            raise WeightsError(f"{source}: model_args.{name}={quoted(value)} cannot be used", _REMEDY)


def _refuse_names(info: ModelInfo, source: str) -> None:
    """Refuse labels and scenes of which two have one name, or that are not as many as the outputs."""
    labels, scenes = info.get("label_names"), info.get("scene_names", ())
    if any(len(set(names)) < len(names) for names in (labels or (), scenes)):
        raise WeightsError(f"{source}: a name stands twice among labels or scenes", _REMEDY)
    if labels is not None and info.get("num_classes", len(labels)) != len(labels):
        raise WeightsError(f"{source}: {len(labels)} label_names where num_classes={info.get('num_classes')}", _REMEDY)
    thresholds = info.get("thresholds")
    if thresholds is not None and set(thresholds) != set(labels or ()):
        raise WeightsError(f"{source}: the thresholds are not those of the labels", _REMEDY)
