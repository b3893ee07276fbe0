"""`mlrsnet stats`: read a source, count, write tables and figures, and say what came out."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mlrsnet_hf.dataset.statistics import (
    CHANNELS,
    LabelStatistics,
    PixelStatistics,
    label_counts,
    label_statistics,
    pixel_statistics_of_records,
)
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.release import LabelVersion, Release, holds_images, open_labels, open_release
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS, SCENES, Label, Scene

Row = Sequence[str | int | float]


def write_statistics(
    source: str | Path, target: Path, label_version: LabelVersion | None = None, processes: int = 1
) -> str:
    """Write the statistics of a copy of the release, or of label files alone, as tables and figures.

    Needs matplotlib, which the extra `plots` brings.

    Args:
        source: What `open_release` or `open_labels` takes.
        target: The folder to create.
        label_version: As for `open_release`.
        processes: How many processes decode images; the result is the same for any number.

    Returns:
        What came out, in a few lines.

    Raises:
        ReleaseError: The source cannot be used, or an image cannot be read.
        ConfigurationError: The folder exists or cannot be written.
    """
    from mlrsnet_hf.reports.statistics.figures import write_figures

    with whole_folder(target) as folder:
        release = open_release(source, label_version) if holds_images(source) else None
        labels = label_statistics(release.entries if release else open_labels(source, label_version))
        pixels = _pixels(release, processes) if release else None
        for name, rows in tables(labels, pixels).items():
            with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        write_figures(folder, labels, pixels)
        written = sorted(path.name for path in folder.iterdir())
    return "\n".join([*_summary(labels, pixels), f"written to {target}: {', '.join(written)}"])


def _pixels(release: Release, processes: int) -> PixelStatistics:
    records = progress_bar(release.records(), "decoding images", total=len(release.entries), unit="image")
    return pixel_statistics_of_records(records, processes)


def tables(labels: LabelStatistics, pixels: PixelStatistics | None) -> dict[str, Iterator[Row]]:
    """Return every table by name, its header first; without pixel statistics that one is left out."""
    made = {
        "images_per_scene": _scene_table(labels),
        "images_per_label": _label_table(labels),
        "labels_per_image": _label_count_table(labels),
        "label_cooccurrence": _cooccurrence_table(labels),
    }
    return made | ({"pixels": _pixel_table(pixels)} if pixels else {})


def _scene_table(statistics: LabelStatistics) -> Iterator[Row]:
    """Fig. 1 of the paper: images of each scene, found and published."""
    yield "scene", "group", "images", "published", "difference"
    for scene, images in zip(SCENES, statistics.images_per_scene.tolist(), strict=True):
        yield scene.name, scene.group.name, images, scene.images, images - scene.images


def _label_table(statistics: LabelStatistics) -> Iterator[Row]:
    """Table 1 of the paper: images of each label, found and published."""
    yield "label", "images", "published", "difference"
    for label, images in zip(LABELS, statistics.images_per_label.tolist(), strict=True):
        yield label.name, images, label.images, images - label.images


def _label_count_table(statistics: LabelStatistics) -> Iterator[Row]:
    """How many images carry no label, one label, and so on up to the most that occurs."""
    yield "labels", "images"
    yield from enumerate(label_counts(statistics))


def _cooccurrence_table(statistics: LabelStatistics) -> Iterator[Row]:
    """How many images carry both labels; on the diagonal, how many carry the label."""
    yield "label", *LABEL_NAMES
    for name, images in zip(LABEL_NAMES, statistics.cooccurrence.tolist(), strict=True):
        yield name, *images


def _pixel_table(statistics: PixelStatistics) -> Iterator[Row]:
    """Mean and standard deviation of each channel, of values 0 to 1 as networks take them and of 0 to 255."""
    yield "channel", "mean", "std", "mean_255", "std_255"
    for channel, mean, std in zip(CHANNELS, statistics.mean.tolist(), statistics.std.tolist(), strict=True):
        yield channel, round(mean / 255, 6), round(std / 255, 6), round(mean, 4), round(std, 4)


def _summary(labels: LabelStatistics, pixels: PixelStatistics | None) -> list[str]:
    scenes = int((labels.images_per_scene > 0).sum())
    lines = [
        f"{labels.images:,} images of {scenes} scenes, {labels.labels_per_image:.2f} labels per image",
        f"scenes (Fig. 1): {_compared(SCENES, labels.images_per_scene.tolist())}",
        f"labels (Table 1): {_compared(LABELS, labels.images_per_label.tolist())}",
    ]
    if not pixels:
        return [*lines, "no mean and standard deviation of the channels, as there are label files alone"]
    moments = zip(CHANNELS, pixels.mean / 255, pixels.std / 255, strict=True)
    return lines + [f"{channel}: mean {mean:.4f}, standard deviation {std:.4f}" for channel, mean, std in moments]


def _compared(published: Iterable[Scene | Label], found: Sequence[int]) -> str:
    """Say how many counts are as published, and name the others while they are few."""
    others = [
        f"{one.name} {count:,} (published {one.images:,})"
        for one, count in zip(published, found, strict=True)
        if count != one.images
    ]
    same = f"{len(found) - len(others)} of {len(found)} as published"
    return f"{same}; {', '.join(others)}" if 0 < len(others) <= 5 else same
