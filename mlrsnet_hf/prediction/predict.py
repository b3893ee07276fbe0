"""A model's predictions of any images as a table, in any number of processes, continued where a killed run left them.

The images are cut into shards of fixed ranges, which are dealt to the processes. A shard's file holds all scores, and
has its name when it is whole; from these files the table is made in the end.
"""

import dataclasses
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from accelerate import Accelerator
from PIL import Image

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.files import refuse_existing, whole_file
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.decoding import ImageFile, ImageFiles, decode_rgb
from mlrsnet_hf.inputs.image_list import ArchivedBatches, ListedFiles, list_images
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.readable_images import ReadableImages
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.prediction.classifier import Classifier, Scores
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.tables import PredictedRows, TableForm, open_table, refuse_ambiguous
from mlrsnet_hf.resumable_folder import refuse_finished, resumable_folder
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, explain_memory, refuse_split_models, use_processor
from mlrsnet_hf.runtime.logs import get_logger, progress_bar
from mlrsnet_hf.runtime.shards import Shard, has_all_rows, missing_shards, plan_shards, write_shards

logger = get_logger(__name__)

_PARTS = "parts"
_TABLE = "table"
_KEY = b"mlrsnet_predictions"
"""Key of the schema metadata of a shard's file that holds what it was made of."""
_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed may hold its lock for a moment."""
_LONGEST = 500
"""Characters of why an image cannot be read."""
_AGAIN = "make room or mend what is wrong, and run again to go on."


@dataclass(frozen=True)
class Pictures:
    """Images to predict, in their order."""

    ids: Sequence[str]
    files: ImageFiles | ListedFiles
    name: str
    """What they are called together."""
    fingerprint: str = ""
    """Hash of their content, where it is known; else a list's stamps tell whether a file was written anew."""
    is_mlrsnet: bool = False

    def digest(self, rows: range) -> str:
        """Return a hash of what some rows are: ids and, as far as can be told without reading them, contents."""
        digest = hashlib.blake2b(f"{self.fingerprint} {rows}".encode(), digest_size=16)
        for row in rows:
            listed = self.files.images[row] if isinstance(self.files, ListedFiles) else self.ids[row]
            digest.update(repr(listed).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def to_look_at(self, rows: Sequence[int]) -> Iterator[Image.Image | None]:
        """Yield rows, in ascending order, as RGB images for people; None for what cannot be read."""
        batches: list[list[Draw]] = [[(0, row)] for row in rows]
        read = ArchivedBatches(batches, self.files) if isinstance(self.files, ListedFiles) else batches
        for [draw] in read:
            try:
                content = draw[2] if len(draw) == 3 else None
                if isinstance(content, ImageError):
                    raise content
                file = self.files[draw[1]] if content is None else ImageFile(bytes=content, path=None)
                yield decode_rgb(file, self.ids[draw[1]])
            except ImageError:
                yield None


@dataclass(frozen=True)
class PredictionSummary:
    """What a run has predicted."""

    output: Path
    images: int
    earlier: int
    """Images that an earlier run had predicted."""
    seconds: float
    """Taken by the others."""
    unreadable: Sequence[tuple[str, str]] = ()
    """Id and reason of each image that could not be read."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Images by label, the most frequent first; labels that none has are left out."""
    scenes: Mapping[str, int] = field(default_factory=dict)
    """Images by scene, in the same way."""

    @property
    def images_per_second(self) -> float:
        """Speed of this run, reading included."""
        return (self.images - self.earlier) / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Predicted:
    """A finished run: what was predicted of which images, for a page."""

    classifier: Classifier
    pictures: Pictures
    form: TableForm
    parts: Path
    """Folder of the shards' files."""
    shards: Sequence[Shard]
    summary: PredictionSummary

    def rows(self) -> Iterator[PredictedRows]:
        """Yield all predictions, a shard at a time."""
        for shard in self.shards:
            yield read_shard(self.parts / shard.name)


WritePage = Callable[[Predicted, Path], None]


def predict(config: PredictionConfig, data: ImageSet, write_page: WritePage | None = None) -> PredictionSummary | None:
    """Predict images, and write the table.

    All processes of an `accelerate launch` call it. The table takes its name when it is whole; a run that is cut short,
    however that happens, leaves `.<name>.partial` beside it, and the next run with the same model and settings goes on
    from there: shards whose images have changed since are made again. The table is the same, to the byte, however often
    the run was cut short.

    Args:
        config: The model, the images and the form of the table.
        data: A dataset, in the place of the images that `config` names.
        write_page: Writes the page of `config.html`.

    Returns:
        What was predicted; None on other processes than the main one.

    Raises:
        ConfigurationError: A setting cannot be used, there are no images, the output exists, another process is
            writing it, or the disk is full.
        ImageError: None of the images can be read; or one, if `config.strict` is set.
        OutOfMemoryError: A batch does not fit the device.
        WeightsError: The model cannot be had.
    """
    config.require_table()
    accelerator = start_processes(config)
    with ended_together(accelerator):
        return _predict(config, data, write_page, accelerator)


def _predict(
    config: PredictionConfig, data: ImageSet, write_page: WritePage | None, accelerator: Accelerator
) -> PredictionSummary | None:
    processes = Collectives(accelerator)
    target = config.output.expanduser().absolute()
    page = None if config.html is None else config.html.expanduser().absolute()
    processes.run_on_main(lambda: _refuse_early(config, data, target, page))
    classifier = processes.run_on_all(lambda: open_classifier(config, accelerator))
    pictures = _find_pictures(config, data, processes)
    form = TableForm(classifier.task, classifier.thresholds, config.all_scores)
    processes.run_on_main(lambda: refuse_ambiguous(target.suffix.lower(), form))
    shards = plan_shards("predictions", len(pictures.ids), config.shard_images)

    with ExitStack() as stack:

        def begin() -> tuple[Path, list[Shard]]:
            origin = {"predictions": classifier.fingerprint}
            parts = (f"{_PARTS}/*.parquet",)
            folder = stack.enter_context(resumable_folder(target, origin, lambda _: [], _PATIENCE, parts, _TABLE))
            folder.keep([])
            is_done = _DoneBefore(classifier, pictures, config.strict)
            return folder.path, missing_shards(folder.path / _PARTS, shards, is_done)

        path, missing = processes.run_on_main(begin)
        began = time.monotonic()
        write_shards(
            processes,
            missing,
            lambda own: predict_shards(
                classifier, pictures, own, config.num_workers, config.strict, _title(accelerator.num_processes)
            ),
            lambda rows, shard: write_shard(path / _PARTS / shard.name, rows, _key(classifier, pictures, shard)),
        )
        seconds = time.monotonic() - began

        def finish() -> PredictionSummary:
            earlier = len(pictures.ids) - sum(len(shard.rows) for shard in missing)
            counted = PredictionSummary(config.output, len(pictures.ids), earlier, seconds)
            predicted = Predicted(classifier, pictures, form, path / _PARTS, shards, counted)
            summary = _write_table(path / _TABLE, target.suffix.lower(), predicted)
            if page is not None and write_page is not None:
                write_page(dataclasses.replace(predicted, summary=summary), page)
            # Only now the table takes its name; after an error above it is let go of without.
            stack.pop_all().close()
            return summary

        summary = processes.run_on_main(finish)
    return summary if processes.is_main else None


def start_processes(config: PredictionConfig) -> Accelerator:
    """Return Accelerate's view of the devices, for the precision that is asked for.

    Raises:
        ConfigurationError: The device cannot compute in it, or Accelerate would split the model.
    """
    try:
        accelerator = Accelerator(mixed_precision=config.precision)
    except ValueError as error:
        raise ConfigurationError(
            f"precision={config.precision!r} cannot be used here: {error}", "Give another one, or none at all."
        ) from error
    refuse_split_models(accelerator.distributed_type)
    use_processor(accelerator)
    return accelerator


def open_classifier(config: PredictionConfig, accelerator: Accelerator) -> Classifier:
    """Load the model on this process's device, with the thresholds and views that are asked for.

    Raises:
        WeightsError: It cannot be had.
        ConfigurationError: Nobody trained it on labels.
    """
    precision = accelerator.mixed_precision
    return Classifier(
        load_named_model(config.model_choice()),
        device=accelerator.device,
        thresholds=None if config.thresholds == "model" else config.thresholds,
        symmetries=config.symmetries,
        batch_size=config.batch_size,
        precision=precision if precision in ("bf16", "fp16") else "no",
    )


def _refuse_early(config: PredictionConfig, data: ImageSet, target: Path, page: Path | None) -> None:
    """Refuse, before anything is loaded, what cannot be written, and images that are named twice or not at all."""
    refuse_finished(target)
    if page is not None:
        refuse_existing(page)
    named = sorted(changed_settings(data))
    if config.sources and named:
        raise ConfigurationError(
            f"images and a dataset are given: {config.sources[0]} and {named[0]}={getattr(data, named[0])!r}",
            "Leave one of them out.",
        )
    if not config.sources and not named:
        raise ConfigurationError(
            "no image is given", "Name files, folders, archives or URLs, or a dataset by --dataset or --data-dir."
        )


def _find_pictures(config: PredictionConfig, data: ImageSet, processes: Collectives) -> Pictures:
    if config.sources:
        listed = processes.run_on_main(lambda: list_images(config.sources))
        name = config.sources[0] if len(config.sources) == 1 else f"{len(config.sources):,} files and folders"
        return Pictures([image.id for image in listed], ListedFiles(listed), name)
    processes.run_on_main(lambda: load_images(data, with_labels=False))  # the others then find the dataset prepared
    split = processes.run_on_all(lambda: load_images(data, with_labels=False))
    for note in split.notes:
        logger.info("data: %s", note)
    fingerprint = processes.run_on_main(lambda: split.fingerprint)
    told = ", ".join(str(value) for value in split.source.values() if value is not None)
    is_mlrsnet = split.source["name"] == MLRSNET
    return Pictures(split.rows["id"][:], ImageFiles(split.rows), told, fingerprint, is_mlrsnet)


def _title(processes: int) -> str:
    return "predicting" if processes == 1 else f"predicting (1 of {processes} processes)"


def predict_shard(
    classifier: Classifier,
    pictures: Pictures,
    shard: Shard,
    folder: Path,
    num_workers: int = 0,
    strict: bool = False,
) -> Path:
    """Write the predictions of one shard, unless they are there: a task that may be given again and anywhere.

    Args:
        classifier: The model on its device.
        pictures: All images.
        shard: One of `plan_shards`.
        folder: Where the file goes.
        num_workers: Processes that read images; 0 reads in threads.
        strict: See `predict_shards`.

    Returns:
        The file, which `read_shard` reads.

    Raises:
        MLRSNetError: As `predict_shards`; or the file cannot be written.
    """
    path = folder / shard.name
    if not _DoneBefore(classifier, pictures, strict)(path, shard):
        with closing(predict_shards(classifier, pictures, [shard], num_workers, strict)) as made:
            write_shard(path, next(made), _key(classifier, pictures, shard))
    return path


def predict_shards(
    classifier: Classifier,
    pictures: Pictures,
    shards: Sequence[Shard],
    num_workers: int = 0,
    strict: bool = False,
    title: str = "predicting",
) -> Generator[PredictedRows, None, None]:
    """Yield the predictions of each shard.

    Images are read ahead, over the ends of shards; results stay on the device until their shard is complete, so that
    it is waited for once per shard.

    Args:
        classifier: The model on its device; the size of its batches counts.
        pictures: All images.
        shards: Some ranges of them.
        num_workers: Processes that read images; 0 reads in threads.
        strict: Whether an image that cannot be read is an error.
        title: Of the progress bar.

    Raises:
        ImageError: An image cannot be read, and `strict` is set.
        ConfigurationError: A score is not finite.
        OutOfMemoryError: A batch does not fit the device.
    """
    batches = [shard.batches(classifier.batch_size) for shard in shards]
    preprocessing, labels = classifier.preprocessing, classifier.task.label_outputs
    images = ReadableImages(pictures.ids, pictures.files, preprocessing.evaluation_transform(), preprocessing.reading)
    draws: list[list[Draw]] = [[(0, row) for row in batch] for batch in itertools.chain(*batches)]
    number = sum(len(shard.rows) for shard in shards)
    with (
        closing(make_loader(images, draws, num_workers)) as loader,
        progress_bar(description=title, total=number, unit="img") as bar,
    ):
        stream = iter(loader)
        for shard, own in zip(shards, batches, strict=True):
            parts: list[torch.Tensor] = []
            faults: dict[int, ImageError] = {}
            with explain_memory(shard.name, "Lower --batch-size."):
                for batch in itertools.islice(stream, len(own)):
                    if batch.faults and strict:
                        raise next(iter(batch.faults.values()))
                    faults |= batch.faults
                    parts.append(classifier.device_logits(batch.pixels))
                    bar.update(len(batch.rows))
                logits = torch.cat(parts).cpu()
            scores, scenes = logits[:, :labels].sigmoid().numpy(), logits[:, labels:].softmax(1).numpy()
            errors = [_reason(pictures.ids[row], faults.get(row)) for row in shard.rows]
            broken = np.array([error is not None for error in errors])
            scores[broken], scenes[broken] = np.nan, np.nan
            ids = [pictures.ids[row] for row in shard.rows]
            _refuse_not_finite(ids, np.concatenate([scores, scenes], axis=1), broken, classifier.model.name)
            yield PredictedRows(ids, scores, scenes, errors)


def _reason(name: str, fault: ImageError | None) -> str | None:
    """Return why an image cannot be read, without its name."""
    return None if fault is None else shortened(fault.found.removeprefix(f"image {name!r} "), _LONGEST)


def _refuse_not_finite(ids: Sequence[str], scores: Scores, broken: Any, model: str) -> None:  # noqa: ANN401
    faulty = np.flatnonzero(~np.isfinite(scores).all(axis=1) & ~broken)
    if len(faulty):
        raise ConfigurationError(
            f"{model} gives image {ids[faulty[0]]!r} scores that are NaN or infinite"
            + (f", and {len(faulty) - 1:,} more" if len(faulty) > 1 else ""),
            "Its weights may be damaged, or the precision too low.",
        )


# --------------------------------------------------------------------------------------------- the file of one shard


def _key(classifier: Classifier, pictures: Pictures, shard: Shard) -> str:
    """Return a hash of all that a shard's file is made of."""
    return hashlib.sha256(f"{classifier.fingerprint} {pictures.digest(shard.rows)}".encode()).hexdigest()


@dataclass(frozen=True)
class _DoneBefore:
    """Tells whether the file of a shard is there, whole and of the same model and images.

    With `strict`, a shard with images that could not be read is to be made again.
    """

    classifier: Classifier
    pictures: Pictures
    strict: bool

    def __call__(self, path: Path, shard: Shard) -> bool:
        if not has_all_rows(path, shard):
            return False
        told = pq.read_schema(path).metadata or {}
        if told.get(_KEY, b"").decode() != _key(self.classifier, self.pictures, shard):
            return False
        return not self.strict or pq.read_table(path, columns=["error"])["error"].null_count == len(shard.rows)


def write_shard(path: Path, rows: PredictedRows, key: str) -> None:
    """Write the predictions of a shard as a file that has its name only when it is whole and on the disk.

    Raises:
        ConfigurationError: It cannot be written.
    """
    columns = {"id": pa.array(rows.ids), "error": pa.array(rows.errors, pa.string())}
    for name, values in (("scores", rows.scores), ("scene_scores", rows.scene_scores)):
        if values.shape[1]:
            flat = pa.array(np.ascontiguousarray(values).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    with whole_file(path, f"What is finished is kept; {_AGAIN}") as part:
        pq.write_table(pa.table(columns).replace_schema_metadata({_KEY: key}), part)


def read_shard(path: Path) -> PredictedRows:
    """Return the predictions in a shard's file."""
    table = pq.read_table(path)

    def matrix(name: str) -> Scores:
        if name not in table.column_names:
            return np.empty((len(table), 0), np.float32)
        column = table[name].combine_chunks()
        values: Scores = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), column.type.list_size)
        return values

    return PredictedRows(table["id"].to_pylist(), matrix("scores"), matrix("scene_scores"), table["error"].to_pylist())


def _write_table(path: Path, suffix: str, predicted: Predicted) -> PredictionSummary:
    """Write the table of all shards, and return what is in it; refuse one in which no image could be read."""
    form = predicted.form
    labels: Counter[str] = Counter()
    scenes: Counter[str] = Counter()
    unreadable: list[tuple[str, str]] = []
    with open_table(path, suffix, form) as table:
        for rows in predicted.rows():
            columns = form.columns(rows)
            table.write(columns)
            labels.update(itertools.chain.from_iterable(found or () for found in columns.get("labels", ())))
            scenes.update(scene for scene in columns.get("scene", ()) if scene is not None)
            errors = zip(rows.ids, rows.errors, strict=True)
            unreadable += [(name, error) for name, error in errors if error is not None]
    images = predicted.summary.images
    if len(unreadable) == images:
        name, reason = unreadable[0]
        raise ImageError(
            f"none of the {images:,} images can be read: image {name!r} {reason}", "Give images that can be read."
        )
    return dataclasses.replace(
        predicted.summary,
        unreadable=unreadable,
        labels=dict(labels.most_common()),
        scenes=dict(scenes.most_common()),
    )
