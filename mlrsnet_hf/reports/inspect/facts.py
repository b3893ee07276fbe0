"""What training would read of a dataset: loaded by its own functions, then counted."""

import contextlib
import io
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
from datasets import ClassLabel, Dataset, Image, Value
from PIL import Image as PillowImage

from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.named_dataset import load_rows, refuse_streaming
from mlrsnet_hf.inputs.pixels.decoding import ImageFile, ImageFiles
from mlrsnet_hf.inputs.pixels.raster import has_rasterio, may_be_raster, raster_kind
from mlrsnet_hf.inputs.tables.column_choice import settle_columns
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.runtime.logs import PACKAGE, get_logger, progress_bar

_FIRST_IDS = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the dataset has."""

    name: str
    kind: str
    """Its type, in words."""
    read_as: str
    """`image`, `labels`, `label`, `scene` or `id`; empty if it is not used."""
    first: str
    """What its first row holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """What a split holds."""

    images: int
    without_labels: int
    fewest_labels: int
    """Labels of the image with the fewest, and of that with the most."""
    most_labels: int
    mean_labels: float
    first_ids: tuple[str, ...]


FileKind = tuple[int, int, str, str]
"""Width, height, Pillow's mode (or rasterio's bands and types) and format of an image file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What the headers of image files say; nothing is decoded."""

    opened: int
    files: int
    """How many there are."""
    kinds: Mapping[FileKind, int]
    """How many of each kind, the most first."""
    unread: Mapping[str, str]
    """Ids of those whose header Pillow cannot read, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What training would read of a dataset."""

    data: ImageData
    told: tuple[str, ...]
    """What training says when it has read the data."""
    columns: tuple[Column, ...]
    """Of the training split, as the dataset has it."""
    splits: Mapping[str, SplitFacts]
    labels: Mapping[str, Mapping[str, int]]
    """Images by label and split."""
    scenes: Mapping[str, Mapping[str, int]]
    """Images by scene and split."""
    files: FileFacts

    @property
    def never_trained(self) -> list[str]:
        """Labels, or without any scenes, of which the training split has no image."""
        return [name for name, counts in (self.labels or self.scenes).items() if not counts["train"]]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "source": dict(self.data.source),
            "told": list(self.told),
            "columns": [
                {"name": one.name, "type": one.kind, "read_as": one.read_as or None, "first": one.first}
                for one in self.columns
            ],
            "splits": {
                name: {
                    "images": split.images,
                    "without_labels": split.without_labels,
                    "labels_per_image": {
                        "fewest": split.fewest_labels,
                        "mean": split.mean_labels,
                        "most": split.most_labels,
                    },
                    "first_ids": list(split.first_ids),
                }
                for name, split in self.splits.items()
            },
            "labels": {name: dict(counts) for name, counts in self.labels.items()},
            "scenes": {name: dict(counts) for name, counts in self.scenes.items()},
            "files": {
                "opened": self.files.opened,
                "of": self.files.files,
                "kinds": [
                    {"width": width, "height": height, "mode": mode, "format": form, "images": images}
                    for (width, height, mode, form), images in self.files.kinds.items()
                ],
                "unread": dict(self.files.unread),
            },
        }


def inspect_data(config: DataConfig, files_per_split: int) -> Inspection:
    """Load a dataset as training does, and count what is in it.

    Args:
        config: Training's settings of its data.
        files_per_split: Image files of each split that are opened, evenly spread; all of a split that has fewer.

    Raises:
        MLRSNetError: Training would refuse the data.
    """
    refuse_streaming(config)
    with _listening() as told:
        data = load_data(config)
    labels: dict[str, list[list[int]]] = {name: split["labels"][:] for name, split in data.splits.items()}
    scenes = {name: [[one] for one in split["scene"][:]] for name, split in data.splits.items() if data.scene_names}
    return Inspection(
        data=data,
        told=tuple(told),
        columns=shown_columns(config, told, data),
        splits={name: _split_facts(split["id"][:], labels[name]) for name, split in data.splits.items()},
        labels=_images_of(data.label_names, labels),
        scenes=_images_of(data.scene_names, scenes),
        files=_file_facts(data.splits, files_per_split),
    )


def shown_columns(config: DataConfig, told: Sequence[str] = (), data: ImageData | None = None) -> tuple[Column, ...]:
    """Return the columns of the training split as the dataset has them.

    Args:
        config: Training's settings of its data.
        told: What training says of the data.
        data: What it reads; None where it refuses to.

    Raises:
        MLRSNetError: The dataset cannot be loaded, or has no such split.
    """
    with _listening():
        rows = load_rows(config, config.train_split)
        config = settle_columns({"train": rows}, config)
    roles: dict[str | None, str] = dict.fromkeys(config.label_columns, "label")
    roles |= {config.image_column: "image", config.labels_column: "labels", config.scene_column: "scene"}
    if data is not None and data.scene_names:
        roles[config.scene_column or "scene"] = "scene"
    for found in re.findall(r"ids from column '(.*)'", "\n".join(told)):
        roles[found] = "id"
    (first,) = rows.with_format("arrow")[:1].to_pylist()
    if isinstance(path := first.get(config.image_column), str):
        first[config.image_column] = "/".join(path.replace("\\", "/").split("/")[-2:])  # its folder fills the line
    return tuple(
        Column(name, _in_words(feature), roles.get(name, ""), _shown(_named(first[name], feature)))
        for name, feature in rows.features.items()
    )


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage().removeprefix("data: "))


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Yield a list that takes what the package tells meanwhile; the terminal is told warnings alone."""
    package, listener = get_logger(PACKAGE), _Listener()
    level, levels = package.level, {handler: handler.level for handler in package.handlers}
    package.setLevel(min(level, logging.INFO))
    for handler in levels:
        handler.setLevel(max(handler.level, logging.WARNING))
    package.addHandler(listener)
    try:
        yield listener.told
    finally:
        package.removeHandler(listener)
        package.setLevel(level)
        for handler, before in levels.items():
            handler.setLevel(before)


def _images_of(names: Sequence[str], ids: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, dict[str, int]]:
    """Return the number of images by name and split."""
    counts = {split: Counter(one for row in rows for one in row) for split, rows in ids.items()}
    return {name: {split: found[number] for split, found in counts.items()} for number, name in enumerate(names)}


def _split_facts(ids: Sequence[str], labels: Sequence[Sequence[int]]) -> SplitFacts:
    numbers = [len(row) for row in labels]
    return SplitFacts(
        images=len(ids),
        without_labels=numbers.count(0),
        fewest_labels=min(numbers),
        most_labels=max(numbers),
        mean_labels=sum(numbers) / len(numbers),
        first_ids=tuple(ids[:_FIRST_IDS]),
    )


def _file_facts(splits: Mapping[str, Dataset], most: int) -> FileFacts:
    kinds: Counter[FileKind] = Counter()
    unread: dict[str, str] = {}
    chosen = {name: range(0, len(split), -(-len(split) // most)) for name, split in splits.items()}
    opened = sum(map(len, chosen.values()))
    with progress_bar(description="opening image files", total=opened, unit="image", leave=False) as bar:
        for name, split in splits.items():
            files, ids = ImageFiles(split), split["id"][:]
            for row in chosen[name]:
                try:
                    kinds[_header(files[row])] += 1
                except Exception as error:  # whatever Pillow or a file system says of a damaged file
                    unread[ids[row]] = _why(error)
                bar.update()
    return FileFacts(
        opened=opened, files=sum(map(len, splits.values())), kinds=dict(kinds.most_common()), unread=unread
    )


def _header(image: ImageFile) -> FileKind:
    try:
        return _pillow_header(image)
    except PillowImage.UnidentifiedImageError:
        if not has_rasterio():
            raise
        with _opened(image) as file:
            data = file.read()
        if not may_be_raster(data):
            raise
        return raster_kind(data)


def _pillow_header(image: ImageFile) -> FileKind:
    with _opened(image) as file, PillowImage.open(file) as opened:
        # Of 16-bit colors Pillow's mode is that of 8-bit ones; how it unpacks them tells.
        deep = ";16" in str(opened.tile) and ";16" not in opened.mode
        return opened.width, opened.height, opened.mode + ";16" * deep, opened.format or ""


def _opened(image: ImageFile) -> contextlib.AbstractContextManager[BinaryIO]:
    content, path = image["bytes"], image["path"]
    if content is not None:
        return io.BytesIO(content)
    if path is None:
        raise FileNotFoundError
    if "://" in path:
        found: contextlib.AbstractContextManager[BinaryIO] = fsspec.open(path, "rb")
        return found
    return Path(path).open("rb")


def _why(error: Exception) -> str:
    """Return why a header cannot be read, without a path of this machine."""
    if isinstance(error, FileNotFoundError | KeyError):
        return "the file is not there"
    if isinstance(error, PillowImage.UnidentifiedImageError):
        return "in no format that Pillow knows"
    return getattr(error, "strerror", None) or "damaged"


def _in_words(feature: Any) -> str:  # noqa: ANN401 - any feature of datasets
    """Return what a column holds."""
    inner = _inner(feature)
    if isinstance(feature, Image):
        return "image"
    if isinstance(feature, ClassLabel):
        return f"one of {feature.num_classes} classes"
    if isinstance(inner, ClassLabel):
        return f"list of {inner.num_classes} classes"
    if isinstance(inner, Value):
        return f"list of {inner.dtype.removeprefix('large_')}"
    return feature.dtype.removeprefix("large_") if isinstance(feature, Value) else " ".join(str(feature).split())


def _inner(feature: Any) -> Any:  # noqa: ANN401 - any feature of datasets
    """Return what a list holds; None of what is no list."""
    return feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)


def _named(value: Any, feature: Any) -> Any:  # noqa: ANN401 - any value and feature
    """Return a value with the names of classes in the place of their numbers."""
    inner = _inner(feature)
    if isinstance(value, list) and isinstance(inner, ClassLabel):
        return [_named(one, inner) for one in value]
    known = isinstance(feature, ClassLabel) and isinstance(value, int) and 0 <= value < feature.num_classes
    return feature.int2str(value) if known else value


def _shown(value: Any) -> str:  # noqa: ANN401 - any value of a column
    """Return a value in few characters; of an image its file."""
    if isinstance(value, dict) and "bytes" in value:
        name = Path(value["path"]).name if value.get("path") else ""
        size = f"{len(value['bytes']):,} bytes" if value["bytes"] is not None else ""
        return ", ".join(part for part in (name, size) if part)
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = " ".join((", ".join(map(str, value)) if isinstance(value, list) else str(value)).split())
    return text if len(text) <= 40 else f"{text[:36]} ..."
