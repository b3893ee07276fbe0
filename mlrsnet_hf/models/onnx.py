"""A network in an ONNX file that says of itself what goes in, and what its outputs stand for.

Its metadata hold, each as JSON, `architecture`, `label_names`, `scene_names`, `thresholds` and `preprocessing`, so that
whoever runs the file elsewhere needs no other, and where it is known, `run`: what `training.learned_images` asks for.
`prediction.export` writes it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch
from torch import nn

from mlrsnet_hf.configuration.json_file import Name, json_as, parse_json
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.errors import WeightsError, require_extra
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.inputs.pixels.reading import reading_from_json
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.models.saved_config import PretrainedInfo, refuse_unusable_input
from mlrsnet_hf.models.saved_model import SavedModel
from mlrsnet_hf.models.weights import first_line

ONNX_FILE = "model.onnx"
PREPROCESSING_FILE = "preprocessing.json"
SUFFIX = ".onnx"
INPUT, OUTPUT = "pixels", "logits"
FORMAT = 1
RUN_KEY = "run"
"""Key of what is told of the run that the network was exported from."""

_REMEDY = "Give a file that `mlrsnet export` wrote."
_ONLY_ERRORS = 3
"""onnxruntime's level of severity for what it logs."""


class _Info(TypedDict):
    """The metadata of the file."""

    format: Annotated[int, Range(FORMAT, FORMAT)]
    name: Name
    architecture: Name
    label_names: tuple[Name, ...]
    scene_names: tuple[Name, ...]
    thresholds: Mapping[Name, Annotated[float, Range(-1, 1)]] | None
    preprocessing: PretrainedInfo


class OnnxNetwork(nn.Module):
    """A network of an ONNX file, computed by onnxruntime: (N, C, S, S) float32 to (N, outputs) float32 logits.

    It computes on the processor, or on a GPU where onnxruntime's own package for GPUs is installed, and its answer is
    on the device of the pixels. There are no gradients.

    Args:
        content: The file.
        source: Where it lies, for errors.
        architecture: Of the network that was exported.

    Raises:
        WeightsError: onnxruntime does not take the file.
    """

    def __init__(self, content: bytes, source: str, architecture: str = "") -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.intra_op_num_threads = torch.get_num_threads()
        preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
        there = [name for name in preferred if name in onnxruntime.get_available_providers()]
        try:
            # Falling back, onnxruntime prints that it does, and tries the same again.
            self.session = onnxruntime.InferenceSession(content, options, providers=there, enable_fallback=0)
            self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        except Exception as error:  # of onnxruntime's own types, which it does not name
            raise WeightsError(f"{source}: cannot be read ({shortened(first_line(error), 200)})", _REMEDY) from error
        self.source = source
        self.pretrained_cfg = {"architecture": architecture}
        # What tells one network from another is its state, here as elsewhere.
        digest = torch.frombuffer(bytearray(hashlib.sha256(content).digest()), dtype=torch.uint8)
        self.register_buffer("digest", digest)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits.

        Raises:
            WeightsError: The file describes a computation that fails.
        """
        values = pixels.detach().to("cpu", torch.float32).contiguous().numpy()
        try:
            (logits,) = self.session.run([OUTPUT], {INPUT: values})
        except Exception as error:  # of onnxruntime's own types, which it does not name
            raise WeightsError(
                f"{self.source}: fails at {len(values)} images ({shortened(first_line(error), 200)})", _REMEDY
            ) from error
        return torch.from_numpy(logits).to(pixels.device)


def onnx_metadata(
    name: str,
    architecture: str,
    preprocessing: Preprocessing,
    task: Task,
    thresholds: Mapping[str, float] | None,
    run: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return what a file says of itself, as JSON under each key; `run` is left out where nothing is known of it."""
    info = {
        "format": FORMAT,
        "name": name,
        "architecture": architecture,
        "label_names": task.label_names[: task.label_outputs],
        "scene_names": task.scene_names[: task.scene_outputs],
        "thresholds": None if thresholds is None else dict(thresholds),
        "preprocessing": preprocessing_json(preprocessing),
    }
    info |= {} if run is None else {RUN_KEY: dict(run)}
    return {key: json.dumps(value) for key, value in info.items()}


def preprocessing_json(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the preprocessing under timm's names, and what `Reading.to_json` gives."""
    return preprocessing.timm_config() | preprocessing.reading.to_json()


def load_onnx(path: Path) -> tuple[str, SavedModel]:
    """Return the name that an exported model was given, and the model.

    Raises:
        WeightsError: The file is missing, damaged, or not written by `mlrsnet export`.
        MissingExtraError: onnxruntime is not installed.
    """
    require_extra("onnx")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})", _REMEDY) from error
    network = OnnxNetwork(content, str(path))
    metadata = network.metadata
    if "format" not in metadata or "preprocessing" not in metadata:
        raise WeightsError(f"{path}: says neither what goes in nor what comes out", _REMEDY)
    known = _Info.__annotations__
    values = {
        key: parse_json(text, Any, f"{path}: {key}", _REMEDY, WeightsError)
        for key, text in metadata.items()
        if key in known
    }
    info: _Info = json_as(values, _Info, str(path), _REMEDY, WeightsError)
    network.pretrained_cfg = {"architecture": info["architecture"]}
    preprocessing = _preprocessing(info["preprocessing"], str(path))
    task = _task(info, path)
    channels, side = preprocessing.channels, preprocessing.image_size
    (pixels, *others), outputs = network.session.get_inputs(), network.session.get_outputs()
    if others or (pixels.name, [one.name for one in outputs]) != (INPUT, [OUTPUT]):
        raise WeightsError(f"{path}: not a network from {INPUT} to {OUTPUT}", _REMEDY)
    with torch.inference_mode():
        found = tuple(network(torch.zeros(2, channels, side, side)).shape)
    if found != (2, task.outputs):
        raise WeightsError(f"{path}: gives {found} for 2 images, where {task.outputs} outputs are named", _REMEDY)
    return info["name"], SavedModel(network.eval(), preprocessing, task, info["thresholds"])


def _preprocessing(info: PretrainedInfo, source: str) -> Preprocessing:
    missing = [
        key for key in ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std") if key not in info
    ]
    if missing:
        raise WeightsError(f"{source}: preprocessing without {', '.join(missing)}", _REMEDY)
    refuse_unusable_input(info, source, _REMEDY)
    channels, height, width = info["input_size"]
    try:
        reading = reading_from_json(info)
    except ValueError as error:
        raise WeightsError(f"{source}: preprocessing: {error}", _REMEDY) from error
    if height != width or reading.channels != channels:
        raise WeightsError(f"{source}: preprocessing for {channels} x {height} x {width}", _REMEDY)
    return Preprocessing(
        image_size=height,
        crop_pct=info["crop_pct"],
        crop_mode=info["crop_mode"],
        interpolation=info["interpolation"],
        mean=info["mean"],
        std=info["std"],
        reading=reading,
    )


def _task(info: _Info, path: Path) -> Task:
    labels, scenes, thresholds = info["label_names"], info["scene_names"], info["thresholds"]
    for names in (labels, scenes):
        if len(set(names)) < len(names):
            raise WeightsError(f"{path}: a name stands twice among labels or scenes", _REMEDY)
    if not labels and not scenes:
        raise WeightsError(f"{path}: names neither labels nor scenes", _REMEDY)
    if thresholds is not None and set(thresholds) != set(labels):
        raise WeightsError(f"{path}: the thresholds are not those of the labels", _REMEDY)
    return Task(
        kind="labels+scene" if labels and scenes else "labels" if labels else "scene",
        label_names=labels,
        scene_names=scenes,
    )
