"""What the columns of a dataset mean: any names and types become `id`, `image`, `labels` and `scene`.

Image files are not copied, unless a split that was drawn from another (`Dataset.select`) lacks one of the columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datasets import ClassLabel, Dataset, Image, Value
from datasets import Sequence as ListFeature

from mlrsnet_hf.errors import ConfigurationError, name_alternatives
from mlrsnet_hf.inputs.columns.labels import (
    IdColumn,
    holds_scenes,
    list_entry,
    near_equal_names,
    read_binary_labels,
    read_labels,
    read_scenes,
)
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.tables.column_choice import label_columns_option, likely_labels
from mlrsnet_hf.inputs.tables.tables import tables_in, with_found_images

Splits = Mapping[str, Dataset]

UNKNOWN = "unknown_labels"
"""Column of the ids of labels of which nothing is known; only where there are such."""
ROW_NUMBERS = "the rows' numbers"
"""Where ids come from that are no names of the data's own."""


_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Columns:
    """What was found in the columns of a dataset's splits."""

    splits: Splits
    """Splits with the columns `id`, `image`, `labels`, where scenes are known `scene`, and where something is not known
    of the labels, `UNKNOWN`."""
    labels: IdColumn | None
    scenes: IdColumn | None
    ids_from: str
    """Where the ids come from, in words."""
    notes: tuple[str, ...] = ()
    """What was passed over, and why."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of their ids."""
        return self.labels.names if self.labels else ()

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of the scenes, in the order of their ids."""
        return self.scenes.names if self.scenes else ()


def read_columns(splits: Splits, config: DataConfig) -> Columns:
    """Find, check and rename the columns.

    Args:
        splits: In the order train, validation, test, as far as they are there.
        config: Names the columns, as `settle_columns` returns it.

    Raises:
        ConfigurationError: A column is missing or does not hold what it should; two rows of a split have one id in the
            column that is asked for; an image file is not there.
        ImageError: One of the first images of a split cannot be read.
    """
    _require_columns(splits, config)
    notes: list[str] = []
    splits = {name: _select_labeled(split, name, config, notes) for name, split in splits.items()}
    images = {name: _with_images(split, name, config) for name, split in splits.items()}
    labels = None
    if config.label_columns:
        labels = read_binary_labels(splits, config.label_columns, config.value_rules())
    elif config.labels_column is not None:
        labels = read_labels(
            splits, config.labels_column, config.label_separator, config.label_form, config.value_rules()
        )
    if labels is not None and labels.unknown is not None:
        _refuse_unknown(labels, labels.unknown)
    notes += [
        f"labels {first!r} and {second!r} are taken for two; write them alike if they are one"
        for first, second in near_equal_names(labels.names if labels else ())
    ]
    scene_column, scenes = _find_scenes(splits, config, notes)
    ids, ids_from = _find_ids(images, config, notes)
    standard = {}
    for name, split in images.items():
        kept = {config.image_column: "image"}
        if labels is not None and labels.stored:
            kept[str(config.labels_column)] = "labels"
        if scenes is not None and scenes.stored:
            kept[str(scene_column)] = "scene"
        if ids_from == "column 'id'" and split.features["id"] == Value("string"):
            kept["id"] = "id"
        split = split.select_columns(list(kept)).rename_columns({old: new for old, new in kept.items() if old != new})
        if "id" not in split.column_names:
            split = split.add_column("id", ids[name], feature=Value("string"))
        standard[name] = _with_ids(_with_ids(split, "labels", labels, name), "scene", scenes, name)
        if labels is not None and labels.unknown is not None:
            feature = ListFeature(Value("int64"))
            standard[name] = standard[name].add_column(UNKNOWN, labels.unknown[name], feature=feature)
    return Columns(standard, labels, scenes, ids_from, tuple(notes))


def holds_labels(split: Dataset, config: DataConfig) -> bool:
    """Return whether any row of a split names a label (or, without labels, a scene); in test splits often none does.

    A class of -1 stands for a label that is not given. Of columns of one label each, any that says 0 or 1 will do.
    """
    if config.label_columns:
        known = [column for column in config.label_columns if column in split.column_names]
        return any(
            value not in (None, -1, "", "-1") and value == value for column in known for value in split[column][:]
        )
    column = config.labels_column or config.scene_column or "scene"
    if column not in split.column_names:
        return False
    rows = (value if isinstance(value, list) else [value] for value in split[column][:])
    return any(entry not in (None, -1, "") for row in rows for entry in row)


def _require_columns(splits: Splits, config: DataConfig) -> None:
    for setting, column in config.columns().items():
        for name, split in splits.items():
            if column is not None and column not in split.column_names:
                shown = split.column_names[:_SHOWN]
                more = len(split.column_names) - len(shown)
                raise ConfigurationError(
                    f"the {name} split has no column {column!r} ({setting}), only {', '.join(shown)[:1000]}"
                    + (f" and {more} more" if more else ""),
                    _column_remedy(split, setting, column, config),
                )


def _column_remedy(split: Dataset, setting: str, column: str, config: DataConfig) -> str:
    """Return the way out: the only columns of a fitting type, or those with near names."""
    fits = {
        "image_column": lambda feature: isinstance(feature, Image),
        "labels_column": lambda feature: list_entry(feature) is not None,
        "scene_column": holds_scenes,
        "id_column": holds_scenes,
    }[setting]
    fitting = [name for name, feature in split.features.items() if fits(feature)]
    option = f"--{setting.replace('_', '-')}"
    if len(fitting) == 1:
        return f"Pass {option} {fitting[0]}."
    if not fitting and column in split.column_names:
        return f"Give one that does with {option}; Dataset.cast_column(NAME, Image()) makes it of paths or of bytes."
    near = name_alternatives(column, fitting or split.column_names)
    if setting == "labels_column" and not fitting:
        folder = Path(config.dataset).expanduser()
        if tables := tables_in(folder) if folder.is_dir() else []:
            return f"To read a table that lies there, pass --dataset {tables[0]}."
        if columns := likely_labels(split):
            return f"If each label has a column, pass {label_columns_option(columns)}."
        near = name_alternatives(column, split.column_names)
        return (f"{near} " if near.startswith("Did you mean") else "") + (
            f"Name it with {option}, or columns of one label each with --label-columns; if each image has one class, "
            "pass --labels-column none --scene-column NAME --single-label."
        )
    # All columns stand in what was found already.
    return f"Name it with {option}." + (f" {near}" if fitting or near.startswith("Did you mean") else "")


def labeled_rows(split: Dataset, config: DataConfig) -> list[int]:
    """Return which rows of a split have labels that are not null, that is unknown; all where null counts as none."""
    if config.labels_column is None or config.missing == "negative":
        return list(range(len(split)))
    return [row for row, value in enumerate(split[config.labels_column][:]) if value is not None]


def _select_labeled(split: Dataset, name: str, config: DataConfig, notes: list[str]) -> Dataset:
    """Return the labeled rows of a split."""
    known = labeled_rows(split, config)
    if len(known) == len(split):
        return split
    if not known:
        raise ConfigurationError(
            f"the {name} split has no labels: column {config.labels_column!r} is empty",
            f"Name another as {name}_split" + (", or none." if name != "train" else "."),
        )
    notes.append(
        f"{len(split) - len(known):,} rows of the {name} split have no value in column {config.labels_column!r} and "
        "are left out; an empty list says that an image has no label, and --missing negative reads all of these so"
    )
    return split.select(known)


def _refuse_unknown(labels: IdColumn, unknown: Mapping[str, list]) -> None:
    for name, rows in unknown.items():
        if sum(map(len, rows)) == len(rows) * len(labels.names):
            raise ConfigurationError(
                f"nothing is known of the labels of the {name} split",
                f"Name another as {name}_split, or say what uncertain and missing labels count as.",
            )


def _with_images(split: Dataset, name: str, config: DataConfig) -> Dataset:
    """Return the split with a column of images, made of paths or of the bytes of files."""
    column = config.image_column
    feature = split.features[column]
    if isinstance(feature, Image):
        if config.image_dir is not None:
            raise ConfigurationError(
                f"image_dir={config.image_dir}: column {column!r} holds images, not their names", "Leave image_dir out."
            )
        return split
    if isinstance(feature, Value) and feature.dtype in ("string", "large_string", "int64"):
        place = Path(config.dataset).expanduser()
        if not place.exists() and config.data_dir is not None:  # of a reader's name, as in `csv`
            place = Path(config.data_dir).expanduser()
        return with_found_images(split, place, config, f"{name} split").cast_column(column, Image())
    is_struct = isinstance(feature, dict) and set(feature) in ({"bytes", "path"}, {"bytes"}, {"path"})
    if is_struct or (isinstance(feature, Value) and feature.dtype in ("binary", "large_binary")):
        return split.cast_column(column, Image())
    raise ConfigurationError(
        f"column {column!r} holds no images but {feature}", _column_remedy(split, "image_column", column, config)
    )


def _find_scenes(splits: Splits, config: DataConfig, notes: list[str]) -> tuple[str | None, IdColumn | None]:
    """Return the column of the scenes and its ids; a note instead of a faulty column that was not asked for."""
    column = config.scene_column
    if column is None:
        if not all("scene" in split.features and holds_scenes(split.features["scene"]) for split in splits.values()):
            return None, None
        column = "scene"
    try:
        return column, read_scenes(splits, column)
    except ConfigurationError as error:
        if config.scene_column is not None:
            raise
        notes.append(f"scenes are not used ({error.found})")
        return None, None


def _find_ids(splits: Splits, config: DataConfig, notes: list[str]) -> tuple[dict[str, list[str]], str]:
    """Return the ids of every split, and where they come from."""
    column = config.id_column
    if column is None and config.image_column != "id" and all("id" in s.column_names for s in splits.values()):
        column = "id"
    if column is not None:
        ids = {name: [str(value) for value in split[column][:]] for name, split in splits.items()}
        try:
            for name, values in ids.items():
                _refuse_duplicates(values, column, name)
            return ids, f"column {column!r}"
        except ConfigurationError as error:
            if config.id_column is not None:
                raise
            notes.append(f"column 'id' is not used ({error.found})")
    files = {name: _file_names(split, config.image_column) for name, split in splits.items()}
    if all(None not in names and len(set(names)) == len(names) for names in files.values()):
        return {name: [str(file) for file in names] for name, names in files.items()}, "the files' names"
    return {name: [f"{name}/{row}" for row in range(len(split))] for name, split in splits.items()}, ROW_NUMBERS


def _refuse_duplicates(ids: Sequence[str], column: str, split: str) -> None:
    rows: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in rows:
            raise ConfigurationError(
                f"the {split} split has the id {name!r} (column {column!r}) in the rows {rows[name]} and {row}",
                "Give each image an id of its own, or name another id_column.",
            )
        rows[name] = row


def _file_names(split: Dataset, column: str) -> list[str | None]:
    """Return the names of the image files, without reading a file."""
    flat: Any = split.select_columns([column]).cast_column(column, Image(decode=False)).flatten()
    paths = flat.select_columns([f"{column}.path"])[f"{column}.path"][:]
    # Of an image in an archive, `zip://NAME::ARCHIVE`, the name there.
    return [PurePosixPath(path.partition("::")[0].replace("\\", "/")).name if path else None for path in paths]


def _with_ids(split: Dataset, column: str, found: IdColumn | None, name: str) -> Dataset:
    """Add a column of label lists or scenes, unless the split has it already or has none."""
    if column in split.column_names or (found is None and column == "scene"):
        return split
    if found is None:
        return split.add_column(column, [[]] * len(split), feature=ListFeature(Value("int64")))
    classes = ClassLabel(names=list(found.names))
    feature = ListFeature(classes) if column == "labels" else classes
    return split.add_column(column, found.ids[name], feature=feature)
