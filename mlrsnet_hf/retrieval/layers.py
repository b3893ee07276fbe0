"""What an embedding is: the output of one of a network's last layers.

Qi et al. (2020), section 4.1, say only that "the features are extracted from the last layer of each network". Their
Tables 9 and Figs. 10 to 14 most likely mean `pre_logits`, the input of the classifier: section 3.1 replaces the final
layer by a dense one of 60 nodes and calls its output "the score for each class", while section 4 speaks of features
that are compared by Euclidean distance, which by the habit of the field are taken below the classifier; and Fig. 14
compares networks that were trained on 60 labels and on 46 scenes, whose outputs would not be of one size. For six of
the eight networks (Inception, ResNet, DenseNet) `pre_logits` equals `pooled`; for the two VGGs it is the 4,096 outputs
of the second dense layer, and `pooled` is 512 channels. `logits` is there to be compared.
"""

from typing import Any, cast

import torch
from torch import nn

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.settings import require_known_layer


def embed_pixels(
    model: nn.Module, pixels: torch.Tensor, layer: str, with_logits: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a layer's output, and the logits on request, from one pass through the network.

    Args:
        model: A timm model in evaluation mode.
        pixels: (N, 3, S, S), normalised.
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


def embedding_size(model: nn.Module, layer: str, image_size: int) -> int:
    """Return D, by passing one black image through the network.

    Raises:
        UnknownNameError: The layer is not known.
        ConfigurationError: The network does not have it.
    """
    require_known_layer(layer)
    parameter = next(model.parameters())
    with torch.inference_mode():
        pixels = torch.zeros(1, 3, image_size, image_size, device=parameter.device, dtype=parameter.dtype)
        return embed_pixels(model, pixels, layer)[0].shape[1]


def _pooled(features: torch.Tensor, network: Any) -> torch.Tensor:  # noqa: ANN401 - timm's models have no common type
    if not isinstance(features, torch.Tensor):  # such as the two scales of CoaT
        raise ConfigurationError(
            f"{type(network).__name__}: its features are no single tensor, and cannot be averaged",
            "Use --layer pre_logits.",
        )
    channels = network.num_features
    if features.ndim == 4 and features.shape[1] == channels:
        return features.mean((2, 3))
    if features.ndim == 4 and features.shape[3] == channels:  # such as Swin
        return features.mean((1, 2))
    if features.ndim == 3 and features.shape[2] == channels:
        return features[:, getattr(network, "num_prefix_tokens", 0) :].mean(1)
    raise ConfigurationError(
        f"{type(network).__name__}: features of shape {tuple(features.shape[1:])} cannot be averaged over positions",
        "Use --layer pre_logits.",
    )
