"""The commonest silent failure: images of another scale than those that a model learned from.

What reaches the network is an image brought to the network's size, however many pixels the file had. So the ground that
an image covers is compared, not its pixels: 256 pixels of 0.6 m and 512 of 0.3 m look alike to it. Training images went
the same way, so that crop and input size are the same on both sides. Of models that do not tell how large their images
were, the pixels are compared.
"""

from collections.abc import Sequence

import numpy as np

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.image_list import ListedFiles
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, file_resolution, file_side
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.runtime.logs import get_logger

_FAR = 2
"""What is larger or smaller by more than this is warned of."""
_ASKED = 16
"""So many images, evenly spread, are asked for their ground resolution."""

logger = get_logger(__name__)


def relative_scale(reading: Reading, meters: float, side: int) -> float | None:
    """Return how many times coarser the network sees an image than those that it learned from.

    Args:
        reading: The model's, which knows resolution and size of its training images, if they were known.
        meters: Meters on the ground per pixel of the image.
        side: Pixels of its shorter side.

    Returns:
        None where the resolution of the training images is not known.

    Examples:
        Learned from 256 pixels of 0.3 m, 76.8 m on the ground; a window of 512 such pixels covers twice as much.

        >>> relative_scale(Reading(resolution=0.3, image_side=256), meters=0.3, side=512)
        2.0
        >>> relative_scale(Reading(resolution=0.3), meters=0.6, side=512)
        2.0
    """
    if reading.resolution is None:
        return None
    return meters / reading.resolution * (side / reading.image_side if reading.image_side is not None else 1)


def is_far(scale: float) -> bool:
    """Tell whether a model learned from images of a scale that is too far from these."""
    return not 1 / _FAR <= scale <= _FAR


def learned_text(reading: Reading) -> str:
    """Return what a model learned from, for warnings."""
    if reading.image_side is None or reading.resolution is None:
        return f"images of {reading.resolution:.4g} m"
    ground = reading.resolution * reading.image_side
    return f"images of {ground:.4g} m ({reading.image_side} pixels of {reading.resolution:.4g} m)"


def warn_of_other_scale(files: ImageFiles | ListedFiles, ids: Sequence[str], reading: Reading) -> None:
    """Warn where georeferenced images are of another scale than those that a model learned from.

    Args:
        files: The images; those in archives and behind addresses are not asked.
        ids: Their names.
        reading: The model's.
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
            meters, side = file_resolution(files[row], ids[row]), file_side(files[row], ids[row])
        except ImageError:  # it is told where images are decoded
            continue
        if meters is None:  # of JPEG files none is looked for
            return
        scale = relative_scale(reading, meters, side)
        if scale is not None and is_far(scale):
            logger.warning(
                "image %s has %.4g m per pixel, %s pixels a side, and the model learned from %s: it sees %.2g times "
                "%s; what it says of another scale is often wrong; gdalwarp -tr resamples images",
                ids[row],
                meters,
                f"{side:,}",
                learned_text(reading),
                max(scale, 1 / scale),
                "more ground at once" if scale > 1 else "less ground at once",
            )
            return
