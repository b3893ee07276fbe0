"""The features of every MLRSNet dataset; final, because files in circulation carry them."""

from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Features, Image, Sequence, Value

from mlrsnet_hf.release.release import Record
from mlrsnet_hf.taxonomy import GROUP_NAMES, LABEL_NAMES, SCENE_NAMES

FEATURES = Features(
    {
        "id": Value("string"),
        "image": Image(),
        "group": ClassLabel(names=list(GROUP_NAMES)),
        "scene": ClassLabel(names=list(SCENE_NAMES)),
        "labels": Sequence(ClassLabel(names=list(LABEL_NAMES))),
        "repaired": Value("bool"),
    }
)


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


def portable_schema(features: Features) -> pa.Schema:
    """Return the Arrow schema of features, written so that `datasets` reads it before and since its version 4.

    Version 4 renamed the feature `Sequence` to `List`, which earlier versions refuse; both read `Sequence`.
    """
    schema = features.arrow_schema
    key = b"huggingface"
    return schema.with_metadata({key: schema.metadata[key].replace(b'"_type": "List"', b'"_type": "Sequence"')})
