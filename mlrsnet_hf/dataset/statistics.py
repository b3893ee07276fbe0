"""What a data set is made of: counts of scenes and labels, and the distribution of its pixels.

The sums are of integers, so that the results depend neither on the order of the images nor on how they were shared
among processes.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from mlrsnet_hf.parallel import in_processes
from mlrsnet_hf.release import Entry, Record
from mlrsnet_hf.release.images import LEVELS, channel_histogram, decode_image
from mlrsnet_hf.taxonomy import LABELS, SCENES

CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class LabelStatistics:
    """How many images each scene, each label, each pair of labels and each number of labels has."""

    images_per_scene: np.ndarray
    """Shape (S,), int64, by scene id, of MLRSNet (46,); Fig. 1 of the paper; (1,) of data without scenes."""
    images_per_label: np.ndarray
    """Shape (L,), int64, by label id, of MLRSNet (60,); Table 1 of the paper."""
    images_per_label_count: np.ndarray
    """Shape (L + 1,), int64: how many images carry that many labels."""
    cooccurrence: np.ndarray
    """Shape (L, L), int64: how many images carry both labels; the diagonal is `images_per_label`."""

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.images_per_scene.sum())

    @property
    def labels_per_image(self) -> float:
        """Mean number of labels of an image; NaN without images."""
        return int(self.images_per_label.sum()) / self.images if self.images else math.nan


def label_counts(statistics: LabelStatistics) -> list[int]:
    """Return the images per number of labels, from none to the most that occurs."""
    counts: list[int] = statistics.images_per_label_count.tolist()
    while len(counts) > 1 and not counts[-1]:
        counts.pop()
    return counts


def label_statistics(entries: Iterable[Entry]) -> LabelStatistics:
    """Count scenes and labels."""
    combinations = Counter((entry.scene.id, entry.labels) for entry in entries)
    per_scene = np.zeros(len(SCENES), np.int64)
    per_count = np.zeros(len(LABELS) + 1, np.int64)
    together = np.zeros((len(LABELS), len(LABELS)), np.int64)
    for (scene_id, labels), images in combinations.items():
        per_scene[scene_id] += images
        per_count[len(labels)] += images
        together[np.ix_(labels, labels)] += images
    return LabelStatistics(per_scene, together.diagonal().copy(), per_count, together)


def count_labels(labels: np.ndarray, scenes: np.ndarray | None = None, scene_count: int = 0) -> LabelStatistics:
    """Count the scenes and labels of any data.

    Args:
        labels: (N, L) bool, whether an image has a label.
        scenes: (N,) scene ids; None where the data has none.
        scene_count: Number of scenes, if there are any.
    """
    images, names = labels.shape
    per_scene = np.array([images]) if scenes is None else np.bincount(scenes, minlength=scene_count)
    numbers = labels.astype(np.float64)  # exact up to 2**53 images
    together = (numbers.T @ numbers).round().astype(np.int64)
    per_count = np.bincount(labels.sum(axis=1, dtype=np.int64), minlength=names + 1)
    return LabelStatistics(per_scene.astype(np.int64), together.diagonal().copy(), per_count, together)


@dataclass(frozen=True)
class PixelStatistics:
    """The distribution of the pixels of all images in each channel, each pixel counted alike."""

    histogram: np.ndarray
    """Shape (3, 256), int64: how many pixels have each value in red, green and blue."""

    @cached_property
    def mean(self) -> np.ndarray:
        """Shape (3,), float64: the mean of the values, of 0 to 255; NaN without pixels."""
        return np.array([_moments(counts)[0] for counts in self.histogram])

    @cached_property
    def std(self) -> np.ndarray:
        """Shape (3,), float64: the standard deviation of the values (that of the population, not of a sample)."""
        return np.array([_moments(counts)[1] for counts in self.histogram])


def _moments(counts: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of values 0 to 255, given how often each occurs."""
    pairs = [(value, int(count)) for value, count in enumerate(counts)]
    pixels = sum(count for _, count in pairs)
    if not pixels:
        return math.nan, math.nan
    total = sum(value * count for value, count in pairs)
    squares = sum(value * value * count for value, count in pairs)
    return total / pixels, math.sqrt((pixels * squares - total * total) / (pixels * pixels))


def pixel_statistics(images: Iterable[Image.Image]) -> PixelStatistics:
    """Count the pixel values of images, whatever their sizes; those of other modes are converted to RGB."""
    return PixelStatistics(sum((channel_histogram(image) for image in images), _no_pixels()))


def pixel_statistics_of_records(records: Iterable[Record], processes: int = 1) -> PixelStatistics:
    """Decode records and count their pixel values; the result is the same for any number of processes."""
    return PixelStatistics(sum(in_processes(_record_histogram, records, processes), _no_pixels()))


def _record_histogram(record: Record) -> np.ndarray:
    return channel_histogram(decode_image(record.image, record.file_name))


def _no_pixels() -> np.ndarray:
    return np.zeros((len(CHANNELS), LEVELS), np.int64)
