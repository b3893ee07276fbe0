"""What a model learns, and the data that it learns from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from datasets import Dataset

TaskKind = Literal["labels", "labels+scene", "scene"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The outputs of a model: first one per label (sigmoid), then one per scene (softmax)."""

    kind: TaskKind
    label_names: tuple[str, ...]
    """In the order of the label ids; of data that has labels even if the model does not learn them."""
    scene_names: tuple[str, ...] = ()
    """In the order of the scene ids; empty where the data names no scenes."""

    @property
    def label_outputs(self) -> int:
        """Number of the outputs that stand for labels."""
        return 0 if self.kind == "scene" else len(self.label_names)

    @property
    def scene_outputs(self) -> int:
        """Number of the outputs that stand for scenes."""
        return 0 if self.kind == "labels" else len(self.scene_names)

    @property
    def outputs(self) -> int:
        """Number of all outputs."""
        return self.label_outputs + self.scene_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The splits, in one form whatever dataset they come from."""

    splits: Mapping[str, Dataset]
    """`train` and `validation`, and `test` if there is one, with the columns `id` (text), `image`, `labels` (list of
    label ids) and, where scenes are known, `scene` (scene id)."""
    label_names: tuple[str, ...]
    scene_names: tuple[str, ...]
    """Empty where the data names no scenes."""
    source: Mapping[str, Any]
    """What results and cards say of the data: `dataset`, `protocol`, `split_seed`, `labels` (label version), `repaired`
    (rows), `fingerprint` (of the splits' content)."""
