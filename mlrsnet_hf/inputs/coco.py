"""Annotations in the form of COCO: an image's labels are the categories of its annotations.

The form: https://cocodataset.org/#format-data, of which `images` (id, file_name), `annotations` (image_id, category_id)
and `categories` (id, name) are read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature

from mlrsnet_hf.errors import ConfigurationError

_REMEDY = "Export the annotations anew in COCO's form: images, annotations, categories."


def read_coco(path: Path) -> Dataset | None:
    """Return the images of a file with their labels; None if it is in another form.

    Returns:
        Columns `image` (file_name) and `labels` (classes, in the order of the categories' ids, none twice); without
        `labels` where the file has no `annotations`, as those of test images.

    Raises:
        ConfigurationError: An entry lacks what it needs, or refers to what is not there.
    """
    content = _content(path)
    if content is None:
        return None
    categories: dict[int, str] = {}
    for where, entry in _entries(path, content, "categories"):
        name = _of(where, entry, "name", str).strip()
        if _of(where, entry, "id", int) in categories or name in categories.values():
            raise ConfigurationError(f"{where}: id {entry['id']} or name {name!r} stands there twice", _REMEDY)
        categories[entry["id"]] = name
    numbers = {category: number for number, category in enumerate(sorted(categories))}
    files: dict[Any, str] = {}
    for where, entry in _entries(path, content, "images"):
        if _of(where, entry, "id", int, str) in files:
            raise ConfigurationError(f"{where}: id {entry['id']!r} stands there twice", _REMEDY)
        files[entry["id"]] = _of(where, entry, "file_name", str)
    if "annotations" not in content:
        return Dataset.from_dict({"image": list(files.values())}, features=Features({"image": Value("string")}))
    labels: dict[Any, set[int]] = {image: set() for image in files}
    for where, entry in _entries(path, content, "annotations"):
        for key, known in (("image_id", files), ("category_id", categories)):
            if _of(where, entry, key, int, str) not in known:
                raise ConfigurationError(f"{where}: {key} {entry[key]!r} is not in the file", _REMEDY)
        labels[entry["image_id"]].add(numbers[entry["category_id"]])
    classes = ClassLabel(names=[categories[category] for category in sorted(categories)])
    rows = {"image": list(files.values()), "labels": [sorted(labels[image]) for image in files]}
    return Dataset.from_dict(rows, features=Features({"image": Value("string"), "labels": ListFeature(classes)}))


def _content(path: Path) -> Mapping[str, Any] | None:
    """Return the file's object if it is one of COCO's; a file of JSON lines is not read to its end."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
            if not first.lstrip().startswith("{"):
                return None
            try:
                content = json.loads(first)
            except ValueError:
                content = json.loads(first + file.read())
    except (OSError, ValueError, RecursionError):
        return None  # whatever reads it next tells what is wrong
    is_coco = isinstance(content, dict) and "images" in content and {"annotations", "categories"} & set(content)
    return content if is_coco else None


def _entries(path: Path, content: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path}: {'no list of ' if key in content else 'no '}{key}", _REMEDY)
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{path}, {key}[{number}]: no object", _REMEDY)
    return [(f"{path}, {key}[{number}]", entry) for number, entry in enumerate(entries)]


def _of(where: str, entry: Mapping[str, Any], key: str, *kinds: type) -> Any:  # noqa: ANN401 - one of the kinds
    value = entry.get(key)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ConfigurationError(f"{where}: {key!r} is {str(value)[:60]!r}", _REMEDY)
    return value
