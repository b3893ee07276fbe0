"""Statistics of a source: read, count, write, and say what came out."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from mlrsnet_hf.dataset.statistics import (
    CHANNELS,
    LabelStatistics,
    PixelStatistics,
    label_statistics,
    pixel_statistics_of_records,
)
from mlrsnet_hf.files import whole_folder
from mlrsnet_hf.release import LabelVersion, Release, holds_images, open_labels, open_release
from mlrsnet_hf.taxonomy import LABEL_NAMES, LABELS, SCENES


def write_statistics(
    source: str | Path, target: Path, label_version: LabelVersion = "verified", processes: int = 1
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
        counted = label_statistics(release.entries if release else open_labels(source, label_version))
        pixels = _pixels(release, processes) if release else None
        write_tables(folder, counted, pixels)
        write_figures(folder, counted, pixels)
        written = sorted(path.name for path in folder.iterdir())
    return "\n".join([*_summary(counted, pixels), f"written to {target}: {', '.join(written)}"])


def _pixels(release: Release, processes: int) -> PixelStatistics:
    records = tqdm(release.records(), "decoding images", len(release.entries), unit="image")
    return pixel_statistics_of_records(records, processes)


def _summary(labels: LabelStatistics, pixels: PixelStatistics | None) -> list[str]:
    scenes = int((labels.images_per_scene > 0).sum())
    lines = [f"{labels.images:,} images of {scenes} scenes, {labels.labels_per_image:.2f} labels per image"]
    published = [(item.name, item.images) for item in SCENES], [(item.name, item.images) for item in LABELS]
    found = labels.images_per_scene.tolist(), labels.images_per_label.tolist()
    for title, names, counts in zip(("scenes (Fig. 1)", "labels (Table 1)"), published, found, strict=True):
        lines.append(f"{title}: {_compared(names, counts)}")
    if pixels:
        moments = zip(CHANNELS, pixels.mean / 255, pixels.std / 255, strict=True)
        lines += [f"{channel}: mean {mean:.4f}, standard deviation {std:.4f}" for channel, mean, std in moments]
    else:
        lines.append("no mean and standard deviation of the channels, as there are label files alone")
    return lines


def _compared(published: list[tuple[str, int]], found: list[int]) -> str:
    """Say how many counts are as published, and name the others while they are few."""
    others = [
        f"{name} {count:,} (published {number:,})"
        for (name, number), count in zip(published, found, strict=True)
        if count != number
    ]
    same = f"{len(found) - len(others)} of {len(found)} as published"
    return f"{same}; {', '.join(others)}" if 0 < len(others) <= 5 else same


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
