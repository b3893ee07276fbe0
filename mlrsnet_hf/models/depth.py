"""How deep a network is: what Table 4 of the paper calls its layers."""

import torch
from torch import nn

_WEIGHTED = ("ConvolutionBackward", "AddmmBackward", "MmBackward", "LinearBackward")
"""What autograd calls convolutions and fully connected layers; products without weights are batched ones to it."""


def weighted_layers(model: nn.Module, image_size: int, channels: int = 3) -> int:
    """Return the number of convolutions and fully connected layers on the longest way from the image to the outputs.

    So ResNet50 has 50 layers, whose shortcuts are beside that way, and DenseNet121 has 121.

    Args:
        model: Takes a batch of images; its weights and its mode are left as they are.
        image_size: Side in pixels of the square that it takes.
        channels: Bands of an image.
    """
    mode = model.training
    parameter = next(model.parameters())
    image = torch.zeros((1, channels, image_size, image_size), dtype=parameter.dtype, device=parameter.device)
    try:
        model.eval()  # batch normalization of a single image
        with torch.enable_grad():
            output = model(image.requires_grad_())
    finally:
        model.train(mode)
    return _longest(output.grad_fn)


def _longest(end: torch.autograd.graph.Node) -> int:
    """Return the most weighted layers on a way through a graph that ends there."""
    found: dict[torch.autograd.graph.Node, int] = {}
    waiting = [end]
    while waiting:  # without recursion: Python's stack is less deep than networks are
        node = waiting[-1]
        before = [one for one, _ in node.next_functions if one is not None]
        missing = [one for one in before if one not in found]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        found[node] = max((found[one] for one in before), default=0) + node.name().startswith(_WEIGHTED)
    return found[end]
