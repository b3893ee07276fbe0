"""The commonest silent failure: images of another ground resolution than those that a model learned from."""

from collections.abc import Sequence

import numpy as np

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.decoding import ImageFiles, file_resolution
from mlrsnet_hf.inputs.image_list import ListedFiles
from mlrsnet_hf.inputs.reading import Reading
from mlrsnet_hf.runtime.logs import get_logger

_FAR = 2
"""Pixels that are larger or smaller by more than this are warned of."""
_ASKED = 16
"""So many images, evenly spread, are asked for their ground resolution."""

logger = get_logger(__name__)


def is_other_scale(own: float, learned: float) -> bool:
    """Tell whether pixels of a size in meters are far from those that a model learned from."""
    return not 1 / _FAR <= own / learned <= _FAR


def warn_of_other_scale(files: ImageFiles | ListedFiles, ids: Sequence[str], reading: Reading) -> None:
    """Warn where georeferenced images are of another scale than those that a model learned from.

    Args:
        files: The images; those in archives and behind addresses are not asked.
        ids: Their names.
        reading: The model's, which knows the resolution of its training images, if it was known.
    """
    if reading.resolution is None:
        return
    there: Sequence[int] = range(len(ids))
    if isinstance(files, ListedFiles):
        listed = files.images
        there = [row for row in there if not listed[row].archive and "://" not in listed[row].place]
    chosen = np.unique(np.linspace(0, len(there) - 1, min(_ASKED, len(there))).astype(int)).tolist()
    for row in (there[place] for place in chosen):
        try:
            meters = file_resolution(files[row], ids[row])
        except ImageError:  # it is told where images are decoded
            continue
        if meters is None:  # of JPEG files none is looked for
            return
        if is_other_scale(meters, reading.resolution):
            logger.warning(
                "image %s has %.4g m per pixel, and the model learned from images of %.4g m: what it says of another "
                "scale is often wrong; gdalwarp -tr resamples images",
                ids[row],
                meters,
                reading.resolution,
            )
            return
