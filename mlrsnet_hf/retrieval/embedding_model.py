"""The network that makes embeddings, wherever it comes from."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from PIL import Image
from torch import nn

from mlrsnet_hf.errors import ConfigurationError, WeightsError
from mlrsnet_hf.retrieval.layers import embed_pixels, embedding_size
from mlrsnet_hf.retrieval.projection import Pca, normalise
from mlrsnet_hf.retrieval.settings import ModelChoice
from mlrsnet_hf.training.config import PRETRAINED, RANDOM
from mlrsnet_hf.training.models import build_model, require_known_model
from mlrsnet_hf.training.preprocessing import Preprocessing, model_preprocessing
from mlrsnet_hf.training.preprocessing import normalise as to_input
from mlrsnet_hf.training.saved_model import CONFIG_FILE, load_model
from mlrsnet_hf.training.timm_settings import timm_settings
from mlrsnet_hf.training.weights import read_weights

HUB_PREFIX = "hf-hub:"


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A network ready to embed."""

    name: str
    model: nn.Module
    """In evaluation mode."""
    preprocessing: Preprocessing
    label_names: tuple[str, ...]
    """What its first outputs stand for; empty for a network that was not trained on our labels."""

    @property
    def architecture(self) -> str:
        """Timm's name of the network."""
        return str(timm_settings(self.model)["architecture"])

    def size(self, layer: str) -> int:
        """Return the dimension of a layer's embedding."""
        return embedding_size(self.model, layer, self.preprocessing.image_size)

    def fingerprint(self) -> str:
        """Return a hash of the weights and of the preprocessing."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self.preprocessing), sort_keys=True).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def embed_images(self, images: Sequence[Image.Image], layer: str) -> npt.NDArray[np.float32]:
        """Return the (N, D) embeddings of upright RGB images, on the model's device."""
        transform = self.preprocessing.evaluation_transform()
        pixels = torch.from_numpy(np.stack([transform(image) for image in images]))
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            return embed_pixels(self.model, to_input(pixels.to(device), self.preprocessing), layer)[0].cpu().numpy()


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
        return _from_folder(run if (run / CONFIG_FILE).exists() else folder, folder.absolute().name)
    name = choice.model.removeprefix(HUB_PREFIX)
    if choice.model.startswith(HUB_PREFIX) or "/" in name:
        return _from_folder(_downloaded(name), name)
    require_known_model(name)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = build_model(name, _classes(name, choice.weights), choice.weights, choice.image_size)
    return EmbeddingModel(name, model.eval(), model_preprocessing(model, choice.image_size, choice.crop_pct), ())


def _from_folder(folder: Path, name: str) -> EmbeddingModel:
    saved = load_model(folder)
    labels = saved.task.label_names if saved.task.label_outputs else ()
    return EmbeddingModel(name, saved.model, saved.preprocessing, labels)


def _classes(name: str, weights: str) -> int:
    """Return the number of outputs that the weights have."""
    config: Any = timm.get_pretrained_cfg(name)
    if weights in (PRETRAINED, RANDOM):
        return int(config.num_classes)
    state = read_weights(Path(weights))
    heads = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    sizes = [len(state[f"{head}.weight"]) for head in heads if f"{head}.weight" in state]
    return sizes[0] if sizes else int(config.num_classes)


def _downloaded(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=[CONFIG_FILE, "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise WeightsError(
            f"{repository}: neither a folder nor a model of the Hub that can be fetched ({reason})",
            "Check the path or the id (owner/name).",
        ) from error


def finish(embeddings: npt.NDArray[np.float32], unit: bool, pca: Pca | None) -> npt.NDArray[np.float32]:
    """Return a layer's outputs as they are stored: of length 1 if asked, and projected.

    Raises:
        ConfigurationError: The components are of another size.
    """
    values = normalise(embeddings) if unit else embeddings
    if pca is None:
        return values
    if pca.components.shape[1] != values.shape[1]:
        raise ConfigurationError(
            f"principal components of {pca.components.shape[1]} dimensions for embeddings of {values.shape[1]}",
            "Use the model and layer that they were fitted on.",
        )
    projected = pca.project(values)
    return normalise(projected) if unit else projected
