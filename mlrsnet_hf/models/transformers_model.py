"""Image classifiers of transformers, such as ViTForImageClassification, as networks from pixels to logits.

A folder of one holds config.json with the names of its outputs (`id2label`), safetensors and preprocessor_config.json.
None of its code is run: transformers' own classes are built, and what the processor does is told in timm's words.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import torch
from torch import nn

from mlrsnet_hf.configuration.json_file import Name, json_as, read_json
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.errors import WeightsError
from mlrsnet_hf.escaping import quoted, shortened
from mlrsnet_hf.inputs.pixels.reading import RGB
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.models.saved_config import CONFIG_FILE, Side, refuse_unusable_input, require_enough
from mlrsnet_hf.models.saved_model import SavedModel
from mlrsnet_hf.models.weights import first_line

PROCESSOR_FILE = "preprocessor_config.json"
WEIGHTS = "model*.safetensors"
"""One file, or several of large models."""
OTHER_FILES = ("model.safetensors.index.json", PROCESSOR_FILE)

_REMEDY = "Give an image classifier of transformers, as its save_pretrained writes one."
_SQUARE, _EDGE = "height and width", "shortest edge"
_PROCESSORS = {
    **dict.fromkeys(("ViT", "DeiT", "Beit", "Segformer", "Siglip", "Pvt", "EfficientNet"), _SQUARE),
    **dict.fromkeys(("Bit", "CLIP", "ConvNext", "MobileNetV1", "MobileNetV2"), _EDGE),
}
"""Processors whose work `_preprocessing` can tell, and what their size means where it is one number."""
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""By Pillow's numbers."""
_CONVNEXT_SQUEEZES = 384
"""From this size on, ConvNext's processor squeezes the whole image into the square (as its class has it)."""
_CONVNEXT_CROP = 224 / 256

_Factor = Annotated[float, Range(1e-6, 100)]


class _Config(TypedDict, total=False):
    """What config.json says, as far as it is asked here."""

    model_type: Name
    id2label: Mapping[Name, Name]
    problem_type: Literal["single_label_classification", "multi_label_classification", "regression"] | None


class _Processor(TypedDict, total=False):
    """What preprocessor_config.json says, as far as it is asked here."""

    image_processor_type: Name | None
    feature_extractor_type: Name | None
    do_resize: bool | None
    do_center_crop: bool | None
    do_rescale: bool | None
    do_normalize: bool | None
    do_pad: bool | None
    do_flip_channel_order: bool | None
    rescale_offset: bool | None
    include_top: bool | None
    size: Any
    crop_size: Any
    crop_pct: Annotated[float, Range(0.05, 1)] | None
    resample: Annotated[int, Range(0, len(_RESAMPLING) - 1)]
    rescale_factor: _Factor | None
    image_mean: tuple[Annotated[float, Range(-1000, 1000)], ...]
    image_std: tuple[Annotated[float, Range(1e-4, 1000)], ...]


class TransformersNetwork(nn.Module):
    """An image classifier of transformers: (N, C, S, S) to (N, outputs) logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.pretrained_cfg = {"architecture": type(network).__name__}

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        logits: torch.Tensor = self.network(pixel_values=pixels).logits
        return logits


def is_transformers(folder: Path) -> bool:
    """Tell whether a folder's config.json is one of transformers alone; what timm reads names an `architecture`.

    Raises:
        WeightsError: It cannot be read.
    """
    content = read_json(folder / CONFIG_FILE, Mapping[str, Any], _REMEDY, WeightsError)
    return "model_type" in content and "architecture" not in content


def load_transformers(folder: Path) -> SavedModel:
    """Read an image classifier of transformers.

    What is said of labels is read as transformers' pipeline does: of a network of several outputs that does not say
    `multi_label_classification`, one output alone is true, and they are scenes here.

    Raises:
        WeightsError: The folder holds none, it cannot be read without its own code, it names no labels, or its
            processor does what `Preprocessing` cannot.
    """
    source = str(folder / CONFIG_FILE)
    config: _Config = read_json(folder / CONFIG_FILE, _Config, _REMEDY, WeightsError)
    task = _task(config, source)
    preprocessing = _preprocessing(folder / PROCESSOR_FILE)
    network = TransformersNetwork(_network(folder, config)).float().eval()
    side, channels = preprocessing.image_size, preprocessing.channels
    try:
        with torch.inference_mode():
            found = tuple(network(torch.zeros(1, channels, side, side)).shape)
    except Exception as error:  # layers of any kind may refuse the shape
        reason = shortened(first_line(error), 200)
        raise WeightsError(
            f"{folder}: the network does not take what {PROCESSOR_FILE} makes, {channels} x {side} x {side} ({reason})",
            _REMEDY,
        ) from error
    if found != (1, task.outputs):
        raise WeightsError(f"{source}: {task.outputs} names in id2label for outputs of {found[1:]}", _REMEDY)
    return SavedModel(network, preprocessing, task)


def _network(folder: Path, told: _Config) -> nn.Module:
    """Build the network, and give it its weights."""
    from transformers import AutoConfig, AutoModelForImageClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    from transformers.utils import logging

    kind, source = told["model_type"], folder / CONFIG_FILE
    if kind not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        raise WeightsError(f"{source}: {quoted(kind)} is no image classifier of transformers", _REMEDY)
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        raise WeightsError(f"{folder}: there are no weights in the form of safetensors", _REMEDY)
    only_here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, **only_here)
        require_enough(
            files, folder, lambda: AutoModelForImageClassification.from_config(config, trust_remote_code=False)
        )
        network, loading = AutoModelForImageClassification.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True, **only_here
        )
    except WeightsError:
        raise
    except Exception as error:  # what transformers and a network's code raise of a stranger's files
        raise WeightsError(
            f"{folder}: transformers cannot read it ({shortened(first_line(error), 200)})", _REMEDY
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    lacking = [*sorted(loading["missing_keys"]), *map(str, loading["mismatched_keys"])]
    if lacking:  # transformers draws them at random
        raise WeightsError(
            f"{folder}: weights of {quoted(lacking[0])} are missing{' among others' * (len(lacking) > 1)}", _REMEDY
        )
    return network


def _task(config: _Config, source: str) -> Task:
    """Return what the outputs stand for."""
    names = config.get("id2label")
    if "model_type" not in config or not names:
        raise WeightsError(f"{source}: names neither a model_type nor labels (id2label)", _REMEDY)
    ordered = [names.get(str(output)) for output in range(len(names))]
    if None in ordered or len(set(ordered)) < len(names):
        raise WeightsError(f"{source}: id2label does not name each output, and each by another name", _REMEDY)
    if all(name == f"LABEL_{output}" for output, name in enumerate(ordered)):
        raise WeightsError(
            f"{source}: the labels have no names but those that transformers makes up", "Name them in its id2label."
        )
    labels, problem = tuple(str(name) for name in ordered), config.get("problem_type")
    if problem == "regression":
        raise WeightsError(f"{source}: the outputs are numbers, not labels (problem_type regression)", _REMEDY)
    if problem == "multi_label_classification" or len(labels) == 1:
        return Task(kind="labels", label_names=labels)
    return Task(kind="scene", label_names=(), scene_names=labels)


def _preprocessing(file: Path) -> Preprocessing:
    """Return what a processor does, in timm's words.

    It is the same but for the rounding of colors, and for the center of an image that is an odd number of pixels larger
    than what is cropped, which timm takes to lie half a pixel further on.

    Raises:
        WeightsError: It does something else.
    """
    told: _Processor = read_json(file, _Processor, _REMEDY, WeightsError)
    source = str(file)
    name = told.get("image_processor_type") or told.get("feature_extractor_type") or "none"
    kind = re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", name)
    if kind not in _PROCESSORS:
        raise WeightsError(f"{source}: what {quoted(name)} does is not known here", _REMEDY)
    missing = [key for key in ("size", "resample", "image_mean", "image_std") if key not in told]
    if missing:
        raise WeightsError(f"{source}: {', '.join(missing)} missing", _REMEDY)
    for key in ("do_pad", "do_flip_channel_order"):
        if told.get(key):
            raise WeightsError(f"{source}: {key} is none of what can be done here", _REMEDY)
    if told.get("do_resize") is False:
        raise WeightsError(f"{source}: images are not resized (do_resize false)", _REMEDY)
    side, crop_mode, crop_pct = _framing(told, kind, source)
    mean, std = _statistics(told, kind)
    input_size = (len(mean), side, side)
    fields = {"crop_pct": crop_pct, "mean": mean, "std": std, "input_size": input_size}
    refuse_unusable_input(fields, source, _REMEDY)
    if len(mean) != RGB.channels:
        raise WeightsError(f"{source}: input of {len(mean)} channels, where red, green and blue are read", _REMEDY)
    return Preprocessing(
        image_size=side,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
        interpolation=_RESAMPLING[told["resample"]],
        mean=mean,
        std=std,
    )


def _framing(told: _Processor, kind: str, source: str) -> tuple[int, str, float]:
    """Return the side of the square that the network sees, and which part of an image it shows: mode and share."""
    sides = _sides(told["size"], _PROCESSORS[kind], f"{source}: size")
    edge, height = sides.get("shortest_edge"), sides.get("height")
    if kind == "ConvNext" and edge is not None and not told.get("do_center_crop"):
        squeezed = edge >= _CONVNEXT_SQUEEZES
        return (edge, "squash", 1.0) if squeezed else (edge, "center", told.get("crop_pct") or _CONVNEXT_CROP)
    crops = told.get("do_center_crop")
    if crops is None and "crop_size" in told:
        raise WeightsError(f"{source}: does not say whether the center is cropped (do_center_crop)", _REMEDY)
    if not crops:
        if height is None or height != sides.get("width"):
            raise WeightsError(f"{source}: the network would see images that are no squares ({sides})", _REMEDY)
        return height, "squash", 1.0
    crop = _sides(told.get("crop_size"), _SQUARE, f"{source}: crop_size")
    side = crop.get("height")
    resized = edge or (height if height == sides.get("width") else None)
    if side is None or side != crop.get("width") or resized is None or side > resized:
        raise WeightsError(f"{source}: {crop} of {sides} is no square of the image", _REMEDY)
    # timm resizes to the whole number below side / share.
    share = side / resized if math.floor(side / (side / resized)) == resized else side / (resized + 0.5)
    return side, "squash" if edge is None else "center", share


def _sides(size: Any, meaning: str, source: str) -> dict[str, int]:  # noqa: ANN401 - any JSON
    """Return a size as an object, as newer files have it."""
    if isinstance(size, int) and not isinstance(size, bool):
        size = {"shortest_edge": size} if meaning == _EDGE else {"height": size, "width": size}
    sides: dict[str, int] = json_as(size, Mapping[Name, Side], source, _REMEDY, WeightsError)
    return sides


def _statistics(told: _Processor, kind: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of what lies between 0 and 1, whatever the processor scales by and shifts."""
    scale, shift = 1.0, 0.0
    if told.get("do_rescale") is not False:
        scale = 255 * (told.get("rescale_factor") or 1 / 255)
        shift = -1.0 if told.get("rescale_offset") else 0.0
    else:
        scale = 255.0
    means, deviations = told["image_mean"], told["image_std"]
    if told.get("do_normalize") is False:
        means, deviations = (0.0,) * len(means), (1.0,) * len(means)
    again = kind == "EfficientNet" and told.get("include_top") is not False
    seconds = told["image_std"] if again else (1.0,) * len(deviations)
    if not len(means) == len(deviations) == len(seconds):
        return means, deviations  # which is refused
    # (scale * x + shift - mean) / deviation / second = (x - (mean - shift) / scale) / (deviation * second / scale)
    return (
        tuple((mean - shift) / scale for mean in means),
        tuple(first * second / scale for first, second in zip(deviations, seconds, strict=True)),
    )
