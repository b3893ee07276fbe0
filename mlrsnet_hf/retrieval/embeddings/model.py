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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mlrsnet_hf.configuration.settings import checked
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.pixels.pictures import Picture, picture_pixels
from mlrsnet_hf.models import OPEN_CLIP
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.clip import ClipNetwork
from mlrsnet_hf.models.named_model import NamedModel, load_named_model
from mlrsnet_hf.models.preprocessing import normalize_pixels
from mlrsnet_hf.retrieval.embeddings.config import Layer
from mlrsnet_hf.retrieval.embeddings.pca import unit_length


@dataclass(frozen=True)
class EmbeddingModel(NamedModel):
    """A network ready to embed."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """What its first outputs stand for; empty for a network that was not trained on labels."""
        return self.task.label_names if self.task is not None and self.task.label_outputs else ()

    @property
    def knows_text(self) -> bool:
        """Whether words can be embedded among the images."""
        return isinstance(self.model, ClipNetwork)

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

    def embed_images(self, images: Sequence[Picture], layer: str) -> npt.NDArray[np.float32]:
        """Return the (N, D) embeddings of pictures in any form that `picture_pixels` knows, on the model's device.

        Raises:
            ImageError: A file cannot be read, or has other bands or values than those that the model sees; or an RGB
                image is given to a model that sees others.
        """
        transform, reading = self.preprocessing.evaluation_transform(), self.preprocessing.reading
        decoded = [
            picture_pixels(image, image.name if isinstance(image, Path) else "a picture", reading) for image in images
        ]
        pixels = torch.from_numpy(np.stack([transform(one) for one in decoded]))
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            normalized = normalize_pixels(pixels.to(device), self.preprocessing)
            return embed_pixels(self.model, normalized, layer)[0].cpu().numpy()

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the (Q, D) embeddings of texts, of length 1, among those of images of length 1.

        Raises:
            ConfigurationError: The network knows no text, or a text is empty.
            WeightsError: Its tokenizer cannot be had.
        """
        if not isinstance(self.model, ClipNetwork):
            raise ConfigurationError(
                f"{self.name} knows images alone, and no text", f"Give a network of open_clip, {OPEN_CLIP}NAME/WEIGHTS."
            )
        for text in texts:
            if not text.strip():
                raise ConfigurationError(f"the text {text!r} says nothing", "Say what an image shows.")
        return unit_length(self.model.embed_texts(texts).cpu().numpy())


def load_embedding_model(choice: ModelChoice) -> EmbeddingModel:
    """Load a network that embeds; see `load_named_model`, and there what else is raised.

    Raises:
        ConfigurationError: It gives logits alone, as those of an ONNX file and of transformers.
    """
    named = load_named_model(choice)
    if not hasattr(named.model, "forward_features"):
        raise ConfigurationError(
            f"{choice.model} gives logits alone, and no embeddings",
            "Give a run, a saved model, or a network of timm or open_clip.",
        )
    return EmbeddingModel(**{field.name: getattr(named, field.name) for field in dataclasses.fields(named)})


def embed_pixels(
    model: nn.Module, pixels: torch.Tensor, layer: str, with_logits: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a layer's output, and the logits on request, from one pass through the network.

    Args:
        model: A timm model, or a `ClipNetwork`, in evaluation mode.
        pixels: (N, 3, S, S), normalized.
        layer: `pooled`: timm's `forward_features`, averaged over all positions (a class token left out).
            `pre_logits`: what the classifier gets, by timm's `forward_head(pre_logits=True)`; of a network of open_clip
            the embedding of its image tower.
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
