"""A trained model and a split to its saved predictions, in any number of processes."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accelerate import Accelerator
from datasets import Dataset

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.evaluation.predict import predict_logits
from mlrsnet_hf.evaluation.scores import Predictions, few_images, tune_thresholds
from mlrsnet_hf.inputs.columns.columns import UNKNOWN
from mlrsnet_hf.inputs.config import DataConfig, TaskKind
from mlrsnet_hf.inputs.load import LabeledSplit, load_split
from mlrsnet_hf.inputs.loader import LockstepLoader, evaluation_loader
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.inputs.pixels.reading import Reading
from mlrsnet_hf.inputs.split_images import SplitImages, multi_hot
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.metrics.registry import PAPER_THRESHOLD
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.models.named_model import NamedModel, load_named_model
from mlrsnet_hf.prediction.classifier import require_task
from mlrsnet_hf.prediction.config import EvaluationConfig
from mlrsnet_hf.prediction.matching import Match, match_labels, match_scenes
from mlrsnet_hf.prediction.predictions_file import (
    PREDICTIONS,
    DataIdentity,
    ModelIdentity,
    PredictionsInfo,
    SavedPredictions,
    ScoredPredictions,
)
from mlrsnet_hf.prediction.scale import warn_of_other_scale
from mlrsnet_hf.prediction.threshold_notes import threshold_notes
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import explain_memory
from mlrsnet_hf.training.learned_images import few_that_chose, is_timms_own, learned_among

Load = Callable[[DataConfig, str, Reading], LabeledSplit]
"""Loads a split, as `load_split` does."""

_CHOSEN = "these images chose the epoch of the model, and its thresholds if it has any: expect less on others"
_SHOWN = 300
"""Characters of the names of a model's and a dataset's labels in an error."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluated:
    """A model's answer to a split, and the images that it is about."""

    saved: SavedPredictions
    rows: Dataset
    """Columns `id`, `image` and others, in the order of the predictions."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Common:
    """What of a model's outputs is scored on a split."""

    kind: TaskKind
    labels: Match
    scenes: Match
    rows: Dataset
    """Those that are scored."""
    notes: tuple[str, ...]

    def task(self, split: LabeledSplit) -> Task:
        """Return the labels and scenes that are scored, and all scenes of the data where these are no outputs."""
        scenes = split.scene_names if self.kind == "labels" else self.scenes.names
        return Task(kind=self.kind, label_names=() if self.kind == "scene" else self.labels.names, scene_names=scenes)


def evaluate_model(
    name: str, config: EvaluationConfig, data: DataConfig, accelerator: Accelerator, load: Load | None = None
) -> Evaluated:
    """Return a model's answer to a split; all processes of an `accelerate launch` call it.

    Labels are matched by name; those that only one side has are listed and not scored.

    Args:
        name: Folder of a run or of a saved model, or a repository of the Hub.
        config: Names the split, and says how it is measured.
        data: Names the dataset; `bands` and `value_range` are of the model.
        accelerator: Knows the device, the precision and the other processes.
        load: Loads a split; pass one that remembers, where several models are evaluated on it.

    Raises:
        MLRSNetError: The model or the dataset cannot be used, they have no label in common, or the model was trained on
            some of the images and that is not allowed.
        ImageError: An image cannot be read.
        OutOfMemoryError: A batch does not fit the device.
    """
    processes = Collectives(accelerator)
    if is_timms_own(name):
        raise ConfigurationError(
            f"{name}: neither a folder nor a repository of the Hub, and a network of timm's own names no labels",
            "Give the folder of a run or of a saved model, or USER/NAME.",
        )
    choice = ModelChoice(model=name, bands=data.bands, value_range=data.value_range)
    model = processes.run_on_all(lambda: load_named_model(choice))
    model_task = require_task(model)

    remembering = load or lru_cache(load_split)

    def load_common(split: str) -> tuple[LabeledSplit, _Common]:
        reading = model.preprocessing.reading
        processes.run_on_main(lambda: remembering(data, split, reading))  # the others then find it prepared
        loaded = processes.run_on_all(lambda: remembering(data, split, reading))
        return loaded, processes.run_on_all(lambda: _common(model.name, model_task, loaded))

    split, common = load_common(config.split)
    reading = model.preprocessing.reading

    def load_train() -> LabeledSplit:
        return remembering(data, "train", reading)

    trained_on, has_chosen = processes.run_on_main(
        lambda: learned_among(name, model, split, common.rows, data, load_train, config.allow_trained)
    )
    files, ids = ImageFiles(common.rows), tuple(common.rows["id"][:])
    processes.run_on_main(lambda: warn_of_other_scale(files, ids, reading))
    network = model.model.to(accelerator.device)
    model = dataclasses.replace(model, model=network)
    task = common.task(split)
    thresholds, origin = _own_thresholds(model, model_task, common, config)
    notes_on_thresholds: list[str] = []
    if config.thresholds == "model" and model.thresholds is not None and config.thresholds_from is None:
        scored = dict(zip(task.label_names[: task.label_outputs], thresholds, strict=True))
        few = processes.run_on_main(lambda: few_that_chose(name, model))
        by_data = {common.labels.respelled.get(label, label): label for label in scored}
        named = {by_data[label]: count for label, count in few.items() if label in by_data}
        notes_on_thresholds += threshold_notes(scored, named)
    if config.thresholds_from is not None and task.label_outputs:
        chooser, of_chooser = load_common(config.thresholds_from)
        if of_chooser.labels.names != common.labels.names:
            raise ConfigurationError(
                f"the splits {config.split!r} and {config.thresholds_from!r} name other labels",
                "Choose thresholds on a split of the same labels.",
            )
        found = _predictions(model, model_task, chooser, of_chooser, config, accelerator)
        thresholds, origin = tune_thresholds(found).tolist(), f"the {config.thresholds_from} split"
        notes_on_thresholds = _notes_on_chooser(found, task, thresholds, config)
    predictions = _predictions(model, model_task, split, common, config, accelerator)
    _refuse_no_numbers(predictions, ids, model.name)
    matched = common.scenes if common.kind == "scene" else common.labels
    names = task.label_names[: task.label_outputs]
    info = PredictionsInfo(
        kind=common.kind,
        model=_identity(model),
        data=_data_identity(split, len(ids), config.split),
        symmetries=config.symmetries,
        thresholds=dict(zip(names, thresholds, strict=True)),
        thresholds_from=origin,
        threshold_notes=tuple(notes_on_thresholds),
        trained_on=trained_on,
        only_in_model=matched.only_in_model,
        only_in_data=matched.only_in_data,
        respelled=matched.respelled,
        notes=(*common.notes, *([_CHOSEN] if has_chosen else [])),
    )
    scenes = None
    if task.scene_names:
        scenes = np.array(common.rows["scene"][:], np.int64)
        scenes = predictions.scenes if predictions.scenes is not None else scenes
    saved = SavedPredictions(info=info, ids=ids, task=task, predictions=predictions, scenes=scenes)
    return Evaluated(saved, common.rows)


def _common(name: str, task: Task, split: LabeledSplit) -> _Common:
    """Return what of a model's outputs can be scored on a split.

    Raises:
        ConfigurationError: Nothing.
    """
    labels = match_labels(task.label_names[: task.label_outputs], split.label_names)
    scenes = match_scenes(task.scene_names[: task.scene_outputs], split.scene_names)
    if not labels.names and not scenes.names:
        compared = [
            f"{what} of the model: {_few(ours)}; of the data: {_few(theirs)}"
            for what, ours, theirs in (
                ("labels", task.label_names[: task.label_outputs], split.label_names),
                ("scenes", task.scene_names[: task.scene_outputs], split.scene_names),
            )
            if ours
        ]
        raise ConfigurationError(
            f"{name} and the data have no label in common ({'; '.join(compared)})",
            "Give a model of these labels, or the data's columns (--labels-column, --label-columns, --scene-column).",
        )
    rows, notes = split.rows, []
    if task.label_outputs and split.label_names and not labels.names:
        notes.append(
            "no label in common, so scenes alone are scored: the model names "
            f"{_few(task.label_names[: task.label_outputs])}, the data {_few(split.label_names)}"
        )
    kind: TaskKind = "labels" if not scenes.names else "labels+scene" if labels.names else "scene"
    if kind != "labels" and len(scenes.names) < len(split.scene_names):
        known = np.isin(rows["scene"][:], scenes.ids)
        unknown = int((~known).sum())
        if unknown and kind == "scene":
            rows = rows.select(np.flatnonzero(known))
            notes.append(f"{unknown:,} images of scenes that the model does not know are left out")
        elif unknown:
            kind = "labels"
            notes.append(f"scenes are not scored: the model does not know those of {unknown:,} images")
    if not len(rows):
        raise ConfigurationError(f"{name} knows the scene of no image", "Give a model of these scenes.")
    if kind == "labels+scene" and scenes.only_in_model:
        notes.append(f"scenes that the data does not name are no answers here: {', '.join(scenes.only_in_model[:12])}")
    if labels.respelled:
        told = ", ".join(f"{one!r} for {other!r}" for one, other in list(labels.respelled.items())[:12])
        notes.append(f"the data spells labels otherwise than the model: {told}")
    return _Common(kind, labels, scenes, rows, tuple(notes))


def _few(names: Sequence[str]) -> str:
    return shortened(", ".join(names), _SHOWN) or "none"


def _predictions(
    model: NamedModel,
    model_task: Task,
    split: LabeledSplit,
    common: _Common,
    config: EvaluationConfig,
    accelerator: Accelerator,
) -> ScoredPredictions:
    """Run the network over the rows, and return what is scored of its outputs."""
    reading, rows = model.preprocessing.reading, common.rows
    images = SplitImages(
        rows, Task(kind="labels", label_names=()), model.preprocessing.evaluation_transform(), reading=reading
    )
    batches = math.ceil(math.ceil(len(images) / accelerator.num_processes) / config.batch_size)
    whole = evaluation_loader(images, config.batch_size, config.num_workers, accelerator)
    loader = LockstepLoader(whole, batches, Collectives(accelerator).raise_together)
    try:
        with explain_memory(f"evaluation of {config.batch_size} images at once", "Lower --batch-size."):
            logits = predict_logits(
                model.model, loader, model.preprocessing, accelerator, "evaluating", config.symmetries
            )
    finally:
        loader.close()
    labels, scenes, scene_logits = model_task.label_outputs, None, None
    targets: npt.NDArray[np.float32] = np.zeros((len(images), 0), np.float32)
    outputs = common.labels.outputs[:0]
    if common.kind != "scene":
        outputs = common.labels.outputs
        targets = _targets(rows, len(split.label_names), common.labels.ids)
    if common.kind != "labels":
        places = {number: place for place, number in enumerate(common.scenes.ids.tolist())}
        scenes = np.array([places[number] for number in rows["scene"][:]], np.int64)
        scene_logits = logits[:, labels:][:, common.scenes.outputs]
    found = Predictions(targets, logits[:, :labels][:, outputs], scenes, scene_logits)
    scene_scores = None if scene_logits is None else found.scene_scores
    return ScoredPredictions.of_scores(targets, found.scores, scenes, scene_scores)


def _targets(rows: Dataset, labels: int, columns: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the (N, M) targets of some of the data's labels: 0 or 1, NaN where nothing is known."""
    targets = multi_hot(rows["labels"][:], labels).numpy()
    if UNKNOWN in rows.column_names:
        targets[multi_hot(rows[UNKNOWN][:], labels).numpy() == 1] = np.nan
    chosen: npt.NDArray[np.float32] = targets[:, columns]
    return chosen


def _own_thresholds(
    model: NamedModel, task: Task, common: _Common, config: EvaluationConfig
) -> tuple[list[float], str]:
    """Return the threshold of each label that is scored, and where they come from."""
    names = [] if common.kind == "scene" else [task.label_names[output] for output in common.labels.outputs]
    if config.thresholds != "model":
        return [config.thresholds] * len(names), f"{config.thresholds:g} for all labels"
    if model.thresholds is None:
        return [PAPER_THRESHOLD] * len(names), f"{PAPER_THRESHOLD} for all labels"
    return [model.thresholds.get(name, PAPER_THRESHOLD) for name in names], "the model"


def _notes_on_chooser(
    found: Predictions, task: Task, thresholds: Sequence[float], config: EvaluationConfig
) -> list[str]:
    """Say which thresholds were not chosen, and whether they were chosen on the images that are scored."""
    notes = []
    if config.thresholds_from == config.split:
        notes.append("the thresholds were chosen on the images that are scored: scores at them flatter")
    counts = found.counted[0].sum(axis=0).tolist()
    untuned = [name for name, count in zip(task.label_names, counts, strict=True) if not count]
    if untuned:
        more = f" and {len(untuned) - 12} more" if len(untuned) > 12 else ""
        notes.append(
            f"no image of the {config.thresholds_from} split has {', '.join(untuned[:12])}{more}: threshold 0.5 kept"
        )
    chosen = dict(zip(task.label_names, thresholds, strict=True))
    notes += threshold_notes(chosen, few_images(found, task), config.thresholds_from or "")
    return notes


def _refuse_no_numbers(predictions: ScoredPredictions, ids: Sequence[str], name: str) -> None:
    scores = [predictions.scores] + ([] if predictions.scenes is None else [predictions.scene_scores])
    faulty = np.flatnonzero(~np.isfinite(np.concatenate(scores, axis=1)).all(axis=1))
    if len(faulty):
        raise ConfigurationError(
            f"{name} gives no number for {len(faulty):,} images, such as {ids[faulty[0]]!r}",
            "The weights may be damaged, or --precision too low.",
        )


def _identity(model: NamedModel) -> ModelIdentity:
    try:
        architecture = model.architecture
    except (AttributeError, KeyError):  # no network of timm's
        architecture = None
    return ModelIdentity(
        name=model.name,
        architecture=architecture,
        fingerprint=model.fingerprint,
        image_size=model.preprocessing.image_size,
    )


def _data_identity(split: LabeledSplit, images: int, name: str) -> DataIdentity:
    source = split.source
    return DataIdentity(
        dataset=source["dataset"],
        hub_id=source["hub_id"],
        protocol=source["protocol"],
        split=name,
        split_seed=source["split_seed"],
        label_version=source["labels"],
        is_mlrsnet=source["is_mlrsnet"],
        synthetic=source["synthetic"],
        images=images,
        fingerprint=source["fingerprint"],
    )


def find_saved(name: str) -> Path | None:
    """Return the predictions that an argument names: a Parquet file, or the folder of an evaluation."""
    path = Path(name).expanduser()
    if path.suffix == ".parquet" or (path / PREDICTIONS).is_file():
        return path
    return None
