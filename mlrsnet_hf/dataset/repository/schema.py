"""The columns of a dataset repository, written so that `datasets` reads them before and since its version 4.

Version 4 renamed the feature `Sequence` to `List`, which earlier versions refuse; both read `Sequence`.
"""

import json
from typing import Any

import pyarrow as pa

from mlrsnet_hf.taxonomy import GROUP_NAMES, LABEL_NAMES, SCENE_NAMES


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _class_label(names: tuple[str, ...]) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


_FEATURES = {
    "id": _value("string"),
    "image": {"_type": "Image"},
    "group": _class_label(GROUP_NAMES),
    "scene": _class_label(SCENE_NAMES),
    "labels": {"feature": _class_label(LABEL_NAMES), "_type": "Sequence"},
    "repaired": _value("bool"),
}

ARROW_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "group": pa.int64(),
        "scene": pa.int64(),
        "labels": pa.list_(pa.int64()),
        "repaired": pa.bool_(),
    },
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def card_features() -> list[dict[str, Any]]:
    """Return the features as a card's `dataset_info` has them."""

    def class_label(names: tuple[str, ...]) -> dict[str, Any]:
        return {"class_label": {"names": {str(i): name for i, name in enumerate(names)}}}

    return [
        {"name": "id", "dtype": "string"},
        {"name": "image", "dtype": "image"},
        {"name": "group", "dtype": class_label(GROUP_NAMES)},
        {"name": "scene", "dtype": class_label(SCENE_NAMES)},
        {"name": "labels", "sequence": class_label(LABEL_NAMES)},
        {"name": "repaired", "dtype": "bool"},
    ]
