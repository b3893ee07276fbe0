"""A dataset as training takes it: labeled splits in one form, with images held out where it has no validation split."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, concatenate_datasets

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.columns.columns import UNKNOWN, Columns, Splits, holds_labels, labeled_rows, read_columns
from mlrsnet_hf.inputs.config import AUTO, MLRSNET, DataConfig
from mlrsnet_hf.inputs.named_dataset import (
    dataset_name,
    holds_mlrsnet,
    is_drawn,
    load_splits,
    pick_split,
    protocol_name,
    refuse_streaming,
    with_label_version,
    without_builder_warnings,
)
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.stream import load_stream
from mlrsnet_hf.inputs.tables.column_choice import settle_columns
from mlrsnet_hf.inputs.tables.image_files import open_first_images
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.inputs.value_range import settle_reading
from mlrsnet_hf.runtime.logs import get_logger

VALIDATION_NAMES = ("validation", "valid", "val", "dev")
"""Names under which a validation split is found if none is given."""
TEST_NAME = "test"
ROLES = ("train", "validation", "test")
"""What training takes splits for, and calls them."""
logger = get_logger(__name__)


def load_data(config: DataConfig) -> ImageData:
    """Load the train, validation and test splits of a dataset.

    Raises:
        MLRSNetError: The dataset cannot be loaded, or lacks a split or column, or holds what is no label.
    """
    if config.streaming is not None:
        return load_stream(config)
    config = with_label_version(config)
    with without_builder_warnings():
        loaded = load_splits(config)
    return data_from_splits(loaded, config)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledSplit:
    """One split of a dataset with its labels, and what is known of it."""

    name: str
    """As it was asked for; several are joined by +."""
    rows: Dataset
    """In the columns of `ImageData.splits`."""
    label_names: tuple[str, ...]
    scene_names: tuple[str, ...]
    source: Mapping[str, Any]
    """As in `ImageData`; `fingerprint` is that of this split."""
    role: str | None
    """What training takes it for: train, validation or test; None for a split of another name."""
    training_fingerprint: str | None
    """The fingerprint of all splits as training takes them, where it can take them."""


def load_split(config: DataConfig, split: str, reading: Reading = RGB) -> LabeledSplit:
    """Load one split with its labels, as training reads them.

    `train`, `validation` and `test` are what training takes for them: where images are held out for validation, `train`
    is without them. Any other name is that of a split of the dataset. Several are joined by `+`, such as
    `query+database`. Labels that are found in the rows are those that training finds, in all splits.

    Args:
        config: Names the dataset; its `bands` and `value_range` count for nothing.
        split: Name of the split.
        reading: How the image files are read.

    Raises:
        MLRSNetError: The dataset cannot be loaded, or has no such split, or no label in it.
    """
    config = with_label_version(dataclasses.replace(config, bands=None, value_range=None))
    with without_builder_warnings():
        refuse_streaming(config)
        names = split.split("+")
        # Of others, as for retrieval, the rows of one may be another's too.
        is_alone = config.dataset == MLRSNET and not set(names) <= set(ROLES)
        loaded = load_splits(config, split if is_alone else None)
    data = None
    if set(names) <= set(ROLES) and config.train_split in loaded:
        data = data_from_splits(loaded, config, reading)
        if missing := [name for name in names if name not in data.splits and name not in loaded]:
            there = [name for name in ("validation", "test", "train") if name in data.splits]
            there += [name for name in loaded if name not in (*ROLES, config.train_split)]
            raise UnknownNameError(
                f"{config.dataset!r} has no split {missing[0]!r}",
                f"Give --split with one that there is: {', '.join(there)}.",
            )
    if data is not None and set(names) <= set(data.splits):
        rows = concatenate_datasets([data.splits[name] for name in names])
        return LabeledSplit(
            name=split,
            rows=rows,
            label_names=data.label_names,
            scene_names=data.scene_names,
            source={**data.source, "fingerprint": _fingerprint({split: rows})},
            role=split if split in ROLES else None,
            training_fingerprint=data.source["fingerprint"] if split in ROLES else None,
        )
    plain = {name: rows.with_format(None) for name, rows in loaded.items()}
    chosen = {split: plain[split] if is_alone else pick_split(plain, split, repr(config.dataset)).with_format(None)}
    if not len(chosen[split]):
        raise ConfigurationError(f"split {split!r} of dataset {config.dataset!r} is empty", "Name another.")
    known = chosen | ({"train": plain[config.train_split]} if config.train_split in plain else {})
    config = settle_columns(known, config)
    columns = read_columns(known, config)
    rows = columns.splits[split]
    for note in columns.notes:
        logger.info("data: %s", note)
    open_first_images([rows], reading)
    return LabeledSplit(
        name=split,
        rows=rows,
        label_names=columns.label_names,
        scene_names=columns.scene_names,
        source=_source({split: rows}, columns, 0, None, config),
        role=None,
        training_fingerprint=None,
    )


def data_from_splits(loaded: Mapping[str, Dataset], config: DataConfig, reading: Reading | None = None) -> ImageData:
    """Return the splits of a loaded dataset in one form; see `load_data`.

    Args:
        loaded: Splits by their own names.
        config: Says what they are.
        reading: How a trained model has image files read; None for a training run, whose settings say it.
    """
    # Plain values, whatever format (torch, numpy, a transform) the splits were given.
    plain = {name: split.with_format(None) for name, split in loaded.items()}
    config = settle_columns({name: plain[name] for name in sorted(plain, key=config.train_split.__ne__)}, config)
    chosen = _choose_splits(plain, config)
    taken = (config.train_split, config.validation_split, config.test_split, *VALIDATION_NAMES, TEST_NAME)
    if unused := [name for name in loaded if name not in taken]:
        logger.info(
            "data: not used: %s; train_split, validation_split and test_split take any split", ", ".join(unused)
        )
    columns = read_columns(chosen, config)
    splits = dict(columns.splits)
    held_out = 0
    if "validation" not in splits:
        splits = _hold_out(splits, config)
        held_out = len(splits["validation"])
    repaired = None  # where the dataset does not tell
    if all("repaired" in split.column_names for split in chosen.values()):
        repaired = sum(sum(split["repaired"][:]) for split in chosen.values())
    _report(splits, columns, held_out, repaired, config)
    if reading is None:
        if "test" not in splits:
            logger.info(
                "data: no test split, so the scores will be those of the validation split, which chooses the epoch"
            )
        reading = settle_reading(splits, config)
    open_first_images(columns.splits.values(), reading)
    return ImageData(
        splits=splits,
        label_names=columns.label_names,
        scene_names=columns.scene_names,
        source=_source(splits, columns, held_out, repaired, config) | reading.to_json(),
        reading=reading,
    )


def _source(
    splits: Splits, columns: Columns, held_out: int, repaired: int | None, config: DataConfig
) -> dict[str, Any]:
    """Return what results and cards say of the data; see `ImageData.source`."""
    name, hub_id = dataset_name(config)
    return {
        "dataset": name,
        "hub_id": hub_id,
        "protocol": protocol_name(config),
        "split_seed": config.split_seed if held_out or config.dataset == MLRSNET else None,
        "held_out": held_out,
        "labels": config.label_version if config.dataset == MLRSNET else None,
        "repaired": repaired,
        "is_mlrsnet": not is_drawn(config) and holds_mlrsnet(splits, columns.label_names),
        "synthetic": is_drawn(config),
        "fingerprint": _fingerprint(splits),
        **_unknown_counts(splits),
    }


def _choose_splits(loaded: Mapping[str, Dataset], config: DataConfig) -> dict[str, Dataset]:
    """Return the splits as train, validation and test, without those of the last two that are not there."""
    names = {
        "train": config.train_split,
        "validation": _find_split(loaded, config.validation_split, VALIDATION_NAMES, config),
        "test": _find_split(loaded, config.test_split, (TEST_NAME,), config),
    }
    chosen: dict[str, Dataset] = {}
    for part, name in names.items():
        if name is None:
            continue
        if name not in loaded:
            raise UnknownNameError(
                f"dataset {config.dataset!r} has no split {name!r} ({part}_split)", name_alternatives(name, loaded)
            )
        if list(names.values()).count(name) > 1:
            raise ConfigurationError(
                f"split {name!r} is given twice, as {' and '.join(p for p in names if names[p] == name)}",
                "Scores of images that were trained on or chosen by say nothing: give each part its own, or none.",
            )
        if not len(loaded[name]):
            raise ConfigurationError(f"the {name} split holds no image", "Give images to each split.")
        chosen[part] = loaded[name]
    return chosen


def _find_split(
    loaded: Mapping[str, Dataset], asked: str | None, usual: tuple[str, ...], config: DataConfig
) -> str | None:
    """Return the name of a split that is asked for, or of one of a usual name that has labels; None is no split."""
    if asked != AUTO:
        return asked
    name = next((name for name in usual if name in loaded and name != config.train_split), None)
    if name is None or not len(loaded[name]) or holds_labels(loaded[name], config):
        return name
    logger.info("data: the %s split has no labels and is left out", name)
    return None


def held_out_rows(loaded: Mapping[str, Dataset], config: DataConfig) -> list[int] | None:
    """Return which rows of the train split training holds out for validation, in ascending order.

    None where it holds out none, as the dataset has a validation split.

    Args:
        loaded: Splits by their own names.
        config: Says what they are, where labels are too.

    Raises:
        MLRSNetError: The dataset cannot be trained on by these settings.
    """
    plain = {name: split.with_format(None) for name, split in loaded.items()}
    ordered = {name: plain[name] for name in sorted(plain, key=config.train_split.__ne__)}
    config = settle_columns(ordered, config, tell=False)  # whoever reads the rows tells it
    chosen = _choose_splits(plain, config)
    if "validation" in chosen:
        return None
    labeled = labeled_rows(chosen["train"], config)
    held_out = _draw_held_out(read_columns(chosen, config).splits["train"]["id"][:], config)
    return [labeled[row] for row in held_out]


def _hold_out(splits: Mapping[str, Dataset], config: DataConfig) -> dict[str, Dataset]:
    """Return the splits with a validation split drawn from train."""
    train = splits["train"]
    held_out = _draw_held_out(train["id"][:], config)
    learned = sorted(set(range(len(train))).difference(held_out))
    parts = {"train": train.select(learned), "validation": train.select(held_out)}
    return parts | {name: split for name, split in splits.items() if name != "train"}


def _draw_held_out(ids: Sequence[str], config: DataConfig) -> list[int]:
    """Return which of the training images are held out, by seed and ids alone."""
    count = max(1, round(config.validation_share * len(ids)))
    if count == len(ids):
        raise ConfigurationError(
            f"the {config.train_split} split holds {len(ids)} images, too few to hold some out for validation",
            "Add images, or name a validation_split.",
        )
    keys = [hashlib.sha256(f"{config.split_seed}/{name}".encode()).digest() for name in ids]
    return sorted(sorted(range(len(ids)), key=keys.__getitem__)[:count])


def _report(splits: Splits, columns: Columns, held_out: int, repaired: int | None, config: DataConfig) -> None:
    """Log what was found."""
    parts = [f"{len(split):,} {name}" for name, split in splits.items()]
    if columns.labels:
        where = f"column {config.labels_column!r}: " if config.labels_column is not None else ""
        parts.append(f"{len(columns.label_names)} labels ({where}{columns.labels.form})")
    if columns.scenes:
        parts.append(f"{len(columns.scene_names)} scenes")
    logger.info("data: %s; ids from %s", ", ".join(parts), columns.ids_from)
    for note in columns.notes:
        logger.info("data: %s", note)
    for name, count in _unknown_counts(splits).get("unknown_labels", {}).items():
        logger.info("data: %s: %s labels are not known, and left out of loss and scores", name, f"{count:,}")
    if held_out:
        logger.info(
            "data: no validation split, so %s training images are held out, drawn by split_seed", f"{held_out:,}"
        )
    if columns.ids_from.startswith("column"):
        ids = {name: set(split["id"][:]) for name, split in splits.items()}
        for other in ("validation", "test"):
            if shared := ids["train"] & ids.get(other, set()):
                logger.info(
                    "data: %s ids stand in train and in %s, such as %r: if they are the same images, the scores are "
                    "too good",
                    f"{len(shared):,}",
                    other,
                    min(shared),
                )
    if repaired and config.dataset == MLRSNET:
        logger.info(
            "%s of %s images carry repaired labels; --label-version as-published keeps the old ones.",
            f"{repaired:,}",
            f"{sum(len(split) for split in splits.values()):,}",
        )


def _unknown_counts(splits: Splits) -> dict[str, dict[str, int]]:
    """Return how many labels are not known by split, for results; nothing where all are."""
    if not any(UNKNOWN in split.column_names for split in splits.values()):
        return {}
    return {UNKNOWN: {name: sum(map(len, split[UNKNOWN][:])) for name, split in splits.items()}}


def _fingerprint(splits: Splits) -> str:
    """Return a hash of the ids, labels and scenes of every split, the same wherever the dataset lies."""
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(f"{name}\n".encode())
        known = [column for column in ("id", "labels", "scene", UNKNOWN) if column in split.column_names]
        columns = [split[column][:] for column in known]
        for row in zip(*columns, strict=True):
            digest.update(f"{row!r}\n".encode())
    return digest.hexdigest()[:32]
