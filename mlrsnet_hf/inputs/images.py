"""Images to embed or predict, with or without labels, as one split of a dataset."""

import contextlib
import dataclasses
import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.inputs.columns.columns import UNKNOWN, holds_labels, labeled_rows, read_columns
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.load import held_out_rows
from mlrsnet_hf.inputs.named_dataset import (
    OTHER_IMAGES,
    dataset_name,
    holds_mlrsnet,
    is_drawn,
    load_all_rows,
    load_rows,
    load_splits,
    with_label_version,
)
from mlrsnet_hf.inputs.tables.column_choice import find_image_column, settle_columns
from mlrsnet_hf.inputs.tables.image_files import IMAGE_SUFFIXES, images_below
from mlrsnet_hf.release.archives.base import stamp

_MLRSNET_PROTOCOL = "retrieval10"
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class ImageSplit:
    """One split, and what is known of it."""

    rows: datasets.Dataset
    """Columns `id`, `image`, and, where the data has them, `scene` and `labels`."""
    label_names: tuple[str, ...]
    scene_names: tuple[str, ...]
    source: Mapping[str, Any]
    """Name, protocol, split, seed and version of the labels; no path of this machine."""
    notes: tuple[str, ...] = ()
    """What was passed over, and why."""
    folder: Path | None = None
    """Below it lie the image files, as far as is known."""

    def image_names(self) -> list[str | None]:
        """Return what a table calls each image: its path below `folder`, else its whole path, or its URL.

        None for an image that is no file of its own, but lies in the dataset.
        """
        paths = self._image_paths()
        folder = None if self.folder is None else Path(os.path.abspath(self.folder))  # noqa: PTH100 - links stay
        return [None if path is None else _name_below(folder, path) for path in paths]

    def _image_paths(self) -> list[str | None]:
        flat = self.rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False)).flatten()
        paths: list[str | None] = flat.select_columns(["image.path"])["image.path"][:]
        return paths

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, labels, scenes, and the bytes of the image files, in order; nothing is decoded."""
        table = self.rows.with_format("arrow")
        digest = hashlib.blake2b(digest_size=32)
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            batch: pa.Table = table[start : start + _ROWS_AT_ONCE]
            known = batch.select([name for name in ("id", "scene", "labels") if name in batch.column_names])
            for values, image in zip(known.to_pylist(), batch["image"], strict=True):
                file = _content(image.as_py())  # one at a time: they may be large
                digest.update(repr((values, None if file is None else len(file))).encode())
                digest.update(file or b"")
        return digest.hexdigest()

    def stamps(self) -> list[str]:
        """Return for each row what changes when its image is written anew, without a look at the images.

        Of an image in a file, name, size and time of the file; of one in the dataset itself, those of the files that
        hold the dataset, or, where it is in memory, a hash of the image.
        """
        flat = self.rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False)).flatten()
        paths = self._image_paths()
        held = ", ".join(sorted({_file_stamp(file["filename"]) for file in self.rows.cache_files}))
        found = [f"{held} {_file_stamp(path.rpartition('::')[2]) if path else ''}" for path in paths]
        if not held:
            images = flat.select_columns(["image.bytes"])["image.bytes"]
            hashes = (hashlib.blake2b(image or b"", digest_size=16).hexdigest() for image in images)
            found = [f"{text} {digest}" for text, digest in zip(found, hashes, strict=True)]
        return found


def _file_stamp(path: str) -> str:
    """Return name, size and time of a file; its name alone where it is none of this machine."""
    with contextlib.suppress(OSError, ValueError):
        return stamp(path, Path(path).stat())
    return path


def _name_below(folder: Path | None, path: str) -> str | None:
    """Return what `ImageSplit.image_names` does of one path; what the dataset holds has a mere name there, or none."""
    if "://" in path:
        return path
    if not os.path.isabs(path) or not os.path.isfile(path):  # noqa: PTH113, PTH117 - any text may stand there
        return None
    whole = Path(os.path.abspath(path))  # noqa: PTH100
    return (whole.relative_to(folder) if folder is not None and whole.is_relative_to(folder) else whole).as_posix()


def _content(image: Mapping[str, Any] | None) -> bytes | None:
    """Return the bytes of an image file; None if it is not there, of which whatever reads it will tell."""
    content, path = (image["bytes"], image["path"]) if image is not None else (None, None)
    if content is None and path is not None:
        with contextlib.suppress(OSError):
            content = Path(path).read_bytes()
    return content


def load_images(images: ImageSet, with_labels: bool = True) -> ImageSplit:
    """Return the images.

    Args:
        images: Which.
        with_labels: Whether labels and scenes are read, where the data has them. Without, a dataset other than MLRSNet
            gives all its rows, those too that others leave out for want of a label.

    Raises:
        ConfigurationError: There are none, or no such dataset, split or column.
        MLRSNetError: The release cannot be used.
    """
    if images.images:
        return _from_folder(Path(images.images).expanduser())
    config = DataConfig(
        dataset=images.dataset,
        protocol=images.protocol or (_MLRSNET_PROTOCOL if images.dataset == MLRSNET else None),
        data_dir=images.data_dir,
        image_column=images.image_column,
        image_dir=images.image_dir,
        labels_column=images.labels_column or "labels",
        label_columns=images.label_columns,
        label_separator=images.label_separator,
        label_form=images.label_form,
        uncertain=images.uncertain,
        missing=images.missing,
        scene_column=images.scene_column,
        id_column=images.id_column,
        split_seed=images.split_seed,
        label_version=images.label_version,
    )
    config = with_label_version(config)
    split = images.split
    if split is None and images.dataset == MLRSNET and str(config.protocol).startswith("retrieval"):
        split = "query+database"
    if split is None:
        split, rows = load_all_rows(config)
        chosen = _Chosen(rows)
    else:
        chosen = _choose_rows(config, split)
        rows = chosen.rows
    if images.dataset == MLRSNET:  # its columns are known
        rows = chosen.of(rows)
        label_names, scene_names = tuple(rows.features["labels"].feature.names), tuple(rows.features["scene"].names)
        drawn = {"split": split, "seed": images.split_seed, "labels": config.label_version}
        rows = rows.select_columns(["id", "image", "scene", "labels"])
        name = MLRSNET
        if is_drawn(config) or not holds_mlrsnet({split: rows}, label_names):
            name = "synthetic scenes" if is_drawn(config) else OTHER_IMAGES
        source = {"name": name, "protocol": config.protocol, **drawn}
        return ImageSplit(rows, label_names, scene_names, source, chosen.notes, _image_folder(images))
    if not with_labels:
        config = dataclasses.replace(
            config,
            image_column=find_image_column(rows.features, config),
            labels_column=None,
            label_columns=(),
            label_separator=None,
            scene_column=None,
        )
        kept = [name for name in (config.image_column, config.id_column or "id") if name in rows.column_names]
        rows = rows.select_columns(kept) if config.image_column in kept else rows
    config = settle_columns({split: rows}, config)
    if with_labels and images.labels_column is None and not holds_labels(rows, config):
        # An image can be embedded without.
        config = dataclasses.replace(config, labels_column=None, label_columns=())
    columns = read_columns({split: rows}, config)
    path = Path(images.dataset).expanduser()
    is_here = path.exists() or glob.has_magic(images.dataset)
    source = {"name": dataset_name(config)[0] if is_here else images.dataset, "split": split}
    if images.protocol:
        source["protocol"] = images.protocol
    found, notes = columns.splits[split], (*columns.notes, *chosen.notes)
    found = chosen.of(found, labeled_rows(rows, config) if len(found) < len(rows) else None)
    if UNKNOWN in found.column_names:
        found = found.remove_columns(UNKNOWN)
        notes = (*notes, "labels that are not known are stored as not there")
    return ImageSplit(found, columns.label_names, columns.scene_names, source, notes, _image_folder(images))


def _image_folder(images: ImageSet) -> Path | None:
    """Return the folder that the image files of a dataset lie in, where the settings name one."""
    for named in (images.image_dir, images.data_dir, images.dataset):
        if named is not None:
            path = Path(named).expanduser()
            return path if path.is_dir() else path.parent if path.is_file() else None
    return None


@dataclass(frozen=True)
class _Chosen:
    """The rows of a split as they lie, and which of them are meant."""

    rows: datasets.Dataset
    meant: npt.NDArray[np.bool_] | None = None
    """(N,); None for all."""
    notes: tuple[str, ...] = ()

    def of(self, rows: datasets.Dataset, places: Sequence[int] | None = None) -> datasets.Dataset:
        """Return those that are meant of rows that were read; `places` are theirs among all, where some are missing."""
        if self.meant is None:
            return rows
        return rows.select(np.flatnonzero(self.meant if places is None else self.meant[list(places)]))


def _choose_rows(config: DataConfig, split: str) -> _Chosen:
    """Return the rows of a split: `train` is what training learns from, `validation` what it holds out, if it does.

    Raises:
        MLRSNetError: There is no such split.
    """
    names = split.split("+")
    if not {"train", "validation"} & set(names):
        return _Chosen(load_rows(config, split))
    loaded = load_splits(config)
    if config.dataset != MLRSNET and "train" in loaded and not holds_labels(loaded["train"], config):
        return _Chosen(load_rows(config, split))  # nothing learns labels of them, and holds none out
    try:
        held_out = held_out_rows(loaded, config)
    except MLRSNetError as error:
        note = (
            f"which images of the train split training would hold out for validation is not known ({error.found}), so "
            "all are taken"
        )
        return _Chosen(load_rows(config, split), notes=(note,) if "train" in loaded else ())
    if held_out is None:
        return _Chosen(load_rows(config, split))
    told = f"{len(held_out):,} of the {len(loaded['train']):,} images of the train split are held out for validation"
    if {"train", "validation"} <= set(names):
        return _Chosen(load_rows(config, "+".join(name for name in names if name != "validation")))
    is_held_out = np.zeros(len(loaded["train"]), bool)
    is_held_out[held_out] = True
    if "train" in names:
        note = f"{told} (split seed {config.split_seed}), and left out here as in training; --split train+validation"
        note += " takes all"
    else:
        note = f"{told} (split seed {config.split_seed}), and taken here; --split train+validation takes all"
    own = {"train": ~is_held_out, "validation": is_held_out}
    rows = load_rows(config, "+".join("train" if name == "validation" else name for name in names))
    meant = [own[name] if name in own else np.ones(len(loaded[name]), bool) for name in names]
    return _Chosen(rows, np.concatenate(meant), (note,))


def _from_folder(folder: Path) -> ImageSplit:
    if not folder.is_dir():
        raise ConfigurationError(f"images={folder}: no such folder", "Check the path.")
    names = sorted(path.relative_to(folder).as_posix() for path in images_below(folder))
    if not names:
        raise ConfigurationError(f"images={folder}: no image in it", f"Known suffixes: {', '.join(IMAGE_SUFFIXES)}.")
    for name in names:
        if any("\ud800" <= sign <= "\udfff" for sign in name):  # what is no text stands so in a path
            raise ConfigurationError(
                f"images={folder}: the name {name!r} is not UTF-8, and cannot be an id", "Rename it."
            )
    features = datasets.Features({"id": datasets.Value("string"), "image": datasets.Image()})
    rows = {"id": names, "image": [{"bytes": None, "path": str((folder / name).absolute())} for name in names]}
    found = datasets.Dataset.from_dict(rows, features=features)
    return ImageSplit(found, (), (), {"name": folder.absolute().name}, folder=folder)
