"""Where in a picture a network saw a label: Grad-CAM (Selvaraju et al., 2017), by the library grad-cam."""

import copy
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.pixels.pictures import Picture, picture_pixels
from mlrsnet_hf.models.preprocessing import normalize_pixels
from mlrsnet_hf.prediction.classifier import Classifier

_Reshape = Callable[[torch.Tensor], torch.Tensor]
_PICTURE_SHARE = 0.55
"""Share of the picture in the mixture of picture and map."""


class HeatMaps:
    """The heat maps of a classifier's labels, made one at a time; any number of threads may ask.

    It works on a copy of the network, for what it hooks into it would see what others pass through.

    Args:
        classifier: Its network must have feature maps; see `find_layer`.

    Raises:
        MissingExtraError: grad-cam is not installed.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._lock = threading.Lock()
        self._network = classifier.network
        self._place = find_layer(self._network, self._black())
        if self._place is not None:  # of the others not all can be copied, such as those of ONNX files
            self._network = copy.deepcopy(classifier.network).requires_grad_(True)
            self._place = find_layer(self._network, self._black())

    @property
    def available(self) -> bool:
        """Whether the network allows them."""
        return self._place is not None

    def overlay(self, picture: Picture, label: str, name: str = "the picture") -> Image.Image:
        """Return what the network sees of a picture, with the places that speak for a label bright.

        Args:
            picture: In any form that `picture_pixels` knows.
            label: Name of one of the classifier's labels.
            name: How an error calls the picture.

        Raises:
            UnknownNameError: The classifier has no such label.
            ImageError: The picture cannot be read.
        """
        pixels = self._seen(picture, name)
        heat = self._heat(pixels, label)
        colors = cv2.cvtColor(cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        base = pixels if pixels.shape[2] == 3 else pixels[:, :, :1].repeat(3, axis=2)
        mixed = _PICTURE_SHARE * base + (1 - _PICTURE_SHARE) * colors
        return Image.fromarray(mixed.round().astype(np.uint8))

    def heat(self, picture: Picture, label: str, name: str = "the picture") -> npt.NDArray[np.float32]:
        """Return the (S, S) float32 map of a label, from 0 to 1, of what the network sees; see `overlay`."""
        return self._heat(self._seen(picture, name), label)

    def _seen(self, picture: Picture, name: str) -> npt.NDArray[np.uint8]:
        preprocessing = self.classifier.preprocessing
        return preprocessing.evaluation_transform()(picture_pixels(picture, name, preprocessing.reading))

    def _heat(self, pixels: npt.NDArray[np.uint8], label: str) -> npt.NDArray[np.float32]:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        assert self._place is not None, "available says whether there are maps"
        names = self.classifier.label_names
        if label not in names:
            raise UnknownNameError(f"the model has no label {label!r}", name_alternatives(label, names))
        layer, reshape = self._place
        batch = torch.from_numpy(pixels)[None].to(self.classifier.device)
        normalized = normalize_pixels(batch, self.classifier.preprocessing)
        target = ClassifierOutputTarget(names.index(label))
        with self._lock, GradCAM(self._network, [layer], reshape) as maps:
            heat: npt.NDArray[np.float32] = maps(normalized, [target])[0].astype(np.float32)
        return heat

    def _black(self) -> torch.Tensor:
        preprocessing = self.classifier.preprocessing
        shape = (1, preprocessing.channels, preprocessing.image_size, preprocessing.image_size)
        return torch.zeros(shape, device=self.classifier.device)


def find_layer(network: nn.Module, pixels: torch.Tensor) -> tuple[nn.Module, _Reshape | None] | None:
    """Return the layer whose maps tell where a label was seen, and how they become (N, C, H, W).

    It is the last that gives a map of timm's `num_features` channels; of a vision transformer, whose last tokens need
    not all count, the first norm of the last block, as the library advises. None where a network has neither.

    Args:
        network: In evaluation mode.
        pixels: (1, C, S, S), any image.
    """
    channels = getattr(network, "num_features", None)
    if not isinstance(channels, int):
        return None
    given: list[tuple[nn.Module, list[int]]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            given.append((module, list(output.shape)))

    hooks = [module.register_forward_hook(note) for module in network.modules() if module is not network]
    try:
        with torch.inference_mode():
            network(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    for module, size in reversed(given):
        shape = list(size)
        if len(shape) == 4 and shape[1] == channels and min(shape[2:]) > 1:
            return module, None
        if len(shape) == 4 and shape[3] == channels and min(shape[1:3]) > 1:  # such as Swin
            return module, lambda maps: maps.permute(0, 3, 1, 2)
        if len(shape) == 3 and shape[2] == channels:
            return _norm_of_tokens(network, dict(given))
    return None


def _norm_of_tokens(network: Any, shapes: Mapping[nn.Module, list[int]]) -> tuple[nn.Module, _Reshape] | None:  # noqa: ANN401 - timm's models have no common type
    """Return the first norm of the last block of a transformer, and how its tokens become maps."""
    blocks: Any = getattr(network, "blocks", ())
    prefix = getattr(network, "num_prefix_tokens", 0)
    norm = getattr(blocks[-1], "norm1", None) if len(blocks) else None
    shape = [] if norm is None else shapes.get(norm, [])
    if norm is None or len(shape) != 3:
        return None
    tokens = shape[1] - prefix
    side = math.isqrt(tokens)
    if side < 2 or side * side != tokens:
        return None
    return norm, lambda values: values[:, prefix:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
