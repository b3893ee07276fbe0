"""The images of a dataset in one form, and the task: what the outputs of a model stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import TaskKind
from mlrsnet_hf.inputs.pixels.reading import RGB, Reading
from mlrsnet_hf.inputs.stream_reading import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The outputs of a model: first one per label (sigmoid), then one per scene (softmax)."""

    kind: TaskKind
    label_names: tuple[str, ...]
    """Labels in the order of their ids; known even where the model learns the scenes alone, if its data has labels."""
    scene_names: tuple[str, ...] = ()
    """Scenes in the order of their ids; empty where the data names no scenes."""

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

    @property
    def output_names(self) -> tuple[str, ...]:
        """What each output stands for."""
        return self.label_names[: self.label_outputs] + self.scene_names[: self.scene_outputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """The splits of a dataset, in one form whatever it is."""

    splits: Mapping[str, Dataset]
    """`train` and `validation`, and `test` if there is one, with the columns `id` (text), `image`, `labels` (list of
    label ids), where scenes are known `scene` (scene id), and where not all is known of the labels `unknown_labels`
    (list of label ids)."""
    label_names: tuple[str, ...]
    """Labels in the order of their ids; empty where the data has no labels."""
    scene_names: tuple[str, ...]
    """Scenes in the order of their ids; empty where the data names no scenes."""
    source: Mapping[str, Any]
    """What results and cards say of the data: `dataset`, `hub_id`, `protocol`, `split_seed`, `held_out` (images),
    `labels` (label version), `repaired` (rows), `is_mlrsnet` (whether the rows were published), `synthetic`,
    `fingerprint` (of the splits' content), and `unknown_labels` (number by split) where there are such; and what
    `Reading.to_json` gives, where that is not RGB."""
    reading: Reading = RGB
    """How the image files are read."""
    stream: Stream | None = None
    """Where the image files are, if they are streamed: the splits have the column `place` then, and no `image`."""


def make_task(data: ImageData, scene_head: bool = False, single_label: bool = False) -> Task:
    """Return the task of learning the labels, with `scene_head` the scenes too, with `single_label` the scenes alone.

    Raises:
        ConfigurationError: The data lacks the labels or scenes that are to be learned.
    """
    if not data.scene_names and (scene_head or single_label):
        setting = "scene_head" if scene_head else "single_label"
        raise ConfigurationError(
            f"{setting} needs scenes, and the data names none", "Name their column as scene_column, or leave it out."
        )
    if not data.label_names and not single_label:
        raise ConfigurationError(
            "the data has no labels to learn", "Name their column as labels_column, or give single_label."
        )
    kind: TaskKind = "scene" if single_label else "labels+scene" if scene_head else "labels"
    return Task(kind=kind, label_names=data.label_names, scene_names=data.scene_names)
