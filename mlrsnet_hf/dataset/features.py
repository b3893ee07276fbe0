"""The features of every MLRSNet dataset; final, because files in circulation carry them."""

from typing import Any

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
