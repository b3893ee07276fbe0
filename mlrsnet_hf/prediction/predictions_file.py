"""What a model said of a split, as a Parquet file from which every score can be computed again without the network.

A row for each image: `id`; `scores` (float64, one for each label) and `labels` (ids of those that it has), and
`unknown_labels` where nothing is known of some; `scene` where the data names scenes, `scene_scores` where the model
tells them. The names stand in the metadata that `datasets.load_dataset` reads, and what was evaluated on what under
`SCHEMA_KEY`.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from mlrsnet_hf.configuration.json_file import Name, parse_json
from mlrsnet_hf.configuration.settings import Count, CountOrZero
from mlrsnet_hf.dataset.repository.schema import class_label, value
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.evaluation.scores import Predictions, Scores
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.columns.columns import UNKNOWN
from mlrsnet_hf.inputs.config import MLRSNET, TaskKind
from mlrsnet_hf.inputs.named_dataset import OTHER_IMAGES
from mlrsnet_hf.inputs.task import Task

PREDICTIONS = "predictions.parquet"
"""The file's name in the folder of an evaluation."""
FORMAT = 1
SCHEMA_KEY = b"mlrsnet_predictions"
_REMEDY = "Make it again with `mlrsnet evaluate`, or fetch it again."
_ROW_GROUP = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model was evaluated."""

    name: Name
    """A timm name, a repository of the Hub, or the name of a folder."""
    architecture: Name | None
    """timm's name of the network, where it is one of timm's."""
    fingerprint: Name
    """Hash of the weights and of the preprocessing."""
    image_size: Count
    """Side in pixels of the square that the network sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIdentity:
    """Which images a model was evaluated on."""

    dataset: Name
    """Name of the dataset; no path of the machine."""
    hub_id: Name | None
    """Its repository on the Hub, if it is from there."""
    protocol: Name | None
    split: Name
    split_seed: int | None
    label_version: Name | None
    """Of mlrsnet: verified or as-published."""
    is_mlrsnet: bool
    synthetic: bool
    images: Count
    fingerprint: Name
    """Hash of ids, labels and scenes, in order."""

    @property
    def name(self) -> str:
        """What the images are called, which may be others than the dataset's usual ones."""
        if self.synthetic:
            return "synthetic scenes"
        if self.is_mlrsnet:
            return "MLRSNet"
        return OTHER_IMAGES if self.dataset == MLRSNET else self.dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsInfo:
    """What was evaluated on what, and how."""

    kind: TaskKind
    """What of the model is scored."""
    model: ModelIdentity
    data: DataIdentity
    symmetries: Count
    """Views of each image whose logits were averaged."""
    thresholds: Mapping[Name, float]
    """Score above which an image is said to have a label, by label."""
    thresholds_from: Name
    """Where they come from, in words."""
    threshold_notes: tuple[str, ...] = ()
    """What a reader has to know of them, in whole sentences."""
    trained_on: CountOrZero | None
    """Number of the images that the model was trained on; None where nothing tells."""
    only_in_model: tuple[Name, ...] = ()
    """Labels, or scenes where these alone are scored, that the data does not name; they are not scored."""
    only_in_data: tuple[Name, ...] = ()
    """Those that the model does not know; they are not scored."""
    respelled: Mapping[Name, Name] = dataclasses.field(default_factory=dict)
    """The data's name of a label to the model's, where these differ."""
    notes: tuple[str, ...] = ()
    """What else a reader has to know, in whole sentences."""


@dataclass(frozen=True, slots=True)
class ScoredPredictions(Predictions):
    """Predictions whose scores are given; a score of 1, which hides how large the logit was, stays a score of 1."""

    given_scores: Scores | None = None
    """(N, L)."""
    given_scene_scores: Scores | None = None
    """(N, number of scenes)."""

    @property
    def scores(self) -> Scores:
        """(N, L) as they are given."""
        assert self.given_scores is not None, "`of_scores` gives them"
        return self.given_scores

    @property
    def scene_scores(self) -> Scores:
        """(N, number of scenes) as they are given."""
        assert self.given_scene_scores is not None, "the task learns scenes"
        return self.given_scene_scores

    @classmethod
    def of_scores(
        cls,
        targets: npt.NDArray[np.float32],
        scores: Scores,
        scenes: npt.NDArray[np.int64] | None = None,
        scene_scores: Scores | None = None,
    ) -> "ScoredPredictions":
        """Return predictions of (N, L) targets and scores and, where scenes are told, (N,) ids and (N, S) scores."""
        with np.errstate(divide="ignore"):  # of 0 and 1 the logits are infinite
            return cls(
                targets=targets,
                logits=np.log(scores) - np.log1p(-scores),
                scenes=scenes,
                scene_logits=None if scene_scores is None else np.log(scene_scores),
                given_scores=scores,
                given_scene_scores=scene_scores,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPredictions:
    """The answer of a model to a split, with the names of images, labels and scenes."""

    info: PredictionsInfo
    ids: tuple[str, ...]
    """Of the images, each another."""
    task: Task
    """The labels and scenes that are scored; its scenes are known too where the model tells none."""
    predictions: ScoredPredictions
    scenes: npt.NDArray[np.int64] | None = None
    """(N,) ids of the images' scenes in `task.scene_names`; None where the data names none."""

    @property
    def thresholds(self) -> Scores:
        """(L,) threshold of each label."""
        names = self.task.label_names[: self.task.label_outputs]
        return np.array([self.info.thresholds[name] for name in names], np.float64)

    def write(self, path: Path) -> None:
        """Write the Parquet file, whole or not at all.

        Raises:
            ConfigurationError: It cannot be written.
        """
        columns = _columns(self.task, self.scenes is not None, self._has_unknown)
        schema = _schema(columns, self.info)
        targets = self.predictions.targets
        values: dict[str, Any] = {"id": list(self.ids), "scene": self.scenes}
        if self.task.label_outputs:
            values |= {"labels": _ids_of(targets == 1), UNKNOWN: _ids_of(np.isnan(targets))}
            values["scores"] = _matrix_column(self.predictions.scores)
        if self.task.scene_outputs:
            values["scene_scores"] = _matrix_column(self.predictions.scene_scores)
        arrays = [_array(values[field.name], field.type) for field in schema]
        with whole_file(path) as partial:
            # Random bits: a dictionary would make scores no smaller.
            pq.write_table(
                pa.Table.from_arrays(arrays, schema=schema),
                partial,
                use_dictionary=["scene"],
                row_group_size=_ROW_GROUP,
            )

    @property
    def _has_unknown(self) -> bool:
        return bool(np.isnan(self.predictions.targets).any())


def read_predictions(path: Path) -> SavedPredictions:
    """Read the file that `SavedPredictions.write` wrote, or that of an evaluation's folder.

    Args:
        path: The file, or the folder that it lies in.

    Raises:
        ConfigurationError: There is none, it is damaged, or it holds something else; the message names the file and
            what is wrong in it.
    """
    path = path / PREDICTIONS if path.is_dir() else path
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        info = _read_info(path, schema, file.metadata.num_rows)
        task, has_scenes = _read_names(path, schema, info)
        table = file.read()
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file", _REMEDY) from None
    # UnicodeDecodeError: names of columns that are no text.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        told = str(error).split("\n")[0][:200]
        raise ConfigurationError(f"{path}: cannot be read as Parquet ({told})", _REMEDY) from error
    ids = _texts(path, table)
    targets: np.ndarray = np.empty((len(ids), 0), np.float32)
    scores: np.ndarray = np.empty((len(ids), 0))
    scene_scores = scenes = None
    if task.label_outputs:
        scores = _scores(path, table, "scores", task.label_outputs)
        targets = _multi_hot(path, table, "labels", task.label_outputs)
        if UNKNOWN in table.column_names:
            unknown = _multi_hot(path, table, UNKNOWN, task.label_outputs)
            _refuse(path, ((targets == 1) & (unknown == 1)).any(), "a label is both there and unknown")
            targets[unknown == 1] = np.nan
    if has_scenes:
        scenes = _ids(path, table["scene"], "scene", len(task.scene_names))
    if task.scene_outputs:
        scene_scores = _scores(path, table, "scene_scores", task.scene_outputs)
    told_scenes = scenes if task.scene_outputs else None
    predictions = ScoredPredictions.of_scores(targets, scores, told_scenes, scene_scores)
    return SavedPredictions(info=info, ids=ids, task=task, predictions=predictions, scenes=scenes)


def _columns(task: Task, has_scenes: bool, has_unknown: bool) -> dict[str, Any]:
    """Return the features of a file, as `datasets` stores them."""
    columns = {"id": value("string")}
    if task.label_outputs:
        labels = {"feature": class_label(task.label_names), "_type": "Sequence"}
        columns["labels"] = labels
        if has_unknown:
            columns[UNKNOWN] = labels
        columns["scores"] = _matrix_feature(task.label_outputs)
    if has_scenes:
        columns["scene"] = class_label(task.scene_names)
    if task.scene_outputs:
        columns["scene_scores"] = _matrix_feature(task.scene_outputs)
    return columns


def _matrix_feature(width: int) -> dict[str, Any]:
    return {"feature": value("float64"), "length": width, "_type": "Sequence"}


def _schema(columns: Mapping[str, Any], info: PredictionsInfo) -> pa.Schema:
    metadata = {
        b"huggingface": json.dumps({"info": {"features": columns}}),
        SCHEMA_KEY: json.dumps({"format": FORMAT} | dataclasses.asdict(info), allow_nan=False),
    }
    return Features.from_dict(dict(columns)).arrow_schema.with_metadata(metadata)


def _ids_of(marked: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    return [np.flatnonzero(row) for row in marked]


def _matrix_column(matrix: Scores) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), matrix.shape[1])


def _array(values: Any, kind: pa.DataType) -> pa.Array:  # noqa: ANN401 - a list or an array
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def _read_info(path: Path, schema: pa.Schema, rows: int) -> PredictionsInfo:
    told = (schema.metadata or {}).get(SCHEMA_KEY)
    if told is None:
        raise ConfigurationError(f"{path}: holds no predictions of `mlrsnet evaluate`", _REMEDY)
    content = parse_json(told, Mapping[str, Any], str(path), _REMEDY)
    if content.get("format") != FORMAT:
        raise ConfigurationError(
            f"{path}: predictions of format {quoted(content.get('format'))}, this version reads {FORMAT}",
            "Make them again with `mlrsnet evaluate`, or use the version of mlrsnet-hf that made them.",
        )
    known = {field.name for field in dataclasses.fields(PredictionsInfo)}  # a later version may say more
    info: PredictionsInfo = parse_json(
        json.dumps({name: part for name, part in content.items() if name in known}),
        PredictionsInfo,
        str(path),
        _REMEDY,
    )
    _refuse(path, info.data.images != rows, f"{rows:,} rows where {info.data.images:,} are said to be")
    _refuse(path, not all(map(math.isfinite, info.thresholds.values())), "a threshold is no number")
    return info


def _read_names(path: Path, schema: pa.Schema, info: PredictionsInfo) -> tuple[Task, bool]:
    """Return labels and scenes as the features name them, and whether each image has a scene."""
    features = _features(path, schema)
    labels = _class_names(features.get("labels", {}).get("feature")) if info.kind != "scene" else ()
    scenes = _class_names(features.get("scene"))
    for part, names in (("label", labels), ("scene", scenes)):
        _refuse(path, names is None, f"the names of the {part}s are missing, or are no names")
        _refuse(path, len(set(names or ())) < len(names or ()), f"two {part}s have the same name")
    task = Task(kind=info.kind, label_names=labels or (), scene_names=scenes or ())
    _refuse(path, not task.outputs, "nothing is predicted")
    _refuse(
        path,
        set(info.thresholds) != set(task.label_names[: task.label_outputs]),
        "the thresholds are not of its labels",
    )
    has_scenes = bool(task.scene_names)
    wanted = Features.from_dict(_columns(task, has_scenes, UNKNOWN in schema.names)).arrow_schema
    _refuse(path, len(set(schema.names)) < len(schema.names), "a column stands twice")
    for field in wanted:
        kind = schema.field(field.name).type if field.name in schema.names else None
        _refuse(path, kind != field.type, f"column {field.name!r} is {kind} where it should be {field.type}")
    return task, has_scenes


def _features(path: Path, schema: pa.Schema) -> dict[str, dict[str, Any]]:
    told = (schema.metadata or {}).get(b"huggingface", b"{}")
    content = parse_json(told, Mapping[str, Any], str(path), _REMEDY)
    info = content.get("info")
    features = info.get("features") if isinstance(info, dict) else None
    _refuse(path, not isinstance(features, dict), "the features of its columns are missing")
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}  # type: ignore[union-attr]


def _class_names(feature: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever JSON holds
    """Return the names of a feature of classes, () where there is no such feature, None where they are no names."""
    if feature is None:
        return ()
    names = feature.get("names") if isinstance(feature, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and len(name) <= 1000 for name in names):
        return None
    return tuple(names)


def _texts(path: Path, table: pa.Table) -> tuple[str, ...]:
    column = table["id"]
    _refuse(path, column.null_count, "an image has no id")
    ids = tuple(column.to_pylist())
    _refuse(path, len(set(ids)) < len(ids), "two images have the same id")
    return ids


def _scores(path: Path, table: pa.Table, name: str, width: int) -> Scores:
    chunks = table[name].chunks
    nulls = any(chunk.null_count or chunk.flatten().null_count for chunk in chunks)
    _refuse(path, nulls, f"column {name!r} lacks a value")
    values = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]).reshape(-1, width)
    # NaN is not within these either.
    _refuse(path, not ((values >= 0) & (values <= 1)).all(), f"column {name!r} holds a value outside 0 to 1")
    return values


def _multi_hot(path: Path, table: pa.Table, name: str, width: int) -> npt.NDArray[np.float32]:
    """Return lists of ids as (N, width), 1 where an id is named."""
    column = table[name]
    _refuse(path, column.null_count, f"column {name!r} lacks a value")
    rows = np.repeat(np.arange(len(column)), [len(row) for row in column.to_pylist()])
    marked = np.zeros((len(column), width), np.float32)
    marked[rows, _ids(path, pa.chunked_array([chunk.flatten() for chunk in column.chunks]), name, width)] = 1
    return marked


def _ids(path: Path, column: pa.ChunkedArray, name: str, names: int) -> npt.NDArray[np.int64]:
    _refuse(path, column.null_count, f"column {name!r} lacks a value")
    values: npt.NDArray[np.int64] = column.to_numpy()
    _refuse(path, ((values < 0) | (values >= names)).any(), f"column {name!r} names what is none of {names}")
    return values


def _refuse(path: Path, is_wrong: Any, found: str) -> None:  # noqa: ANN401 - anything that is true
    if is_wrong:
        raise ConfigurationError(f"{path}: {found}", _REMEDY)
