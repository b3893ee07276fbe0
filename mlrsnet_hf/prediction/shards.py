"""The predictions of one range of images: made by a task that may be given again and anywhere, kept in a file.

A shard's file holds all scores, and has its name when it is whole.
"""

import hashlib
import itertools
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.escaping import shortened
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.readable_images import ReadableImages
from mlrsnet_hf.prediction.classifier import Classifier, Scores
from mlrsnet_hf.prediction.pictures import Pictures
from mlrsnet_hf.prediction.tables import PredictedRows
from mlrsnet_hf.runtime.device import explain_memory
from mlrsnet_hf.runtime.logs import progress_bar
from mlrsnet_hf.runtime.shards import Shard, has_all_rows

_KEY = b"mlrsnet_predictions"
"""Key of the schema metadata of a shard's file that holds what it was made of."""
_LONGEST = 500
"""Characters of why an image cannot be read."""
AGAIN = "make room or mend what is wrong, and run again to go on."


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
    if not DoneBefore(classifier, pictures, strict)(path, shard):
        with closing(predict_shards(classifier, pictures, [shard], num_workers, strict)) as made:
            write_shard(path, next(made), shard_key(classifier, pictures, shard))
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


def shard_key(classifier: Classifier, pictures: Pictures, shard: Shard) -> str:
    """Return a hash of all that a shard's file is made of."""
    return hashlib.sha256(f"{classifier.fingerprint} {pictures.digest(shard.rows)}".encode()).hexdigest()


@dataclass(frozen=True)
class DoneBefore:
    """Tells whether the file of a shard is there, whole and of the same model and images.

    With `strict`, a shard with images that could not be read is to be made again.
    """

    classifier: Classifier
    pictures: Pictures
    strict: bool

    def __call__(self, path: Path, shard: Shard) -> bool:
        """Tell it of a file and its shard."""
        if not has_all_rows(path, shard):
            return False
        told = pq.read_schema(path).metadata or {}
        if told.get(_KEY, b"").decode() != shard_key(self.classifier, self.pictures, shard):
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
    with whole_file(path, f"What is finished is kept; {AGAIN}") as part:
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
