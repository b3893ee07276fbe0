"""Any image dataset that `datasets` loads, as the splits of a training run."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError

from mlrsnet_hf.dataset import DEFAULT_PROTOCOL
from mlrsnet_hf.dataset.download import DATA_DIR_VARIABLE
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError, UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.columns import Columns, Splits, holds_labels, read_columns
from mlrsnet_hf.inputs.config import AUTO, MLRSNET, DataConfig
from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.synthetic.release import CONTACT_SHEET

VALIDATION_NAMES = ("validation", "valid", "val", "dev")
"""Names under which a validation split is found if none is given."""
TEST_NAME = "test"

_READERS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json"}
"""What `datasets` calls the reader of a file."""


def load_data(config: DataConfig, say: Callable[[str], None] | None = None) -> ImageData:
    """Load the dataset of a run.

    Args:
        config: Names it and its parts.
        say: Is told what was found; by default it is printed, by the first process alone.

    Raises:
        MLRSNetError: The dataset cannot be loaded, or lacks a split or column, or holds what is no label.
    """
    protocol = config.protocol or (DEFAULT_PROTOCOL if config.dataset == MLRSNET else None)
    with _quiet_builder():
        loaded = load_splits(
            config.dataset, protocol, config.data_dir, seed=config.split_seed, label_version=config.label_version
        )
    return data_from_splits(loaded, config, say)


def data_from_splits(
    loaded: Mapping[str, Dataset], config: DataConfig, say: Callable[[str], None] | None = None
) -> ImageData:
    """Return the splits of a loaded dataset in the one form that training takes; see `load_data`."""
    say = say or _print_once
    # Plain values, whatever format (torch, numpy, a transform) the splits were given.
    chosen = _choose_splits({name: split.with_format(None) for name, split in loaded.items()}, config, say)
    columns = read_columns(chosen, config)
    splits = dict(columns.splits)
    held_out = 0
    if "validation" not in splits:
        splits = _hold_out(splits, config)
        held_out = len(splits["validation"])
    repaired = _count_repaired(chosen)
    for line in _report(splits, columns, held_out, repaired, config):
        say(line)
    name, hub_id = _names(config)
    return ImageData(
        splits=splits,
        label_names=columns.labels.names if columns.labels else (),
        scene_names=columns.scenes.names if columns.scenes else (),
        source={
            "dataset": name,
            "hub_id": hub_id,
            "protocol": (config.protocol or DEFAULT_PROTOCOL) if config.dataset == MLRSNET else config.protocol,
            "split_seed": config.split_seed if held_out or config.dataset == MLRSNET else None,
            "held_out": held_out,
            "labels": config.label_version if config.dataset == MLRSNET else None,
            "repaired": repaired,
            "synthetic": _is_drawn(config),
            "fingerprint": _fingerprint(splits),
        },
    )


def _names(config: DataConfig) -> tuple[str, str | None]:
    """Return what a card calls the dataset, and its repository on the Hub, if it is from there.

    A path would tell readers of this machine; of a reader's name, as in `imagefolder`, the folder says more.
    """
    path = Path(config.dataset).expanduser()
    if config.dataset == MLRSNET:
        return MLRSNET, None
    if path.exists():
        return path.absolute().name, None
    if "/" not in config.dataset and config.data_dir is not None:
        return Path(config.data_dir).expanduser().absolute().name, None
    return config.dataset, config.dataset


def _is_drawn(config: DataConfig) -> bool:
    """Tell whether the images are this package's synthetic scenes: those of its demo, or a folder that it drew."""
    if config.dataset != MLRSNET:
        return False
    folder = config.data_dir or os.environ.get(DATA_DIR_VARIABLE)
    return config.protocol == "demo" or (folder is not None and (Path(folder).expanduser() / CONTACT_SHEET).is_file())


def load_splits(
    name: str,
    protocol: str | None,
    data_dir: str | None,
    *,
    seed: int = 0,
    label_version: str = "verified",
    split: str | None = None,
) -> Mapping[str, Dataset]:
    """Load a dataset by its name.

    Args:
        name: 'mlrsnet', an id on the Hub, a folder (of files, or what `save_to_disk` wrote) or a Parquet, CSV
            or JSON file.
        protocol: Its configuration.
        data_dir: Of `load_dataset`.
        seed: Of mlrsnet's splits.
        label_version: Of mlrsnet, verified or as published.
        split: One alone, or several as `datasets` takes them, such as `query+database`; None is all.

    Returns:
        The splits by name; the one that is asked for by the name that is asked for.

    Raises:
        MLRSNetError: The dataset cannot be found, reached or read, or has no such split.
    """
    path = Path(name).expanduser()
    try:
        if name == MLRSNET:
            found: Any = load_dataset(
                name, protocol, data_dir=data_dir, split=split, seed=seed, label_version=label_version
            )
        elif path.is_file() and path.suffix in _READERS:
            found = load_dataset(_READERS[path.suffix], data_files={"train": str(path)}, split=split)
        elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            found = _load_saved(path, split)
        else:
            found = load_dataset(str(path) if path.exists() else name, protocol, data_dir=data_dir, split=split)
    except MLRSNetError:
        raise
    # `datasets` raises these for what it does not find, cannot reach or cannot read.
    except (DatasetsError, ValueError, OSError, RuntimeError, NotImplementedError) as error:
        part = "" if split is None else f"split {split!r} of "
        raise ConfigurationError(
            f"{part}dataset {name!r} cannot be loaded: {' '.join(str(error).split()).rstrip('.')}",
            "Give 'mlrsnet', a dataset on the Hub, or a folder or Parquet file; protocol names its configuration"
            f"{'' if split is None else ', which has splits of its own'}.",
        ) from error
    return found if split is None else {split: found}


def _load_saved(path: Path, split: str | None) -> Dataset | Mapping[str, Dataset]:
    """Return what `save_to_disk` wrote."""
    saved = load_from_disk(str(path))
    splits = saved if isinstance(saved, DatasetDict) else {"train": saved}
    if split is None:
        return splits
    names = split.split("+")
    for name in names:
        if name not in splits:
            raise UnknownNameError(f"{path} has no split {name!r}", name_alternatives(name, splits))
    return concatenate_datasets([splits[name] for name in names])


def _choose_splits(loaded: Mapping[str, Dataset], config: DataConfig, say: Callable[[str], None]) -> dict[str, Dataset]:
    """Return the splits by their part in training, without a validation or test split that is not there."""
    names = {
        "train": config.train_split,
        "validation": _find_split(loaded, config.validation_split, VALIDATION_NAMES, config, say),
        "test": _find_split(loaded, config.test_split, (TEST_NAME,), config, say),
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
    unused = [name for name in loaded if name not in (*names.values(), *VALIDATION_NAMES, TEST_NAME)]
    if unused:
        say(f"data: not used: {', '.join(unused)}; train_split, validation_split and test_split take any split")
    return chosen


def _find_split(
    loaded: Mapping[str, Dataset],
    asked: str | None,
    usual: tuple[str, ...],
    config: DataConfig,
    say: Callable[[str], None],
) -> str | None:
    """Return the name of a split that is asked for, or of one of a usual name that has labels; None is no split."""
    if asked != AUTO:
        return asked
    name = next((name for name in usual if name in loaded and name != config.train_split), None)
    if name is None or not len(loaded[name]) or holds_labels(loaded[name], config):
        return name
    say(f"data: the {name} split has no labels and is left out")
    return None


def _hold_out(splits: Mapping[str, Dataset], config: DataConfig) -> dict[str, Dataset]:
    """Return the splits with a validation split drawn from train, by seed and ids alone."""
    train = splits["train"]
    count = max(1, round(config.validation_share * len(train)))
    if count == len(train):
        raise ConfigurationError(
            f"the {config.train_split} split holds {len(train)} images, too few to hold some out for validation",
            "Add images, or name a validation_split.",
        )
    keys = [hashlib.sha256(f"{config.split_seed}/{name}".encode()).digest() for name in train["id"][:]]
    order = sorted(range(len(train)), key=keys.__getitem__)
    parts = {"train": train.select(sorted(order[count:])), "validation": train.select(sorted(order[:count]))}
    return parts | {name: split for name, split in splits.items() if name != "train"}


def _count_repaired(splits: Splits) -> int | None:
    """Return how many images carry repaired labels; None where the dataset does not tell."""
    if not all("repaired" in split.column_names for split in splits.values()):
        return None
    return sum(sum(split["repaired"][:]) for split in splits.values())


def _report(splits: Splits, columns: Columns, held_out: int, repaired: int | None, config: DataConfig) -> Iterator[str]:
    """Yield the lines that say what was found."""
    parts = [f"{len(split):,} {name}" for name, split in splits.items()]
    if columns.labels:
        parts.append(f"{len(columns.labels.names)} labels (column {config.labels_column!r}: {columns.labels.form})")
    if columns.scenes:
        parts.append(f"{len(columns.scenes.names)} scenes")
    yield f"data: {', '.join(parts)}; ids from {columns.ids_from}"
    for note in columns.notes:
        yield f"data: {note}"
    if held_out:
        yield f"data: no validation split, so {held_out:,} training images are held out, drawn by split_seed"
    if "test" not in splits:
        yield "data: no test split, so the scores will be those of the validation split, which chooses the epoch"
    if columns.ids_from.startswith("column"):
        yield from _report_overlap(splits)
    if repaired and config.dataset == MLRSNET:
        rows = sum(len(split) for split in splits.values())
        yield f"{repaired:,} of {rows:,} images carry repaired labels; --label-version as-published keeps the old ones."


def _report_overlap(splits: Splits) -> Iterator[str]:
    ids = {name: set(split["id"][:]) for name, split in splits.items()}
    for other in ("validation", "test"):
        shared = ids["train"] & ids.get(other, set())
        if shared:
            yield (
                f"data: {len(shared):,} ids stand in train and in {other}, such as {min(shared)!r}: if they are the "
                "same images, the scores are too good"
            )


def _fingerprint(splits: Splits) -> str:
    """Return a hash of the ids, labels and scenes of every split, the same wherever the dataset lies."""
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(f"{name}\n".encode())
        columns = [split[column][:] for column in ("id", "labels", "scene") if column in split.column_names]
        for row in zip(*columns, strict=True):
            digest.update(f"{row!r}\n".encode())
    return digest.hexdigest()[:32]


@contextlib.contextmanager
def _quiet_builder() -> Iterator[None]:
    """Leave out the builder's warning of repaired labels, which the report repeats with the option's name."""
    logger = logging.getLogger("mlrsnet_hf.dataset.builder")

    def is_other(record: logging.LogRecord) -> bool:
        return "repaired labels" not in str(record.msg)

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _print_once(line: str) -> None:
    """Print, unless another process of the run does."""
    if os.environ.get("RANK", "0") == "0":
        print(line, flush=True)
