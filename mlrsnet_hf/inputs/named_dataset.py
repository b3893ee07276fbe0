"""The dataset that settings name: its splits as they are, and what it is called."""

import contextlib
import dataclasses
import glob
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Value, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError

from mlrsnet_hf.dataset import DEFAULT_PROTOCOL
from mlrsnet_hf.dataset.download import DATA_DIR_VARIABLE
from mlrsnet_hf.dataset.registration import BUILDER_MODULE
from mlrsnet_hf.dataset.source import downloads_folder, find_data
from mlrsnet_hf.dataset.splits.protocols import CUSTOM
from mlrsnet_hf.dataset.splits.split_files import match_listed
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.columns.columns import ROW_NUMBERS, Splits, labeled_rows, read_columns
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.tables.column_choice import settle_columns
from mlrsnet_hf.inputs.tables.tables import find_files, read_files
from mlrsnet_hf.release import LabelVersion, find_label_version, holds_release
from mlrsnet_hf.release.recognition import recognize
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.synthetic.release import CONTACT_SHEET
from mlrsnet_hf.taxonomy import LABEL_NAMES

logger = get_logger(__name__)

OTHER_IMAGES = "images in the layout of MLRSNet"
"""What cards call images that `load_dataset("mlrsnet")` loads though they are others."""


def load_splits(config: DataConfig, split: str | None = None) -> Mapping[str, Dataset]:
    """Return the splits by name; only the one that is asked for, by the name that is asked for."""
    refuse_streaming(config)
    if config.split_file is not None and config.dataset != MLRSNET:
        listed = _listed_splits(config)
        return listed if split is None else {split: pick_split(listed, split, repr(config.dataset))}
    name, path = config.dataset, Path(config.dataset).expanduser()
    protocol, data_dir = protocol_name(config), config.data_dir
    if name != MLRSNET and holds_release(path):
        raise ConfigurationError(
            f"dataset={name!r} is a copy of the MLRSNet release, or lies as one",
            f"Give it as --data-dir {name} (data_dir), and leave dataset out.",
        )
    try:
        if name == MLRSNET:
            drawn: dict[str, Any] = {"seed": config.split_seed, "label_version": config.label_version}
            if config.split_file is not None:
                drawn["split_file"] = config.split_file
            found: Any = load_dataset(name, protocol, data_dir=data_dir, split=split, **drawn)
        elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            found = _load_saved(path, split)
        elif (files := find_files(config)) is not None:
            splits = read_files(files, config)
            found = splits if split is None else pick_split(splits, split, name)
        else:
            found = load_dataset(str(path) if path.exists() else name, protocol, data_dir=data_dir, split=split)
    except MLRSNetError:
        raise
    # `datasets` raises these for what it does not find, cannot reach or cannot read.
    except (DatasetsError, ValueError, OSError, RuntimeError, NotImplementedError) as error:
        part = "" if split is None else f"split {split!r} of "
        raise ConfigurationError(
            f"{part}dataset {name!r} cannot be loaded: {' '.join(str(error).split()).rstrip('.')}",
            "Give 'mlrsnet', a dataset on the Hub, a folder, or a table; protocol names its configuration"
            f"{'' if split is None else ', which has splits of its own'}.",
        ) from error
    return found if split is None else {split: found}


def _listed_splits(config: DataConfig) -> dict[str, Dataset]:
    """Return the splits that files list, of all rows of a dataset that have labels; each row has its id."""
    assert config.split_file is not None, "`load_splits` asks"
    names, rows = load_all_rows(dataclasses.replace(config, split_file=None))
    settled = settle_columns({names: rows}, config, tell=False)  # whoever reads the splits tells it
    read = read_columns({names: rows}, settled)
    ids: list[str] = read.splits[names]["id"][:]
    labeled = rows.select(labeled_rows(rows, settled))
    if read.ids_from == ROW_NUMBERS:  # of which each split would begin anew
        kept = [column for column in labeled.column_names if column != "id"]
        labeled = labeled.select_columns(kept).add_column("id", ids, feature=Value("string"))
    places = match_listed(config.split_file, ids)
    if left_out := len(ids) - sum(map(len, places.values())):
        logger.info("data: %s: %s images are in no split", config.split_file, f"{left_out:,}")
    return {split: labeled.select(found) for split, found in places.items()}


def _load_saved(path: Path, split: str | None) -> Dataset | Mapping[str, Dataset]:
    """Return what `save_to_disk` wrote."""
    saved = load_from_disk(str(path))
    splits = saved if isinstance(saved, DatasetDict) else {"train": saved}
    return splits if split is None else pick_split(splits, split, str(path))


def pick_split(splits: Mapping[str, Dataset], split: str, dataset: str) -> Dataset:
    """Return a split, or several joined by `+`.

    Raises:
        UnknownNameError: There is no such split.
    """
    names = split.split("+")
    for name in names:
        if name not in splits:
            raise UnknownNameError(
                f"{dataset} has no split {name!r}",
                f"{name_alternatives(name, splits)} The option split (--split) says which is taken.",
            )
    return concatenate_datasets([splits[name] for name in names])


def load_rows(config: DataConfig, split: str) -> Dataset:
    """Load the rows of one split, in the columns that the dataset has.

    Args:
        config: Names the dataset.
        split: Name of the split, or several joined as `datasets` takes them, such as `query+database`.

    Raises:
        MLRSNetError: The dataset cannot be loaded, or has no such split, or no row in it.
    """
    rows = load_splits(config, split)[split].with_format(None)
    if not len(rows):
        raise ConfigurationError(f"split {split!r} of dataset {config.dataset!r} is empty", "Name another.")
    return rows


def load_all_rows(config: DataConfig) -> tuple[str, Dataset]:
    """Load the rows of all splits together; their names, joined by +, are what `load_rows` would call them.

    Raises:
        MLRSNetError: The dataset cannot be loaded, its splits have different columns, or there is no row in them.
    """
    found = {name: rows for name, rows in load_splits(config).items() if len(rows)}
    if not found:
        raise ConfigurationError(f"dataset {config.dataset!r} is empty", "Name another.")
    names = "+".join(found)
    try:
        return names, concatenate_datasets(list(found.values())).with_format(None)
    except ValueError as error:  # of features that do not fit
        raise ConfigurationError(
            f"the splits {', '.join(found)} of dataset {config.dataset!r} have different columns",
            "Name one, or several alike, by split (--split).",
        ) from error


def refuse_streaming(config: DataConfig) -> None:
    """Refuse a streamed set where rows and images are asked for in any order."""
    if config.streaming is not None:
        raise ConfigurationError(
            f"streaming={config.streaming!r} names a set that can be trained on, and nothing else",
            "Give the dataset that it was made of.",
        )


def with_label_version(config: DataConfig) -> DataConfig:
    """Return the settings with the version in which a copy of MLRSNet is read, where they leave it open.

    Raises:
        MLRSNetError: The copy cannot be found or read.
    """
    if config.dataset != MLRSNET or config.label_version is not None or config.streaming is not None:
        return config
    copy = None if is_drawn(config) else find_data(config.data_dir, downloads_folder(None))
    version: LabelVersion = "as-published" if is_drawn(config) else "verified"  # no copy: the published archive
    return dataclasses.replace(config, label_version=find_label_version(copy) if copy else version)


def holds_mlrsnet(splits: Splits, label_names: Sequence[str]) -> bool:
    """Tell whether images and labels are MLRSNet's, or a part of it, in whichever form they were loaded."""
    if tuple(label_names) != LABEL_NAMES:
        return False
    rows = (row for split in splits.values() for row in zip(split["id"][:], split["labels"][:], strict=True))
    return recognize(rows).is_mlrsnet


def dataset_name(config: DataConfig) -> tuple[str, str | None]:
    """Return what a card calls the dataset, and its repository on the Hub, if it is from there.

    A path would tell readers of this machine; of a reader's name, as in `imagefolder`, the folder says more.
    """
    path = Path(config.dataset).expanduser()
    if config.dataset == MLRSNET:
        return MLRSNET, None
    if path.exists():
        return path.absolute().name, None
    if glob.has_magic(config.dataset):
        return "/".join(path.parts[-2:]).removeprefix("//"), None
    if "/" not in config.dataset and config.data_dir is not None:
        return Path(config.data_dir).expanduser().absolute().name, None
    return config.dataset, config.dataset


def protocol_name(config: DataConfig) -> str | None:
    """Return the protocol, or configuration, by which the dataset is split."""
    if config.split_file is not None:
        return CUSTOM
    return config.protocol or (DEFAULT_PROTOCOL if config.dataset == MLRSNET else None)


def is_drawn(config: DataConfig) -> bool:
    """Tell whether the images are this package's synthetic scenes: those of its demo, or a folder that it drew."""
    if config.dataset != MLRSNET:
        return False
    folder = config.data_dir or os.environ.get(DATA_DIR_VARIABLE)
    return config.protocol == "demo" or (folder is not None and (Path(folder).expanduser() / CONTACT_SHEET).is_file())


@contextlib.contextmanager
def without_builder_warnings() -> Iterator[None]:
    """Leave out the builder's warning of repaired labels, which the report repeats with the option's name."""
    builder = logging.getLogger(BUILDER_MODULE)
    level = builder.level
    builder.setLevel(logging.ERROR)
    try:
        yield
    finally:
        builder.setLevel(level)
