"""The network that makes embeddings, wherever it comes from, and the layer whose output an embedding is.

Qi et al. (2020), section 4.1, say only that "the features are extracted from the last layer of each network". Their
Table 9 and Figs. 10 to 14 most likely mean `pre_logits`, the input of the classifier: section 3.1 calls the output of
the final layer of 60 nodes "the score for each class", while section 4 speaks of features that are compared by
Euclidean distance, which by the habit of the field are taken below the classifier; and Fig. 14 compares networks that
were trained on 60 labels and on 46 scenes, whose outputs would not be of one size. For six of the eight networks
(Inception, ResNet, DenseNet) `pre_logits` equals `pooled`; for the two VGGs it is the 4,096 outputs of the second dense
layer, and `pooled` is 512 channels. `logits` is there to be compared.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import timm
import torch
from PIL import Image
from torch import nn

from mlrsnet_hf.configuration.settings import checked
from mlrsnet_hf.errors import ConfigurationError, ImageError, WeightsError, require_extra
from mlrsnet_hf.inputs.decoding import Pixels, decode_pixels
from mlrsnet_hf.inputs.reading import RGB, Reading, fixed_reading
from mlrsnet_hf.models import HUB, PRETRAINED, RANDOM
from mlrsnet_hf.models.build import build_model, require_known_model
from mlrsnet_hf.models.preprocessing import Preprocessing, model_preprocessing, normalize_pixels
from mlrsnet_hf.models.saved_model import CONFIG_FILE, load_model
from mlrsnet_hf.models.timm_config import timm_settings
from mlrsnet_hf.models.weights import read_weights
from mlrsnet_hf.retrieval.embeddings.config import Layer, ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import download_folder


@dataclass(frozen=True)
class EmbeddingModel:
    """A network ready to embed."""

    name: str
    model: nn.Module
    """The network, in evaluation mode."""
    preprocessing: Preprocessing
    label_names: tuple[str, ...]
    """What its first outputs stand for; empty for a network that was not trained on our labels."""

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

    def size(self, layer: str) -> int:
        """Return the dimension of a layer's embedding, by passing one black image through the network.

        Raises:
            UnknownNameError: The layer is not known.
            ConfigurationError: The network does not have it.
        """
        checked("layer", Layer, layer)
        side, parameter = self.preprocessing.image_size, next(self.model.parameters())
        with torch.inference_mode():
            pixels = torch.zeros(
                1, self.preprocessing.channels, side, side, device=parameter.device, dtype=parameter.dtype
            )
            return embed_pixels(self.model, pixels, layer)[0].shape[1]

    def embed_images(self, images: Sequence[Image.Image | Path], layer: str) -> npt.NDArray[np.float32]:
        """Return the (N, D) embeddings of upright RGB images, or of image files, on the model's device.

        Raises:
            ImageError: A file cannot be read, or has other bands or values than those that the model sees; or an RGB
                image is given to a model that sees others.
        """
        transform = self.preprocessing.evaluation_transform()
        pixels = torch.from_numpy(np.stack([transform(self._decoded(image)) for image in images]))
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            normalized = normalize_pixels(pixels.to(device), self.preprocessing)
            return embed_pixels(self.model, normalized, layer)[0].cpu().numpy()

    def _decoded(self, image: Image.Image | Path) -> Image.Image | Pixels:
        reading = self.preprocessing.reading
        if isinstance(image, Path):
            return decode_pixels({"bytes": None, "path": str(image)}, image.name, reading)
        if not reading.is_usual:
            raise ImageError(f"the model sees {reading.described()}, and an RGB image is given", "Give the image file.")
        return image


def load_embedding_model(choice: ModelChoice) -> EmbeddingModel:
    """Load a run's model, one of the Hub, or one of timm's.

    A timm model keeps the classifier of its weights. Random weights are drawn from seed 0, the same in every process.

    Raises:
        UnknownNameError: timm does not know the name.
        WeightsError: The weights cannot be had, or do not fit.
        ConfigurationError: The folder holds no model.
    """
    folder = Path(choice.model).expanduser()
    if folder.is_dir():
        run = folder / "model"
        return _from_folder(run if (run / CONFIG_FILE).exists() else folder, folder.absolute().name, choice)
    name = choice.model.removeprefix(HUB)
    if choice.model.startswith(HUB) or "/" in name:
        files = [CONFIG_FILE, "*.safetensors"]
        return _from_folder(download_folder(name, "model", files, error=WeightsError), name, choice)
    require_known_model(name)
    reading = _reading(choice, RGB)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        outputs = _classes(name, choice.weights)
        model = build_model(name, outputs, choice.weights, choice.image_size, channels=reading.channels)
    preprocessing = model_preprocessing(model, choice.image_size, choice.crop_pct, reading)
    return EmbeddingModel(name, model.eval(), preprocessing, ())


def _from_folder(folder: Path, name: str, choice: ModelChoice) -> EmbeddingModel:
    saved = load_model(folder)
    labels = saved.task.label_names if saved.task.label_outputs else ()
    return read_as(EmbeddingModel(name, saved.model, saved.preprocessing, labels), choice)


def read_as(model: EmbeddingModel, choice: ModelChoice) -> EmbeddingModel:
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
    return reading


def _classes(name: str, weights: str) -> int:
    """Return the number of outputs that the weights have."""
    config: Any = timm.get_pretrained_cfg(name)
    if weights in (PRETRAINED, RANDOM):
        return int(config.num_classes)
    heads = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    state = read_weights(Path(weights), [f"{head}.weight" for head in heads])
    sizes = [len(state[f"{head}.weight"]) for head in heads if f"{head}.weight" in state]
    return sizes[0] if sizes else int(config.num_classes)


def embed_pixels(
    model: nn.Module, pixels: torch.Tensor, layer: str, with_logits: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a layer's output, and the logits on request, from one pass through the network.

    Args:
        model: A timm model in evaluation mode.
        pixels: (N, 3, S, S), normalized.
        layer: `pooled`: timm's `forward_features`, averaged over all positions (a class token left out).
            `pre_logits`: what the classifier gets, by timm's `forward_head(pre_logits=True)`.
            `logits`: what the classifier gives.
        with_logits: Whether the logits are wanted beside another layer.

    Returns:
        (N, D) float32 and, if wanted, (N, outputs) float32 logits. D comes from the network itself: `num_features` is
        not always the size of what `forward_head` gives.

    Raises:
        ConfigurationError: The network's features have no positions to average over.
    """
    network = cast(Any, model)
    features = network.forward_features(pixels)
    logits = network.forward_head(features).float() if with_logits or layer == "logits" else None
    if layer == "pooled":
        return _pooled(features, network).float(), logits
    if layer == "pre_logits":
        return network.forward_head(features, pre_logits=True).flatten(1).float(), logits
    assert logits is not None
    return logits, logits


def _pooled(features: torch.Tensor, network: Any) -> torch.Tensor:  # noqa: ANN401 - timm's models have no common type
    name, channels = type(network).__name__, network.num_features
    if not isinstance(features, torch.Tensor):  # such as the two scales of CoaT
        raise ConfigurationError(
            f"{name}: its features are no single tensor, and cannot be averaged", "Use --layer pre_logits."
        )
    if features.ndim == 4 and features.shape[1] == channels:
        return features.mean((2, 3))
    if features.ndim == 4 and features.shape[3] == channels:  # such as Swin
        return features.mean((1, 2))
    if features.ndim == 3 and features.shape[2] == channels:
        return features[:, getattr(network, "num_prefix_tokens", 0) :].mean(1)
    raise ConfigurationError(
        f"{name}: features of shape {tuple(features.shape[1:])} cannot be averaged over positions",
        "Use --layer pre_logits.",
    )
