"""Images to look at without labels, whose files need not be readable: a fault is told with its batch, and not fatal."""

from collections.abc import Sequence

import numpy as np
import torch

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.image_list import ListedFiles
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, Pixels
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.split_images import PixelTransform, Sample, SplitImages


class ReadableImages(SplitImages):
    """Images in their order, decoded as a split's for evaluation; those that cannot be read are black.

    Args:
        ids: Names of the images in errors.
        files: Their files.
        transform: From decoded pixels to those that the model sees.
        reading: Which bands of the files are read, and the range of their values.
    """

    def __init__(
        self,
        ids: Sequence[str],
        files: ImageFiles | ListedFiles,
        transform: PixelTransform,
        reading: Reading = RGB,
    ) -> None:
        self.files = files
        self.ids = list(ids)
        self.targets = torch.zeros(len(self.ids), 0)
        self.scenes = None
        self.transform = transform
        self.augment = None
        self.seed = 0
        self.reading = reading
        self._decoded = None
        self._black = np.zeros_like(transform(np.zeros((8, 8, reading.channels), np.uint8)))

    def sample(self, draw: Draw, out: Pixels | None = None) -> Sample:
        """Return one image, or a black one with its fault."""
        row = draw[1]
        try:
            return Sample(row, self.decode(row, *draw[2:]), 0, None)
        except ImageError as error:
            return Sample(row, self._black, 0, None, error)
