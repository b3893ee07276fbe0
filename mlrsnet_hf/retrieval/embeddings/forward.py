"""The forward passes: images to embeddings, the device kept busy."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from mlrsnet_hf.inputs.batches import Batch
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_input
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.files import Rows, Shard
from mlrsnet_hf.retrieval.embeddings.images import ImageSplit
from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel, embed_pixels
from mlrsnet_hf.runtime.device import explain_memory


def extract(
    split: ImageSplit,
    model: EmbeddingModel,
    shards: Sequence[Shard],
    config: EmbeddingConfig,
    accelerator: Accelerator,
) -> Iterator[Rows]:
    """Yield the rows of each shard.

    Images are read ahead, over the ends of shards; results stay on the device until their shard is complete, so that
    it is waited for once per shard.

    Args:
        split: The images.
        model: Is moved to the accelerator's device.
        shards: Which rows.
        config: Layer, batches, workers.
        accelerator: Knows the device and the precision.

    Raises:
        ImageError: An image cannot be read; the message names it.
        OutOfMemoryError: A batch does not fit the device.
    """
    network = model.model.to(accelerator.device).to(memory_format=torch.channels_last)
    outputs = len(model.label_names) if config.scores else 0
    batches = [shard.batches(config.batch_size) for shard in shards]
    stream = _read(split, model, list(itertools.chain(*batches)), config.num_workers)
    hidden = not accelerator.is_main_process
    title = "embedding" if accelerator.num_processes == 1 else f"embedding (1 of {accelerator.num_processes} processes)"
    with tqdm(total=sum(len(shard.rows) for shard in shards), desc=title, unit="img", disable=hidden) as bar:
        for shard, own in zip(shards, batches, strict=True):
            vectors, scores = [], []
            with explain_memory(shard.name, "Lower --batch-size, or --shard-images."):
                for batch in itertools.islice(stream, len(own)):
                    pixels = model_input(batch.to(accelerator.device), model.preprocessing)
                    with torch.inference_mode(), accelerator.autocast():
                        vector, logits = embed_pixels(network, pixels, config.layer, with_logits=outputs > 0)
                    vectors.append(vector)
                    if outputs and logits is not None:
                        scores.append(logits[:, :outputs].sigmoid())
                    bar.update(len(pixels))
                rows = _rows(split, shard, _to_host(vectors), _to_host(scores) if outputs else None)
            yield rows


def _read(split: ImageSplit, model: EmbeddingModel, batches: list[list[int]], workers: int) -> Iterator[Batch]:
    nothing = Task(kind="labels", label_names=())  # to be learned
    images = SplitImages(split.rows, nothing, model.preprocessing.evaluation_transform())
    return iter(make_loader(images, [[(0, row) for row in batch] for batch in batches], workers))


def _to_host(tensors: list[torch.Tensor]) -> npt.NDArray[np.float32]:
    return torch.cat(tensors).cpu().numpy()


def _rows(
    split: ImageSplit,
    shard: Shard,
    embeddings: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32] | None,
) -> Rows:
    columns = split.rows.remove_columns("image")[shard.rows.start : shard.rows.stop]
    return Rows(columns["id"], embeddings, columns.get("scene"), columns.get("labels"), scores)
