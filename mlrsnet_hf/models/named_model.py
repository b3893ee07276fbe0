"""A network ready to use, wherever it comes from: a run, a saved or exported model, the Hub, timm."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import timm
import torch
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, WeightsError, require_extra
from mlrsnet_hf.hub_download import download_folder
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading, fixed_reading
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models import FOLDER, HUB, OPEN_CLIP, PRETRAINED, RANDOM
from mlrsnet_hf.models.build import build_model, require_known_model
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.clip import CLIP_CONFIG_FILE, download_clip, load_clip, load_clip_folder
from mlrsnet_hf.models.onnx import ONNX_FILE, SUFFIX, load_onnx
from mlrsnet_hf.models.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.models.saved_config import CONFIG_FILE, WEIGHTS_FILE, read_model_info
from mlrsnet_hf.models.saved_model import MODEL_FILES, load_model
from mlrsnet_hf.models.timm_config import timm_settings
from mlrsnet_hf.models.transformers_model import OTHER_FILES, WEIGHTS, is_transformers, load_transformers
from mlrsnet_hf.models.weights import read_weights


@dataclass(frozen=True)
class NamedModel:
    """A network, and what is known of its outputs."""

    name: str
    """A timm name, a repository of the Hub, or the name of a folder; of an ONNX file that of its origin and `.onnx`."""
    model: nn.Module
    """(N, C, S, S) to (N, outputs) logits; in evaluation mode, on the CPU until it is moved."""
    preprocessing: Preprocessing
    task: Task | None = None
    """What the outputs stand for; None for a network that nobody trained on labels."""
    thresholds: Mapping[str, float] | None = None
    """Per label the score above which an image is said to have it; None is 0.5 for all."""

    @property
    def architecture(self) -> str:
        """The network's name in timm."""
        return str(timm_settings(self.model)["architecture"])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and of the preprocessing."""
        told = dataclasses.asdict(self.preprocessing) | {"reading": self.preprocessing.reading.to_json()}
        if not told["reading"]:
            del told["reading"]  # earlier versions knew none
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


AnyModel = TypeVar("AnyModel", bound=NamedModel)


def load_named_model(choice: ModelChoice) -> NamedModel:
    """Load a run's model, an exported one, one of the Hub, or one of timm's or open_clip's.

    A timm model keeps the classifier of its weights. Random weights are drawn from seed 0, the same in every process.

    Raises:
        UnknownNameError: timm, or open_clip, does not know the name.
        WeightsError: The weights cannot be had, or do not fit.
        ConfigurationError: The folder holds no model.
        MissingExtraError: onnxruntime or open_clip is needed, and not installed.
    """
    if choice.model.startswith(OPEN_CLIP):
        return _from_open_clip(choice.model.removeprefix(OPEN_CLIP), choice)
    folder = Path(choice.model).expanduser()
    if folder.suffix.lower() == SUFFIX and not folder.is_dir():
        return _from_onnx(folder, choice)
    if folder.is_dir():
        run = folder / "model"
        if (folder / ONNX_FILE).exists() and not (folder / CONFIG_FILE).exists():
            return _from_onnx(folder / ONNX_FILE, choice)
        saved = run if (run / CONFIG_FILE).exists() else folder
        if not any((saved / name).exists() for name in (CONFIG_FILE, CLIP_CONFIG_FILE)):
            raise WeightsError(
                f"{folder}: holds no model: neither {CONFIG_FILE} nor model/{CONFIG_FILE}",
                "Give the folder of a run or of a saved model; of a benchmark's training, its job's folder result.",
            )
        return _from_folder(saved, folder.absolute().name, choice)
    name = choice.model.removeprefix(HUB)
    if choice.model.startswith(HUB) or "/" in name:
        return _from_folder(_downloaded(name), name, choice)
    require_known_model(name)
    reading = _reading(choice, RGB)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        outputs = _classes(name, choice.weights)
        model = build_model(name, outputs, choice.weights, choice.image_size, channels=reading.channels)
    preprocessing = model_preprocessing(model, choice.image_size, choice.crop_pct, reading)
    return NamedModel(name, model.eval(), preprocessing)


def _downloaded(name: str) -> Path:
    """Return a folder of a repository's files; `name` may end in `@` and a revision."""
    repository, _, revision = name.partition("@")

    def fetch(*files: str) -> Path:
        return download_folder(repository, "model", list(files), revision or None, WeightsError)

    folder = fetch(CONFIG_FILE, CLIP_CONFIG_FILE)  # before weights that are of no use
    return download_clip(name) if _is_open_clip(folder) else fetch(*MODEL_FILES, *OTHER_FILES, WEIGHTS)


def _is_open_clip(folder: Path) -> bool:
    """Tell whether a folder holds a network of open_clip, and none of timm, which may have another config.json."""
    if not (folder / CLIP_CONFIG_FILE).is_file():
        return False
    return not (folder / CONFIG_FILE).is_file() or is_transformers(folder)


def _from_open_clip(name: str, choice: ModelChoice) -> NamedModel:
    require_extra("clip")
    if name.startswith(HUB) or (name and Path(name).expanduser().is_dir()):
        folder = download_clip(name.removeprefix(HUB)) if name.startswith(HUB) else Path(name).expanduser()
        network, preprocessing = load_clip_folder(folder, choice.image_size, choice.crop_pct)
        name = name if name.startswith(HUB) else folder.absolute().name
    else:
        network, preprocessing = load_clip(name, choice.weights, choice.image_size, choice.crop_pct)
    return read_as(NamedModel(f"{OPEN_CLIP}{name}", network, preprocessing), choice)


def _from_folder(folder: Path, name: str, choice: ModelChoice) -> NamedModel:
    if _is_open_clip(folder):
        require_extra("clip")
        return read_as(NamedModel(name, *load_clip_folder(folder, choice.image_size, choice.crop_pct)), choice)
    if is_transformers(folder):
        saved = load_transformers(folder)
    elif read_model_info(folder).get("label_names") is None:
        return _unlabeled(folder, name, choice)
    else:
        saved = load_model(folder)
    return read_as(NamedModel(name, saved.model, saved.preprocessing, saved.task, saved.thresholds), choice)


def _unlabeled(folder: Path, name: str, choice: ModelChoice) -> NamedModel:
    """Load a model of timm's that does not name its outputs, as most of those on the Hub; it embeds none the less."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise WeightsError(f"{name} has no {WEIGHTS_FILE}", "Give a model whose weights are in this form.")
    outputs = read_model_info(folder).get("num_classes", 0)
    model = build_model(f"{FOLDER}{folder}", outputs, channels=_reading(choice, RGB).channels)
    preprocessing = model_preprocessing(model, None, timm_settings(model)["crop_pct"], _reading(choice, RGB))
    return NamedModel(name, model.eval(), preprocessing)


def _from_onnx(file: Path, choice: ModelChoice) -> NamedModel:
    name, saved = load_onnx(file)
    told = (f"{name}{SUFFIX}", saved.model, saved.preprocessing, saved.task, saved.thresholds)
    return read_as(NamedModel(*told), choice)


def read_as(model: AnyModel, choice: ModelChoice) -> AnyModel:
    """Return the network for image files that are read by the bands and the range of a choice, where it names some.

    Raises:
        ConfigurationError: The bands are not as many as the network's channels.
        MissingExtraError: rasterio is not installed, and images are read by it.
    """
    preprocessing = model.preprocessing
    reading = _reading(choice, preprocessing.reading)
    if reading.channels != preprocessing.channels:
        raise ConfigurationError(
            f"{model.name} takes input of {preprocessing.channels} channels, and --bands names {reading.channels}",
            "Give as many, those that stand for the bands that it was trained on.",
        )
    return dataclasses.replace(model, preprocessing=dataclasses.replace(preprocessing, reading=reading))


def _reading(choice: ModelChoice, known: Reading) -> Reading:
    """Return how images are read: as the settings say, and where they do not, as the model was trained."""
    if choice.bands is None and choice.value_range is None:
        reading = known
    elif choice.bands is None:
        bands = None if known.bands is None else ",".join(map(str, known.bands))
        reading = dataclasses.replace(fixed_reading(bands, choice.value_range), band_count=known.band_count)
    else:
        given = fixed_reading(choice.bands, choice.value_range)
        fits = known.value_range is not None and len(known.value_range) in (1, given.channels)
        if fits and choice.value_range is None:
            given = dataclasses.replace(given, value_range=known.value_range, value_kind=known.value_kind)
        reading = given
    if not reading.is_usual:
        require_extra("geo")
    return dataclasses.replace(reading, resolution=known.resolution, image_side=known.image_side)


def _classes(name: str, weights: str) -> int:
    """Return the number of outputs that the weights have."""
    config: Any = timm.get_pretrained_cfg(name)
    if weights in (PRETRAINED, RANDOM):
        return int(config.num_classes)
    heads = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    state = read_weights(Path(weights), [f"{head}.weight" for head in heads])
    sizes = [len(state[f"{head}.weight"]) for head in heads if f"{head}.weight" in state]
    return sizes[0] if sizes else int(config.num_classes)
