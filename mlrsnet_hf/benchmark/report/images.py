"""The images of a benchmark, where they are at hand: Fig. 1, Tables 1 and 2, a sample of each scene, Fig. 9."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from mlrsnet_hf.benchmark.folder import here
from mlrsnet_hf.benchmark.report.classification import percent_of, protocols_of
from mlrsnet_hf.benchmark.report.tables import Cell, Column, Table, count, number, suffixes, words
from mlrsnet_hf.benchmark.results import Group, Results, Row
from mlrsnet_hf.dataset.near_duplicates.groups import kept_groups
from mlrsnet_hf.dataset.source import downloads_folder, find_data
from mlrsnet_hf.dataset.splits.protocols import GROUPED_PROTOCOLS
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.evaluation.decisions import Decisions
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.load import load_split
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles, decode_rgb
from mlrsnet_hf.paper_tables import TABLE2_DATASETS
from mlrsnet_hf.prediction.predictions_file import read_predictions
from mlrsnet_hf.release import open_release
from mlrsnet_hf.reports.evaluation.figure import write_example_figure
from mlrsnet_hf.reports.evaluation.pictures import ExampleImage, PageThumbnails, example_images, typical_images
from mlrsnet_hf.reports.inspect.facts import Inspection, inspect_data
from mlrsnet_hf.reports.pages import jpeg
from mlrsnet_hf.taxonomy import LABELS, SCENES

FILES = 1000
"""Image files of each split whose size is looked at."""
_TYPICAL = 5
_SIDE = 192
"""Pixels of a sample's longer side at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An image that stands for its scene."""

    scene: str
    id: str
    labels: tuple[str, ...]
    address: str | None
    """Of its picture, a part of the page; None where it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is known of the images of one dataset."""

    name: str
    found: Inspection | None
    reason: str = ""
    """Why nothing is known, in a sentence."""
    samples: tuple[Sample, ...] = ()
    is_mlrsnet: bool = False
    synthetic: bool = False

    @property
    def has_known_license(self) -> bool:
        """Whether everybody may be shown its pictures: CC BY 4.0 for the release, and this package's own drawings."""
        return self.is_mlrsnet or self.synthetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotated:
    """Fig. 9: images with what the best network says of them."""

    row: Row
    variant: str
    examples: Sequence[ExampleImage]
    sorts: Mapping[str, int]
    """Number of images of each sort: `right`, `missed`, `wrong`."""
    pictures: Mapping[int, str | None] = field(default_factory=dict)


def data_config(row: Row, results: Results) -> DataConfig:
    """Return the images that a row's model learns from, as this machine has them.

    Raises:
        ConfigurationError: The benchmark names no such images.
    """
    found = results.benchmark.info().datasets.get(row.model.dataset)
    if found is None:
        raise ConfigurationError(f"benchmark.yaml names no images {row.model.dataset!r}", "Run its grid again.")
    return row.model.data_config(**here(found.places))


def near_duplicates(row: Row, results: Results) -> dict[str, int] | None:
    """Return the group of near-duplicates of each image by its id, where an earlier search has kept them."""
    try:
        config = data_config(row, results)
        place = find_data(config.data_dir, downloads_folder(None)) if config.dataset == MLRSNET else None
        if place is None:
            return None
        return kept_groups(datasets.config.HF_DATASETS_CACHE, open_release(place).images_fingerprint())
    except MLRSNetError:  # not at hand: they are not known
        return None


def look_at(results: Results) -> list[Copy]:
    """Return what is known of each dataset that networks learn from."""
    first: dict[str, Row] = {}
    for row in results.rows:
        own = row.protocol in GROUPED_PROTOCOLS  # which look for near-duplicates first
        if row.model.dataset not in first or (first[row.model.dataset].protocol in GROUPED_PROTOCOLS and not own):
            first[row.model.dataset] = row
    return [_look_at(name, row, results) for name, row in first.items()]


def _look_at(name: str, row: Row, results: Results) -> Copy:
    told = next(
        (one.evaluation.info.data for one in results.rows if one.evaluation and one.model.dataset == name), None
    )
    try:
        found = inspect_data(data_config(row, results), FILES)
    except MLRSNetError as error:
        return Copy(
            name=name,
            found=None,
            reason=f"The images are not at hand here: {error.found}.",
            is_mlrsnet=told is not None and told.is_mlrsnet,
            synthetic=told is not None and told.synthetic,
        )
    source = found.data.source
    return Copy(
        name=name,
        found=found,
        samples=_samples(found),
        is_mlrsnet=bool(source.get("is_mlrsnet")),
        synthetic=bool(source.get("synthetic")),
    )


def _samples(found: Inspection) -> tuple[Sample, ...]:
    """Return an image of each scene, the one whose id has the least SHA-256: nobody chose it."""
    scenes = found.data.scene_names
    best: dict[int, tuple[bytes, str, str, int]] = {}
    for split, rows in found.data.splits.items():
        if not scenes:
            break
        for place, (image, scene) in enumerate(zip(rows["id"][:], rows["scene"][:], strict=True)):
            lot = hashlib.sha256(image.encode()).digest()
            if scene not in best or lot < best[scene][0]:
                best[scene] = (lot, image, split, place)
    files = {split: ImageFiles(rows) for split, rows in found.data.splits.items()}
    made = []
    for scene in sorted(best):
        _, image, split, place = best[scene]
        labels = found.data.splits[split].select_columns("labels")[place]["labels"]
        made.append(
            Sample(
                scene=scenes[scene],
                id=image,
                labels=tuple(found.data.label_names[label] for label in labels),
                address=_picture(files[split], place, image),
            )
        )
    return tuple(made)


def _picture(files: ImageFiles, row: int, name: str) -> str | None:
    try:
        picture = decode_rgb(files[row], name)
    except MLRSNetError:  # moved or removed since: a page without its picture still tells of it
        return None
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return jpeg(buffer.getvalue())


def image_tables(copies: Sequence[Copy]) -> list[Table]:
    """Return Fig. 1 in numbers, Table 1 and Table 2; copies that are not at hand have a gap in Table 2."""
    endings = suffixes(copy.name for copy in copies)
    made = []
    for copy in copies:
        if copy.found is None:
            continue
        suffix = endings[copy.name]
        scenes = {name: sum(counts.values()) for name, counts in copy.found.scenes.items()}
        labels = {name: sum(counts.values()) for name, counts in copy.found.labels.items()}
        by_scene = {scene.name: scene.images for scene in SCENES}
        by_label = {label.name: label.images for label in LABELS}
        if scenes:
            made.append(
                _counts(f"fig1{suffix}", f"Fig. 1. Images of each scene, {copy.name}", "scene", scenes, by_scene, copy)
            )
        if labels:
            made.append(
                _counts(
                    f"table1{suffix}", f"Table 1. Images with each label, {copy.name}", "label", labels, by_label, copy
                )
            )
    return [*made, table2(copies)]


def _counts(
    name: str, title: str, what: str, counts: Mapping[str, int], published: Mapping[str, int], copy: Copy
) -> Table:
    columns = [Column(title=what, is_text=True), Column(title="images")]
    if copy.is_mlrsnet:
        columns += [Column(title="published"), Column(title="difference")]
    rows = []
    absent = sum(not images for images in counts.values())
    for one, images in counts.items():
        if not images and not copy.is_mlrsnet:
            continue
        row = [words(one.replace("_", " ")), count(images)]
        if copy.is_mlrsnet:
            printed = published.get(one)
            row += [
                count(printed, "paper"),
                number(None if printed is None else images - printed, 0, signed=True, look="paper"),
            ]
        rows.append(row)
    told = [f"{absent} of {len(counts)} {what}s have no image here."] if absent else []
    return Table(name=name, title=title, columns=columns, rows=rows, notes=told, folded=True)


def table2(copies: Sequence[Copy]) -> Table:
    """Table 2: these images beside the datasets that the paper names."""
    columns = [Column(title="dataset", is_text=True), Column(title="images"), Column(title="categories")]
    texts = ("images per category", "image sizes", "meters per pixel", "reference")
    columns += [Column(title=title, is_text=True) for title in texts]
    rows: list[list[Cell]] = [
        [words(one.name), count(one.images, "paper"), count(one.categories, "paper"), *map(words, one[3:])]
        for one in TABLE2_DATASETS
    ]
    rows += [_own_row(copy) for copy in copies]
    notes = [
        "The rows of the benchmark's own images are computed; the others are the paper's.",
        *(f"{copy.name}: {copy.reason}" for copy in copies if copy.reason),
    ]
    return Table(name="table2", title="Table 2. Datasets", columns=columns, rows=rows, notes=notes)


def _own_row(copy: Copy) -> list[Cell]:
    name = Cell(text=f"{copy.name} (here)", value=copy.name, look="best")
    if copy.found is None:
        return [name, *(Cell(text="not at hand", look="gap") for _ in range(5)), words("this benchmark")]
    found = copy.found
    scenes = [sum(counts.values()) for counts in found.scenes.values() if sum(counts.values())]
    sizes: Counter[str] = Counter()
    for (width, height, _, _), files in found.files.kinds.items():
        sizes[f"{width} x {height}"] += files
    least, most = (min(scenes), max(scenes)) if scenes else (0, 0)
    told = [
        size if len(sizes) == 1 else f"{size} ({files / sizes.total():.1%})" for size, files in sizes.most_common(3)
    ]
    others = len(sizes) - len(told)
    text = ", ".join(told) + (f" and {others} more" if others > 0 else "")
    if found.files.opened < found.files.files:
        text += f", of {found.files.opened:,} looked at"
    resolution = found.data.reading.to_json().get("resolution")
    return [
        name,
        count(sum(split.images for split in found.splits.values())),
        count(len(scenes) or None),
        words((f"{least:,}" if least == most else f"{least:,}-{most:,}") if scenes else "no scenes"),
        words(text or "not read"),
        words(f"{resolution:g}" if isinstance(resolution, int | float) else "not told by the files"),
        words("this benchmark"),
    ]


def best_group(groups: Sequence[Group], metric: str = "map") -> Group | None:
    """Return the group of the best network on the protocol that trains on most; None where nothing is measured."""
    there = [group for group in groups if group.values(metric)]
    if not there:
        return None
    most = max(percent_of(protocol) or 0 for protocol in protocols_of(there))
    chosen = [group for group in there if (percent_of(group.protocol) or 0) == most]
    return max(chosen, key=lambda group: sum(group.values(metric)) / len(group.values(metric)))


def annotate(group: Group, results: Results, figure: Path) -> Annotated | str:
    """Return Fig. 9 of a group's first repetition, and draw it as a file; or say why it cannot be drawn."""
    row = next((row for row in group.done if row.predictions is not None), None)
    if row is None or row.predictions is None:
        return "No predictions are kept."
    try:
        saved = read_predictions(row.predictions)
        config = data_config(row, results)
        images = _in_order(load_split(config, saved.info.data.split).rows, saved.ids)
    except MLRSNetError as error:
        return f"The images are not at hand here: {error.found}."
    decisions = Decisions.of_labels(saved.predictions, saved.task, saved.thresholds)
    chosen, sorts = typical_images(decisions, _TYPICAL)
    thumbnails = PageThumbnails(images, saved.ids)
    examples = example_images(thumbnails.fitting(chosen), saved.ids, decisions, None)
    write_example_figure(figure, saved.ids, images, decisions)
    return Annotated(row=row, variant=group.variant, examples=examples, sorts=sorts, pictures=thumbnails.addresses)


def _in_order(rows: datasets.Dataset, ids: Sequence[str]) -> datasets.Dataset:
    places = {image: row for row, image in enumerate(rows["id"][:])}
    missing = [image for image in ids if image not in places]
    if missing:
        raise ConfigurationError(
            f"there is no image {missing[0]!r}, of which there is a prediction", "Give the same copy."
        )
    return rows.select([places[image] for image in ids])
