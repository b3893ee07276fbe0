"""The columns of MLRSNet: of the loaded dataset, of a prepared repository, of its card; final, for files carry them.

They are written so that `datasets` reads them before and since its version 4, which renamed the feature `Sequence` to
`List`: earlier versions refuse that name, both read `Sequence`.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from datasets import Features

from mlrsnet_hf.release import Record
from mlrsnet_hf.taxonomy import GROUP_NAMES, LABEL_NAMES, SCENE_NAMES


def value(dtype: str) -> dict[str, Any]:
    """Return a plain feature as files store it."""
    return {"dtype": dtype, "_type": "Value"}


def class_label(names: Sequence[str]) -> dict[str, Any]:
    """Return a feature of named classes as files store it."""
    return {"names": list(names), "_type": "ClassLabel"}


COLUMNS = {
    "id": value("string"),
    "image": {"_type": "Image"},
    "group": class_label(GROUP_NAMES),
    "scene": class_label(SCENE_NAMES),
    "labels": {"feature": class_label(LABEL_NAMES), "_type": "Sequence"},
    "repaired": value("bool"),
}
"""Every column and its feature, as files store it."""

FEATURES = Features.from_dict(COLUMNS)
ARROW_SCHEMA = FEATURES.arrow_schema.with_metadata({"huggingface": json.dumps({"info": {"features": COLUMNS}})})


def to_example(record: Record) -> dict[str, Any]:
    """Return the record as a row of `FEATURES`, its image file untouched."""
    return {
        "id": record.id,
        "image": {"bytes": record.image, "path": record.file_name},
        "group": record.scene.group.id,
        "scene": record.scene.id,
        "labels": list(record.labels),
        "repaired": record.repaired,
    }


def to_table(records: Sequence[Record]) -> pa.Table:
    """Return records as a table of `ARROW_SCHEMA`, their image files untouched."""
    return pa.Table.from_pylist(list(map(to_example, records)), schema=ARROW_SCHEMA)


def card_features() -> list[dict[str, Any]]:
    """Return the features as a card's `dataset_info` has them."""

    def dtype(feature: dict[str, Any]) -> Any:  # noqa: ANN401 - a name, or the classes
        if feature["_type"] == "ClassLabel":
            return {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}
        return feature.get("dtype", "image")

    return [
        {"name": name, "sequence": dtype(feature["feature"])}
        if feature["_type"] == "Sequence"
        else {"name": name, "dtype": dtype(feature)}
        for name, feature in COLUMNS.items()
    ]
