"""Annotations in the form of COCO: an image's labels are the categories of its annotations.

The form: https://cocodataset.org/#format-data, of which `images` (id, file_name), `annotations` (image_id, category_id)
and `categories` (id, name) are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value
from datasets import Sequence as ListFeature

from mlrsnet_hf.errors import ConfigurationError

_REMEDY = "Export the annotations anew in COCO's form: images, annotations, categories."


def is_coco(content: object) -> bool:
    """Return whether what a JSON file says is in COCO's form."""
    return isinstance(content, dict) and "images" in content and bool({"annotations", "categories"} & set(content))


def read_coco(path: Path, content: Mapping[str, Any]) -> Dataset:
    """Return the images of a file with their labels.

    Args:
        path: The file, for errors.
        content: What it says.

    Returns:
        Columns `image` (file_name) and `labels` (classes, in the order of the categories' ids, none twice); without
        `labels` where the file has no `annotations`, as those of test images.

    Raises:
        ConfigurationError: An entry lacks what it needs, or refers to what is not there.
    """
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
