"""Which columns hold the images and the labels, where the settings leave it to be found."""

import dataclasses
import logging
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Image, Value

from mlrsnet_hf.errors import ConfigurationError, name_alternatives
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.runtime.logs import get_logger

_IMAGE, _LABELS = "image", "labels"
"""Columns that are meant where the settings say nothing else."""
_IMAGE_NAMES = (
    *("image", "images", "imagepath", "imagepaths", "filepath", "path", "paths", "imagefile", "imagefilename"),
    *("filename", "filenames", "file", "files", "imagename", "imagenames", "img", "imgpath", "imgfile", "imgname"),
    *("imageid", "imageids", "imgid", "imagelabel", "name", "unnamed", "id"),
)
"""Usual names of a column of image files, without signs and digits; the first is taken. `imagelabel` is `IMAGE\\LABEL`,
as the tables of UC Merced and AID have it."""
_NO_LABELS = frozenset(
    (
        *("split", "splits", "set", "subset", "fold", "folds", "kfold", "partition", "usage", "phase"),
        *("test", "testing", "val", "valid", "validation", "dev", "istrain", "istraining", "istest", "isval"),
        *("isvalid", "isvalidation", "isdev", "id", "ids", "index", "idx", "row", "rowid", "unnamed", "repaired"),
    )
)
_SPLIT_COLUMNS = frozenset(("test", "testing", "val", "valid", "validation", "dev"))
_LONGEST = 1500
"""So many characters of names go into a line."""

logger = get_logger(__name__)


def is_image_name(column: str) -> bool:
    """Return whether columns of image files are often called so."""
    return _plain(column) in _IMAGE_NAMES


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.casefold())


def find_image_column(features: Features, config: DataConfig) -> str:
    """Return the column of the images: that of the settings, or else the likely one.

    Where there is no column `image`, and the settings name no other, it is the only one that holds images, or the first
    of a usual name that may hold the names of files.
    """
    if config.image_column != _IMAGE or _IMAGE in features:
        return config.image_column
    holding = [name for name, feature in features.items() if isinstance(feature, Image)]
    if len(holding) == 1:
        return holding[0]
    likely = [
        name
        for name, feature in features.items()
        if is_image_name(name) and isinstance(feature, Value) and feature.dtype in ("string", "large_string", "int64")
    ]
    return min(likely, key=lambda name: _IMAGE_NAMES.index(_plain(name)), default=_IMAGE)


def settle_columns(splits: Mapping[str, Dataset], config: DataConfig, tell: bool = True) -> DataConfig:
    """Return the settings with the columns of the images and of the labels named, and say what was found.

    Where there is no column `labels`, and the settings name no other, the labels are all columns of numbers that hold
    nothing but 0, 1, -1 and empty cells in the first split; but for those that are named like a split or an index.

    Args:
        splits: The one that has labels first.
        config: As it was given.
        tell: Whether to say it.

    Raises:
        ConfigurationError: The settings name a column of a label that is not there.
    """
    (first, *_) = splits.values()
    image_column = find_image_column(first.features, config)
    level = logging.INFO if tell else logging.DEBUG
    if image_column != config.image_column:
        logger.log(level, "data: images from column %r", image_column)
        config = dataclasses.replace(config, image_column=image_column)
    if config.label_columns:
        known = _named_columns(config.label_columns, first.column_names)
        return dataclasses.replace(config, label_columns=known, labels_column=None)
    if config.labels_column != _LABELS or _LABELS in first.column_names or config.label_separator is not None:
        return config
    found, passed_over = _binary_columns(first, config)
    if not found:
        return config
    logger.log(level, "data: %d columns are labels: %s", len(found), _listed(found))
    if passed_over:
        logger.log(level, "data: no labels: %s; --label-columns takes any column of 0 and 1", _listed(passed_over))
    return dataclasses.replace(config, label_columns=tuple(found), labels_column=None)


def likely_labels(split: Dataset) -> list[str]:
    """Return the columns that may be labels, whatever they are called: of booleans, or of 0, 1, -1 and nothing."""
    return [name for name, kind in split.features.items() if kind == Value("bool") or _is_binary(split, name)]


def label_columns_option(columns: Sequence[str]) -> str:
    """Return the option that names columns, at most twenty, as a shell takes it.

    Examples:
        >>> label_columns_option(["sea", "bare soil"]), label_columns_option(["dunes, sands", "sea"])
        ("--label-columns 'sea,bare soil'", "--label-columns 'dunes, sands' --label-columns sea")
    """
    given = list(columns[:20])
    words = given if any("," in name for name in given) else [",".join(given)]
    return " ".join(f"--label-columns {shlex.quote(word)}" for word in words)


def _binary_columns(split: Dataset, config: DataConfig) -> tuple[list[str], list[str]]:
    """Return the columns that are labels, and those that might be and are not."""
    others = {name for name in config.columns().values() if name is not None} | {"scene"}
    named = {_plain(name) for name in split.column_names}
    # A class may be called train; not beside a column that is called test.
    no_labels = _NO_LABELS | {"train", "training"} if named & _SPLIT_COLUMNS else _NO_LABELS
    binary = [name for name in split.column_names if name not in others and _is_binary(split, name)]
    found = [name for name in binary if _plain(name) not in no_labels]
    booleans = [name for name, kind in split.features.items() if kind == Value("bool") and name not in others]
    return found, [name for name in split.column_names if name in booleans or (name in binary and name not in found)]


def _is_binary(split: Dataset, column: str) -> bool:
    feature = split.features[column]
    if not isinstance(feature, Value) or not feature.dtype.lstrip("u").startswith(("int", "float")):
        return False
    values: pa.ChunkedArray = pc.unique(split.data.column(column))
    if len(values) > 5:  # 0, 1, -1, null, NaN
        return False
    told = {value for value in values.to_pylist() if value is not None and value == value}
    return bool(told) and told <= {0, 1, -1}


def _listed(names: Sequence[str]) -> str:
    shown = list(map(repr, names))
    while len(", ".join(shown)) > _LONGEST:
        shown.pop()
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return ", ".join(shown) + more


def _named_columns(given: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a setting names, one by one or several with commas between them.

    A name may hold commas itself: the longest that is a column counts.

    Examples:
        >>> _named_columns(["sea,soil, dry", "sand"], ["sand", "sea", "soil, dry"])
        ('sea', 'soil, dry', 'sand')
    """
    spelled = {name.strip(): name for name in known}
    names: list[str] = []
    for text in given:
        pieces = text.split(",")
        while pieces:
            lengths = (n for n in range(len(pieces), 0, -1) if ",".join(pieces[:n]).strip() in spelled)
            length = next(lengths, 0)
            if not length:
                raise ConfigurationError(
                    f"there is no column {pieces[0].strip()!r} (label_columns)",
                    name_alternatives(pieces[0].strip(), known),
                )
            names.append(spelled[",".join(pieces[:length]).strip()])
            pieces = pieces[length:]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"column {twice!r} stands in label_columns twice", "Give it once.")
    return tuple(names)
