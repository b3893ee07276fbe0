"""The forms in which benchmarks publish splits, all read as rows of image name and split.

* a table with a row for each image: CSV (or with `;` or tabs) or Parquet, its columns found by name;
* a list for each split: `train.txt`, `val.txt`, `test.txt`, a path a line, the split named as the file is; what stands
  behind the path is passed over, such as the number of a class, unless it is the usual name of a split. Tables without
  a column of splits serve as well;
* JSON with a list of names for each split.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlrsnet_hf.errors import ConfigurationError, ReleaseError
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, image_scene, split_suffix
from mlrsnet_hf.release.table_text import read_cells

_IDS = """
id image image_id file_name filename path image_path img_path file_path filepath imagepath image_name imagename
image_file img img_name file name
"""
_USUAL = "train training val valid validation dev test testing query queries database gallery"
ID_COLUMNS = tuple(_IDS.split())
SPLIT_COLUMNS = ("split", "subset", "partition", "set", "dataset_split", "phase")
USUAL_SPLITS = tuple(_USUAL.split())
_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".json")
FORMAT = (
    "A split file is a CSV or Parquet file with the columns id and split, a .txt file for each split with a path a "
    "line, or a folder of these."
)
_DELIMITERS = (",", ";", "\t")
_PATH = re.compile(rf"(.*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))(?=[\s,;|]|$)", re.IGNORECASE)

SplitFiles = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]
"""A file, a folder of files, a pattern such as `lists/*.txt`, several of these, or a file for each split."""


class ListedImage(NamedTuple):
    """A row of a split file."""

    place: str
    """File and row, from 1, for errors."""
    name: str
    """The image as the file names it."""
    split: str


def find_lists(given: SplitFiles) -> list[tuple[Path, str | None]]:
    """Return the files that are meant, in order, with the names of their splits where they are given.

    Raises:
        ConfigurationError: There is no such file, or none in the folder.
    """
    if isinstance(given, Mapping):
        return [(path, split) for split, one in given.items() for path, _ in find_lists(one)]
    if not isinstance(given, str | os.PathLike):
        return [found for one in given for found in find_lists(one)]
    path = Path(given).expanduser()
    if path.is_file():
        return [(path, None)]
    if not path.is_dir():
        found = sorted(path.parent.glob(path.name)) if re.search(r"[*?\[]", path.name) else []
        if not found:
            raise ConfigurationError(f"{path}: no such file", FORMAT)
        return [(one, None) for one in found if one.is_file()]
    lists = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.casefold() in _SUFFIXES)
    usual = [one for one in lists if _usual_split(one)]  # and no notes and names of classes beside
    if not usual:
        raise ConfigurationError(f"{path}: no list of a split in it, such as train.txt", FORMAT)
    order = [name for name in USUAL_SPLITS if name in map(_usual_split, usual)]
    return [(one, None) for one in sorted(usual, key=lambda one: order.index(str(_usual_split(one))))]


def read_list(path: Path, split: str | None = None) -> list[ListedImage]:
    """Read a file; `split` is the name of the split of all its rows, by default what the file says or is called.

    Raises:
        ConfigurationError: The file cannot be read, lacks a column, or a row of it has other columns than the header.
    """
    suffix = path.suffix.casefold()
    if suffix not in _SUFFIXES:
        raise ConfigurationError(f"{path}: none of {', '.join(_SUFFIXES)}", FORMAT)
    if suffix == ".parquet":
        return _from_columns(path, *_parquet_table(path), split)
    text = _text(path)
    if suffix == ".json":
        return _from_json(path, text, split)
    header = next(iter(text.splitlines()), "")
    if suffix == ".txt" and not (_holds_columns(header) and any(sign in header for sign in _DELIMITERS)):
        return _from_lines(path, text, split)
    return _from_columns(path, *_csv_table(path), split)


def split_of_file(path: Path) -> str:
    """Return the split that a list is of: the usual name in the file's name, else all of that."""
    return _usual_split(path) or path.stem


def _usual_split(path: Path) -> str | None:
    """Return the only usual name of a split in a file's name, such as `val` of `mlrsnet_val.txt`."""
    words = [word for word in re.split(r"[\W_]+", path.stem.casefold()) if word in USUAL_SPLITS]
    return words[0] if len(words) == 1 else None


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})", "Check the file.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not text in UTF-8 ({error})", FORMAT) from error


def _from_lines(path: Path, text: str, split: str | None) -> list[ListedImage]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip().strip("\"'")
        if not line or line.startswith("#") or (number == 1 and _spelled(line) in ID_COLUMNS):
            continue
        found = _PATH.match(line)
        name, *others = [found[1], *_words(line[found.end() :])] if found else _words(line) or [line]
        told = others[-1] if others and others[-1].casefold() in USUAL_SPLITS else None
        rows.append(ListedImage(f"{path}, row {number}", name, split or told or split_of_file(path)))
    return rows


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;|]+", text) if word]


def _from_json(path: Path, text: str, split: str | None) -> list[ListedImage]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not JSON ({error})", FORMAT) from error
    lists = content if isinstance(content, dict) else {split or split_of_file(path): content}
    for name, names in lists.items():
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise ConfigurationError(f"{path}: {name!r} is no list of image names", FORMAT)
    return [
        ListedImage(f"{path}, {name} {number}", one, name)
        for name, names in lists.items()
        for number, one in enumerate(names, start=1)
    ]


def _csv_table(path: Path) -> tuple[list[int], Sequence[str], list[list[str]]]:
    """Return the lines of the rows, the names of the columns, and the rows."""
    try:
        lines = list(read_cells(path.read_bytes(), str(path)))
    except ReleaseError as error:
        raise ConfigurationError(error.found, FORMAT) from error
    (_, columns), *numbered = lines or [(1, [])]
    numbered = [(number, row) for number, row in numbered if any(map(str.strip, row))]
    for number, row in numbered:
        if len(row) != len(columns):
            raise ConfigurationError(
                f"{path}, row {number}: {len(row)} values where the header has {len(columns)}",
                "Mend or remove the row.",
            )
    return [number for number, _ in numbered], columns, [row for _, row in numbered]


def _parquet_table(path: Path) -> tuple[list[int], Sequence[str], list[list[Any]]]:
    import pyarrow
    from pyarrow import parquet, types

    try:
        schema = parquet.read_schema(path)
        meant = [name for name in schema.names if _spelled(name) in (*ID_COLUMNS, *SPLIT_COLUMNS)]
        texts = [name for name in meant if not types.is_nested(schema.field(name).type)]
        columns = [column.to_pylist() for column in parquet.read_table(path, columns=texts).columns]
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError, KeyError) as error:
        raise ConfigurationError(f"{path}: not a Parquet file ({error})", FORMAT) from error
    rows = [list(row) for row in zip(*columns, strict=True)]
    return list(range(1, len(rows) + 1)), texts, rows


def _from_columns(
    path: Path, numbers: Sequence[int], columns: Sequence[str], rows: Sequence[Sequence[Any]], split: str | None
) -> list[ListedImage]:
    ids = _column(columns, ID_COLUMNS, rows)
    if ids is None:
        raise ConfigurationError(f"{path}: id column: no such column", FORMAT)
    splits = _column(columns, SPLIT_COLUMNS, rows) if split is None else None
    named = split or _usual_split(path)
    if splits is None and named is None:
        raise ConfigurationError(f"{path}: split column: no such column", FORMAT)
    return [
        ListedImage(
            f"{path}, row {number}",
            str(row[ids]).strip(),
            str(named) if splits is None else str(row[splits]).strip(),
        )
        for number, row in zip(numbers, rows, strict=True)
    ]


def _column(columns: Sequence[str], meant: Sequence[str], rows: Sequence[Sequence[Any]]) -> int | None:
    """Return the column of a known name; of several, the one with most names of images, then the first of the known."""
    found = [position for name in meant for position, column in enumerate(columns) if _spelled(column) == name]
    if len(found) < 2 or meant is SPLIT_COLUMNS:
        return found[0] if found else None
    return max(found, key=lambda position: sum(_is_image_name(str(row[position])) for row in rows[:1000]))


def _is_image_name(value: str) -> bool:
    name = value.replace("\\", "/").rpartition("/")[2]
    return split_suffix(name)[1] in IMAGE_SUFFIXES or image_scene(f"{name}.jpg") is not None


def _holds_columns(header: str) -> bool:
    """Tell whether a line is the header of a table."""
    return any(_spelled(cell) in ID_COLUMNS for sign in _DELIMITERS for cell in header.split(sign))


def _spelled(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().casefold())
