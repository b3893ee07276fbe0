"""Custom splits: a CSV or Parquet file of image ids and the names of their splits, as other benchmarks publish theirs.

Columns are found by name: the ids in `id`, `image`, `image_id`, `file_name` or `filename`, the splits in `split`,
`subset` or `partition`. An id may carry a folder and a suffix (`airplane/airplane_00001.jpg`).
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlrsnet_hf.errors import ConfigurationError, name_alternatives
from mlrsnet_hf.release.names import IMAGE_SUFFIXES, image_id, split_suffix

ID_COLUMNS = ("id", "image", "image_id", "file_name", "filename")
SPLIT_COLUMNS = ("split", "subset", "partition")
_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")
_FORMAT = "A split file is a CSV or Parquet file with the columns id and split."


@dataclass(frozen=True, slots=True)
class CustomSplit:
    """A split read from a file, matched with the images that there are."""

    splits: dict[str, tuple[str, ...]]
    """Image ids by split, in the order of the file's first mention; ids in the order of scene and id."""
    left_out: int
    """Images that the file does not list; they are in no split."""


def read_split_file(path: str | Path, ids_by_scene: Mapping[str, Sequence[str]]) -> CustomSplit:
    """Read a split file and match it with the images that there are.

    Names match in any letter case, scenes in canonical and published spelling. Images that the file does not list are
    left out, and counted; listed images that do not exist, and images listed twice, are refused.

    Args:
        path: A `.csv` or `.parquet` file, an id and the name of its split per row.
        ids_by_scene: The image ids of each scene.

    Raises:
        ConfigurationError: The file cannot be read, lacks a column, is empty, names an image that does not exist or one
            twice, or has a split name that `datasets` cannot take. The message names file and row.
    """
    path = Path(path)
    known = {one.casefold(): one for ids in ids_by_scene.values() for one in ids}
    split_of: dict[str, str] = {}
    for row, name, split in _rows(path):
        listed = known.get(_published_id(name).casefold())
        if listed is None:
            raise ConfigurationError(
                f"{path}, row {row}: image {name!r} does not exist",
                name_alternatives(_published_id(name), known.values())
                if len(known) <= 100
                else "Remove the row, or add the image.",
            )
        if listed in split_of:
            raise ConfigurationError(
                f"{path}, row {row}: image {name!r} is listed twice", "Remove one of the two rows."
            )
        if split == "all" or not _SPLIT_NAME.fullmatch(split):
            raise ConfigurationError(
                f"{path}, row {row}: {split!r} cannot name a split", "Use letters, digits and underscores, not 'all'."
            )
        split_of[listed] = split
    if not split_of:
        raise ConfigurationError(f"{path}: no rows", _FORMAT)
    splits: dict[str, list[str]] = {split: [] for split in split_of.values()}
    for ids in ids_by_scene.values():
        for one in sorted(ids):
            if one in split_of:
                splits[split_of[one]].append(one)
    return CustomSplit({name: tuple(ids) for name, ids in splits.items()}, len(known) - len(split_of))


def _rows(path: Path) -> Iterable[tuple[int, str, str]]:
    """Yield row number (a CSV's line, a Parquet file's row, from 1), id and split."""
    if path.suffix.casefold() not in (".csv", ".parquet"):
        raise ConfigurationError(f"{path}: neither .csv nor .parquet", _FORMAT)
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file", _FORMAT)
    return _csv_rows(path) if path.suffix.casefold() == ".csv" else _parquet_rows(path)


def _csv_rows(path: Path) -> Iterable[tuple[int, str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            at = [header.index(column) for column in _columns(path, header)]
            for row in lines:
                if not row:
                    continue
                if len(row) != len(header):
                    raise ConfigurationError(
                        f"{path}, row {lines.line_num}: {len(row)} values where the header has {len(header)}",
                        "Mend or remove the row.",
                    )
                yield lines.line_num, row[at[0]].strip(), row[at[1]].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: not a CSV in UTF-8 ({error})", _FORMAT) from error


def _parquet_rows(path: Path) -> Iterable[tuple[int, str, str]]:
    import pyarrow
    from pyarrow import parquet

    try:
        columns = _columns(path, parquet.read_schema(path).names)
        table = parquet.read_table(path, columns=list(columns))
        ids, splits = (table.column(name).to_pylist() for name in columns)
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError, KeyError) as error:
        raise ConfigurationError(f"{path}: not a Parquet file ({error})", _FORMAT) from error
    for row, (name, split) in enumerate(zip(ids, splits, strict=True), start=1):
        yield row, str(name), str(split)


def _columns(path: Path, header: Sequence[str]) -> tuple[str, str]:
    """Return the names of the column of ids and of the column of splits."""
    found = []
    for candidates in (ID_COLUMNS, SPLIT_COLUMNS):
        matches = [name for name in header if name.strip().casefold() in candidates]
        if len(matches) != 1:
            problem = f"columns {', '.join(matches)} may all be meant" if matches else "no such column"
            raise ConfigurationError(f"{path}: {candidates[0]} column: {problem}", _FORMAT)
        found.append(matches[0])
    return found[0], found[1]


def _published_id(name: str) -> str:
    """Return the id that a name stands for, with or without folder and image suffix.

    Examples:
        >>> _published_id("airplane/Airplane_00001.JPG"), _published_id("harbor_port_00002"), _published_id("v1.5")
        ('airplane_00001', 'harbor&port_00002', 'v1.5')
    """
    name = PurePosixPath(name.replace("\\", "/")).name
    return image_id(name if split_suffix(name)[1] in IMAGE_SUFFIXES else f"{name}.jpg")
