"""Statistics of a data set as tables, beside the published counts."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mlrsnet_hf.dataset.statistics import CHANNELS, LabelStatistics, PixelStatistics
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS, SCENES

Row = Sequence[str | int | float]


def write_tables(folder: Path, labels: LabelStatistics, pixels: PixelStatistics | None) -> None:
    """Write every table as `<name>.csv`; without pixel statistics that one is left out."""
    _write(folder / "images_per_scene.csv", scene_table(labels))
    _write(folder / "images_per_label.csv", label_table(labels))
    _write(folder / "labels_per_image.csv", label_count_table(labels))
    _write(folder / "label_cooccurrence.csv", cooccurrence_table(labels))
    if pixels:
        _write(folder / "pixels.csv", pixel_table(pixels))


def _write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def scene_table(statistics: LabelStatistics) -> Iterator[Row]:
    """Fig. 1 of the paper: images of each scene, found and published."""
    yield "scene", "group", "images", "published", "difference"
    for scene, images in zip(SCENES, statistics.images_per_scene.tolist(), strict=True):
        yield scene.name, scene.group.name, images, scene.images, images - scene.images


def label_table(statistics: LabelStatistics) -> Iterator[Row]:
    """Table 1 of the paper: images of each label, found and published."""
    yield "label", "images", "published", "difference"
    for label, images in zip(LABELS, statistics.images_per_label.tolist(), strict=True):
        yield label.name, images, label.images, images - label.images


def label_count_table(statistics: LabelStatistics) -> Iterator[Row]:
    """How many images carry no label, one label, and so on up to the most that occurs."""
    yield "labels", "images"
    yield from enumerate(label_counts(statistics))


def label_counts(statistics: LabelStatistics) -> list[int]:
    """Return the images per number of labels, from none to the most that occurs."""
    counts: list[int] = statistics.images_per_label_count.tolist()
    while len(counts) > 1 and not counts[-1]:
        counts.pop()
    return counts


def cooccurrence_table(statistics: LabelStatistics) -> Iterator[Row]:
    """How many images carry both labels; on the diagonal, how many carry the label."""
    yield "label", *LABEL_NAMES
    for name, images in zip(LABEL_NAMES, statistics.cooccurrence.tolist(), strict=True):
        yield name, *images


def pixel_table(statistics: PixelStatistics) -> Iterator[Row]:
    """Mean and standard deviation of each channel, of values 0 to 1 as networks take them and of 0 to 255."""
    yield "channel", "mean", "std", "mean_255", "std_255"
    for channel, mean, std in zip(CHANNELS, statistics.mean.tolist(), statistics.std.tolist(), strict=True):
        yield channel, round(mean / 255, 6), round(std / 255, 6), round(mean, 4), round(std, 4)
