"""A model's predictions of any images as a table, in any number of processes, continued where a killed run left them.

The images are cut into shards of fixed ranges, which are dealt to the processes. A shard's file holds all scores, and
has its name when it is whole; from these files the table is made in the end.
"""

import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import Accelerator

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.image_list import ListedFiles, list_images
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.models.named_model import load_named_model
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.config import PredictionConfig
from mlrsnet_hf.prediction.pictures import Pictures
from mlrsnet_hf.prediction.scale import warn_of_other_scale
from mlrsnet_hf.prediction.shards import DoneBefore, predict_shards, read_shard, shard_key, write_shard
from mlrsnet_hf.prediction.tables import PredictedRows, TableForm, open_table, refuse_ambiguous
from mlrsnet_hf.prediction.targets import notes_of_pages, page_note, refuse_early
from mlrsnet_hf.prediction.threshold_notes import threshold_notes
from mlrsnet_hf.resumable_folder import ResumableFolder, resumable_folder
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, inference_accelerator
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.runtime.shards import Shard, missing_shards, plan_shards, write_shards
from mlrsnet_hf.training.learned_images import few_that_chose

logger = get_logger(__name__)

_PARTS = "parts"
_TABLE = "table"
_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed may hold its lock for a moment."""


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
    accelerator = inference_accelerator(config.precision)
    with ended_together(accelerator):
        return _predict(config, data, write_page, accelerator)


def _predict(
    config: PredictionConfig, data: ImageSet, write_page: WritePage | None, accelerator: Accelerator
) -> PredictionSummary | None:
    processes = Collectives(accelerator)
    target = config.table.expanduser().absolute()
    page = None if config.html is None else config.html.expanduser().absolute()
    processes.run_on_main(lambda: refuse_early(config, data))
    classifier = processes.run_on_all(lambda: open_classifier(config, accelerator))
    pictures = _find_pictures(config, data, processes)
    reading = classifier.preprocessing.reading
    processes.run_on_main(lambda: warn_of_other_scale(pictures.files, pictures.ids, reading))
    form = TableForm(classifier.task, classifier.thresholds, config.all_scores)
    processes.run_on_main(lambda: refuse_ambiguous(target.suffix.lower(), form))
    shards = plan_shards("predictions", len(pictures.ids), config.shard_images)

    with ExitStack() as stack:
        folder: ResumableFolder | None = None

        def begin() -> tuple[Path, list[Shard]]:
            nonlocal folder
            origin = {"predictions": classifier.fingerprint}
            parts = (f"{_PARTS}/*.parquet",)
            pages = notes_of_pages(target)
            folder = stack.enter_context(resumable_folder(target, origin, lambda _: [], _PATIENCE, parts, _TABLE))
            folder.keep(pages)
            is_done = DoneBefore(classifier, pictures, config.strict)
            return folder.path, missing_shards(folder.path / _PARTS, shards, is_done)

        path, missing = processes.run_on_main(begin)
        began = time.monotonic()
        write_shards(
            processes,
            missing,
            lambda own: predict_shards(
                classifier, pictures, own, config.num_workers, config.strict, _title(accelerator.num_processes)
            ),
            lambda rows, shard: write_shard(path / _PARTS / shard.name, rows, shard_key(classifier, pictures, shard)),
        )
        seconds = time.monotonic() - began

        def finish() -> PredictionSummary:
            earlier = len(pictures.ids) - sum(len(shard.rows) for shard in missing)
            counted = PredictionSummary(config.table, len(pictures.ids), earlier, seconds)
            predicted = Predicted(classifier, pictures, form, path / _PARTS, shards, counted)
            summary = _write_table(path / _TABLE, target.suffix.lower(), predicted)
            if page is not None and write_page is not None:
                assert folder is not None, "begin() opens it on the main process"
                folder.note(page_note(page))  # so that the next run takes it up if this one is killed before the end
                write_page(dataclasses.replace(predicted, summary=summary), page)
            # Only now the table takes its name; after an error above it is let go of without.
            stack.pop_all().close()
            return summary

        summary = processes.run_on_main(finish)
    return summary if processes.is_main else None


def open_classifier(config: PredictionConfig, accelerator: Accelerator) -> Classifier:
    """Load the model on this process's device, with the thresholds and views that are asked for; warn of thresholds.

    Raises:
        WeightsError: It cannot be had.
        ConfigurationError: Nobody trained it on labels.
    """
    precision = accelerator.mixed_precision
    model = load_named_model(config.model_choice())
    classifier = Classifier(
        model,
        device=accelerator.device,
        thresholds=None if config.thresholds == "model" else config.thresholds,
        symmetries=config.symmetries,
        batch_size=config.batch_size,
        precision=precision if precision in ("bf16", "fp16") else "no",
    )
    if config.thresholds == "model" and model.thresholds is not None:
        classifier.notes = threshold_notes(model.thresholds, few_that_chose(config.model, model))
    if accelerator.is_main_process:
        for note in classifier.notes:
            logger.warning("warning: %s", note)
    return classifier


def _find_pictures(config: PredictionConfig, data: ImageSet, processes: Collectives) -> Pictures:
    if config.sources:
        listed = processes.run_on_main(lambda: list_images(config.sources))
        name = config.sources[0] if len(config.sources) == 1 else f"{len(config.sources):,} files and folders"
        return Pictures([image.id for image in listed], ListedFiles(listed), name)
    processes.run_on_main(lambda: load_images(data, with_labels=False))  # the others then find the dataset prepared
    split = processes.run_on_all(lambda: load_images(data, with_labels=False))
    for note in split.notes:
        logger.info("data: %s", note)
    stamps = processes.run_on_main(split.stamps)
    told = ", ".join(str(value) for value in split.source.values() if value is not None)
    is_mlrsnet = split.source["name"] == MLRSNET
    return Pictures(split.rows["id"][:], ImageFiles(split.rows), told, stamps, is_mlrsnet)


def _title(processes: int) -> str:
    return "predicting" if processes == 1 else f"predicting (1 of {processes} processes)"


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
