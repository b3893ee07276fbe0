"""Files of a dataset, one, several by a pattern, or a folder of tables, read as splits whose images are found."""

import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath

from datasets import Dataset, Value, concatenate_datasets, load_dataset
from datasets.utils import logging

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import DataConfig
from mlrsnet_hf.inputs.tables.coco import is_coco, read_coco
from mlrsnet_hf.inputs.tables.column_choice import find_image_column, is_image_name
from mlrsnet_hf.inputs.tables.image_files import IMAGE_SUFFIXES, ImageFolders, find_images
from mlrsnet_hf.inputs.tables.json_tables import json_content, json_table, typed_json
from mlrsnet_hf.inputs.tables.text_tables import read_text_table, typed
from mlrsnet_hf.runtime.logs import get_logger

TEXT, JSON = "text", "json"
_KINDS = {
    ".csv": TEXT,
    ".tsv": TEXT,
    ".tab": TEXT,
    ".txt": TEXT,
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
}
"""What reads a file; of the binary ones, what `datasets` calls its reader."""
_PLACE = "place of the image"
METADATA = "metadata.csv"
"""What `datasets` calls the table of a folder of images."""
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARCHIVES = (".zip", ".tar", ".tgz", ".rar", ".7z", ".gz", ".xz", ".bz2", ".zst")
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""As `datasets` reads the names of files."""

logger = get_logger(__name__)


def find_files(config: DataConfig) -> dict[str, list[Path]] | None:
    """Return the files that a dataset's name stands for, by split; None if it is for `datasets` to find them.

    That is: a file, several by a pattern, a folder of CSV and TSV files and nothing else, or a folder of images with
    `metadata.csv`. One file is the split `train`. Several are shared among train, validation and test by their names,
    or else those of their folders (`train.csv`, `test/labels.csv`), if these say it of each.

    Raises:
        ConfigurationError: There is no such file, no file matches, or some names say a split and others do not.
    """
    dataset = config.dataset
    if dataset == "imagefolder" and config.data_dir is not None:
        return _tables_in(Path(config.data_dir).expanduser())
    path = Path(dataset).expanduser()
    if path.is_dir():
        return None if config.data_dir is not None or config.protocol is not None else _tables_in(path)
    if path.suffix == ".py" or not (path.is_file() or glob.has_magic(dataset)):
        if path.suffix.lower() in _KINDS or path.suffix.lower() in _SPREADSHEETS:
            raise ConfigurationError(f"{dataset}: no such file", "Check its name and folder.")
        return None
    if config.data_dir is not None:
        raise ConfigurationError(
            f"data_dir={config.data_dir} does not go with a table", "Name the folder of its images as image_dir."
        )
    if path.is_file():
        return {"train": [path]}
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 - an absolute pattern too
    found = [file for file in found if file.is_file()]
    if not found:
        raise ConfigurationError(f"no file matches {dataset!r}", "Check the pattern; in a shell, put it in quotes.")
    return _by_split(found)


def _tables_in(folder: Path) -> dict[str, list[Path]] | None:
    """Return the tables of a folder, if it is one of tables, or one of images with `metadata.csv`."""
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    if any(file.name == "README.md" and file.read_bytes()[:3] == b"---" for file in files):
        return None  # a card, which may say what the files are
    data = [file for file in files if file.suffix.lower() not in ("", ".md")]
    tables = sorted(file for file in data if file.suffix.lower() in (".csv", ".tsv"))
    if tables and len(tables) == len(data):
        return _by_split(tables)
    metadata = [file for file in tables if file.name == METADATA]
    others = (".zip", ".tar", ".parquet", ".arrow", ".jsonl")
    is_read_by_datasets = any(file.suffix.lower() in others for file in data)
    return _by_split(metadata) if metadata and not is_read_by_datasets else None


def _by_split(files: Sequence[Path]) -> dict[str, list[Path]]:
    common = Path(os.path.commonpath([file.parent for file in files]))
    named = {file: _split_of(file.relative_to(common)) for file in files}
    said = {split for split in named.values() if split is not None}
    if not said or (len(said) == 1 and None not in named.values()):
        return {"train": list(files)}
    odd = next((file for file, split in named.items() if split is None), None)
    if odd is not None:
        other = next(file for file, split in named.items() if split is not None)
        raise ConfigurationError(
            f"the name of {other} says which split it is, that of {odd} does not",
            "Give a pattern that matches the tables alone, with train, validation or test in each name or in none.",
        )
    splits = {name: [f for f in files if named[f] == name] for name in ("train", "validation", "test")}
    return {name: part for name, part in splits.items() if part}


def _split_of(file: PurePath) -> str | None:
    """Return the split that the name of a file, or else of the nearest of its folders, says.

    Examples:
        >>> _split_of(Path("a/train_2.csv")), _split_of(Path("val/x/labels.csv")), _split_of(Path("a/trainval.csv"))
        ('train', 'validation', None)
    """
    for name in (file.name, *reversed(file.parent.parts)):
        words = re.split(r"[^a-z]+", name.lower())
        said = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
        if len(said) == 1:
            return said.pop()
    return None


def tables_in(folder: Path) -> list[Path]:
    """Return the tables that lie in a folder itself."""
    return sorted(file for file in folder.glob("*") if _KINDS.get(file.suffix.lower()) == TEXT and file.is_file())


def read_files(files: Mapping[str, Sequence[Path]], config: DataConfig) -> dict[str, Dataset]:
    """Return the rows of the files by split, with the places of the images in place of their names.

    Raises:
        ConfigurationError: A file cannot be read, or an image is not there.
    """
    every = [file for part in files.values() for file in part]
    empty = next((file for file in every if not file.stat().st_size), None)
    if empty is not None and _kind_of(empty):
        raise ConfigurationError(f"{empty}: the file is empty", "Give a table with a header and rows.")
    kinds = {_kind_of(file): file for file in every}
    if len(kinds) > 1:
        (_, first), (_, second), *_ = kinds.items()
        raise ConfigurationError(f"{first} and {second} are of two kinds", "Give tables of one kind.")
    if len(every) > 1:
        for split, part in files.items():
            names = ", ".join("/".join(file.parts[-2:]) for file in part[:3]) + (
                f" and {len(part) - 3} more" if len(part) > 3 else ""
            )
            logger.info("data: %s from %s", split, names)
    (kind,) = kinds
    if kind == TEXT:
        tables = {split: [read_text_table(file) for file in part] for split, part in files.items()}
        read = typed(tables, _text_columns(config, [name for table in tables.values() for name in table[0].columns]))
    elif kind == JSON:
        read = _read_json_files(files)
    else:
        return _read_by_datasets(kind, files, config)
    found = {
        split: concatenate_datasets(
            [with_found_images(rows, file, config, file.name) for rows, file in zip(read[split], part, strict=True)]
        )
        for split, part in files.items()
    }
    return (
        _shared_by_folder(read["train"][0], found["train"], config) if [f.name for f in every] == [METADATA] else found
    )


def _shared_by_folder(read: Dataset, rows: Dataset, config: DataConfig) -> dict[str, Dataset]:
    """Return the rows of one table of a folder of images by the split that the folders of the images, as read, say."""
    column = find_image_column(read.features, config)
    if column not in read.column_names:
        return {"train": rows}
    written: list[str | None] = read[column][:]
    named = [_split_of(PurePosixPath(name or "").parent / "image") for name in written]
    if not any(named):
        return {"train": rows}
    if None in named:
        row = named.index(None)
        raise ConfigurationError(
            f"{METADATA}: the folders of some images say which split they are, that of row {row}, {written[row]!r}, "
            "does not",
            "Put the images into folders train, validation and test, or none of them.",
        )
    members = {name: [row for row, split in enumerate(named) if split == name] for name in dict.fromkeys(named)}
    return {str(name): rows.select(part) for name, part in members.items()}


def _kind_of(file: Path) -> str:
    """Return what reads a file, by its suffix in whatever case."""
    suffix = file.suffix.lower()
    inner = Path(file.stem).suffix.lower() if suffix == ".gz" else suffix
    kind = _KINDS.get(inner)
    if kind is not None and (kind in (TEXT, JSON) or suffix != ".gz"):
        return kind
    remedy = f"Give one of {', '.join(_KINDS)}."
    if suffix in _SPREADSHEETS:
        remedy = "Save its sheet as CSV (in Excel: Save As, CSV UTF-8), and give that."
    elif suffix in _ARCHIVES:
        remedy = "Unpack it and give the table or folder in it; a copy of MLRSNet goes to --data-dir as it is."
    elif suffix in IMAGE_SUFFIXES:
        remedy = "Give a table of images, or the folder of the images."
    raise ConfigurationError(f"{file}: files of the kind {suffix or 'without a suffix'} are not read", remedy)


def _text_columns(config: DataConfig, names: Sequence[str]) -> set[str]:
    """Return the columns whose cells are names, though they look like numbers."""
    names_of_images = {name for name in names if is_image_name(name)}
    separated = {config.labels_column} if config.label_separator is not None else set()
    return {str(name) for name in {config.image_column, config.id_column, "id", *separated, *names_of_images}}


def _read_json_files(files: Mapping[str, Sequence[Path]]) -> dict[str, list[Dataset]]:
    """Return the rows of each file, all of COCO's form or none."""
    contents = {file: json_content(file) for part in files.values() for file in part}
    forms = {is_coco(content): file for file, content in contents.items()}
    if len(forms) > 1:
        raise ConfigurationError(f"{forms[True]} is of COCO's form, {forms[False]} is not", "Give files of one kind.")
    if True in forms:
        return {split: [read_coco(file, contents[file]) for file in part] for split, part in files.items()}
    return typed_json({split: [json_table(file, contents[file]) for file in part] for split, part in files.items()})


def _read_by_datasets(kind: str, files: Mapping[str, Sequence[Path]], config: DataConfig) -> dict[str, Dataset]:
    # In a pattern of `datasets`, a bracket in a name would stand for a class of signs.
    data_files = {split: [glob.escape(str(file.absolute())) for file in part] for split, part in files.items()}
    told = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)  # its own lines of what the error says
    try:
        loaded = load_dataset(kind, data_files=data_files)
    except Exception as error:  # whatever a damaged file makes of its reader
        names = ", ".join(str(file) for part in files.values() for file in part)
        cause = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        raise ConfigurationError(
            f"{names[:300]}: cannot be read as {kind.capitalize()} ({cause[:300] or 'it holds nothing'})",
            "Write it anew, or give it the suffix of what it is.",
        ) from error
    finally:
        logging.set_verbosity(told)
    loaded = {split: _with_stripped_names(rows) for split, rows in loaded.items()}
    return {
        split: with_found_images(rows, files[split][0], config, files[split][0].name) for split, rows in loaded.items()
    }


def _with_stripped_names(rows: Dataset) -> Dataset:
    """Return the rows with column names that have no spaces around them, unless one is there already."""
    names = {name: name.strip() for name in rows.column_names}
    taken = list(names.values())
    return rows.rename_columns({old: new for old, new in names.items() if old != new and taken.count(new) == 1})


def with_found_images(rows: Dataset, table: Path, config: DataConfig, name: str) -> Dataset:
    """Return the rows of a table with the place of each image file in place of its name.

    Args:
        rows: Of the table; where their column of images holds no text, they stay as they are.
        table: The file, or the folder, that names the images.
        config: Names the column, and the folder of the images if it is another.
        name: What the log and errors call the table.

    Raises:
        ConfigurationError: An image is not there.
    """
    column = find_image_column(rows.features, config)
    if column not in rows.column_names:
        return rows
    feature = rows.features[column]
    if isinstance(feature, Value) and feature.dtype.lstrip("u").startswith("int"):
        rows = rows.cast_column(column, Value("string"))
    elif not (isinstance(feature, Value) and feature.dtype in ("string", "large_string")):
        return rows
    places = find_images(rows[column][:], image_folders(config, table), name)
    order = rows.column_names
    rows = rows.add_column(_PLACE, places, feature=Value("string")).remove_columns(column)
    return rows.rename_column(_PLACE, column).select_columns(order)


def image_folders(config: DataConfig, table: Path) -> ImageFolders:
    """Return the folders in which images are looked for: the given one, or else the table's and the working folder.

    Raises:
        ConfigurationError: The given one is not there.
    """
    if config.image_dir is not None:
        folder = Path(config.image_dir).expanduser()
        if not folder.is_dir():
            raise ConfigurationError(f"image_dir={config.image_dir}: no such folder", "Check the path.")
        return ImageFolders([folder], given=True)
    return ImageFolders([table if table.is_dir() else table.parent, Path()], given=False)
