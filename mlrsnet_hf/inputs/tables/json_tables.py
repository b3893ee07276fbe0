"""Tables of JSON: records, one a line or in a list, or columns.

Read here, since pyarrow's reader ends the process at some damaged files, and takes names for dates that look like them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.tables.image_files import has_image_suffix
from mlrsnet_hf.inputs.tables.text_tables import read_text, require_short_names

_DEEPEST = 8
"""Lists in lists of a cell; labels need one."""


@dataclass(frozen=True, slots=True)
class JsonTable:
    """The records of a file."""

    path: Path
    columns: Mapping[str, list[Any]]
    """Values by key; None where a record has no such key."""


def json_content(path: Path) -> Any:  # noqa: ANN401 - whatever the file says
    """Return what a file says; of JSON lines a list.

    Raises:
        ConfigurationError: It is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise ConfigurationError(f"{path}: no table, it holds nothing", "Give a table with a row for each image.")
    found = []
    for number, line in lines:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            cause = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ConfigurationError(
                f"{path}, line {number}: cannot be read as JSON ({cause[:200]})",
                "Write one JSON object a line, or a list of objects.",
            ) from error
    return found


def json_table(path: Path, content: Any) -> JsonTable:  # noqa: ANN401 - whatever the file says
    """Return the records that a file's content makes.

    It is a list of objects; an object with one such list in it, as `{"data": [...]}`; an object of columns, lists of
    one length; or an object with the names of images as keys and their labels as values.

    Raises:
        ConfigurationError: It is none of them.
    """
    if isinstance(content, dict):
        records = [value for value in content.values() if isinstance(value, list) and _are_objects(value)]
        lengths = {len(value) if isinstance(value, list) else -1 for value in content.values()}
        if len(records) == 1:
            content = records[0]
        elif content and all(has_image_suffix(name) for name in content):
            content = {"image": list(content), "labels": list(content.values())}
            return JsonTable(path, _checked(path, content))
        elif len(lengths) == 1 and -1 not in lengths:
            return JsonTable(path, _checked(path, content))
        else:
            content = [content]
    if not isinstance(content, list) or not _are_objects(content):
        raise ConfigurationError(
            f"{path}: no table, but {type(content).__name__} without records",
            "Write a list of objects, one for each image, or one object a line.",
        )
    names = dict.fromkeys(name for record in content for name in record)
    return JsonTable(path, _checked(path, {name: [record.get(name) for record in content] for name in names}))


def _are_objects(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)


def _checked(path: Path, columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    stripped = {name.strip(): values for name, values in columns.items()}
    if len(stripped) < len(columns):
        raise ConfigurationError(f"{path}: two columns have one name but for spaces", "Name each once.")
    require_short_names(path, stripped)
    for name, values in stripped.items():
        row = next((row for row, value in enumerate(values) if _is_deep(value, _DEEPEST)), None)
        if row is not None:
            raise ConfigurationError(f"{path}: {name!r} of record {row} is nested too deeply", "Give labels as a list.")
    return stripped


def _is_deep(value: Any, left: int) -> bool:  # noqa: ANN401 - any value of JSON
    if not isinstance(value, list | dict):
        return False
    entries = value.values() if isinstance(value, dict) else value
    return not left or any(_is_deep(entry, left - 1) for entry in entries)


def typed_json(tables: Mapping[str, Sequence[JsonTable]]) -> dict[str, list[Dataset]]:
    """Return each table with the same type of a column in all tables, that which all its values have.

    Raises:
        ConfigurationError: A column holds values of several types.
    """
    every = [table for part in tables.values() for table in part]
    kinds: dict[str, pa.DataType] = {}
    for name in dict.fromkeys(name for table in every for name in table.columns):
        values = [value for table in every for value in table.columns.get(name, ())]
        try:
            kinds[name] = pa.array(values).type
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise ConfigurationError(
                f"{every[0].path}: column {name!r} holds values of several kinds ({str(error)[:200]})",
                "Write all of a column in one way: lists of names, or lists of numbers.",
            ) from error
    return {
        split: [
            Dataset(pa.table({name: pa.array(values, kinds[name]) for name, values in table.columns.items()}))
            for table in part
        ]
        for split, part in tables.items()
    }
