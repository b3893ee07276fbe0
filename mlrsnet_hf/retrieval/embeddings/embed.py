"""From images to an embeddings folder, in any number of processes, continued where a killed run left it.

The rows are cut into shards of fixed ranges, which are dealt to the processes: which process writes a shard does not
change its content. A shard has its name when it is whole. Processes on several machines need one file system.
"""

import dataclasses
import functools
import itertools
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import Draw
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.tables.image_files import open_first_images
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_input
from mlrsnet_hf.resumable_folder import resumable_folder
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.files import (
    DATA,
    EmbeddingFolder,
    EmbeddingRows,
    open_embeddings,
    read_rows,
    write_json,
    write_rows,
)
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, LOCAL_FILE, EmbeddingInfo, LocalSources
from mlrsnet_hf.retrieval.embeddings.model import EmbeddingModel, embed_pixels, load_embedding_model
from mlrsnet_hf.retrieval.embeddings.origin import origin_of, origin_of_whole, refuse_others
from mlrsnet_hf.retrieval.embeddings.pca import PCA_FILE, Pca, fit_pca, load_pca, unit_length
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import ended_together, explain_memory, inference_accelerator
from mlrsnet_hf.runtime.logs import get_logger, progress_bar
from mlrsnet_hf.runtime.shards import Shard, has_all_rows, missing_shards, plan_shards, write_shards

logger = get_logger(__name__)

MakeRows = Callable[[Sequence[Shard]], Generator[EmbeddingRows, None, None]]
"""Yields the rows of each of some shards."""

_RAW = ".raw"
"""What the network gives, until principal components are fitted on it."""
_PARTS = (f"{DATA}/*.parquet", f"{_RAW}/*.parquet")
_PATIENCE = 10.0
"""Seconds: the reading processes of a run that was killed notice it within five, and may hold its lock until then."""


def embed(
    config: EmbeddingConfig,
    images: ImageSet,
    card: Callable[[EmbeddingInfo], str] | None = None,
    *,
    load: Callable[[ImageSet], ImageSplit] = load_images,
    model: EmbeddingModel | None = None,
    accelerator: Accelerator | None = None,
) -> EmbeddingFolder:
    """Write the embeddings of a split as a folder that `EmbeddingTable.load` and `datasets.load_dataset` read.

    All processes of an `accelerate launch` call it. The folder takes its name when it is whole; a run that is cut
    short, however that happens, leaves `.<name>.partial` beside it, and the next run with the same settings goes on
    from there. Where the embeddings are whole already, nothing is done. Ids and their order are the split's, and the
    embeddings the same but for the last bits of float32, however many processes there are.

    Args:
        config: The network, the layer and the form; embeddings by a network that knows text have length 1 whatever it
            says.
        images: What to embed.
        card: Renders the folder's README.md, such as `publishing.embeddings_card.embeddings_card`.
        load: Loads the images; pass one that remembers, where they are used again.
        model: The network of `config`, if it is loaded already.
        accelerator: Knows device and processes, of a command that goes on with them; None has one made, and the
            processes part in the end.

    Returns:
        The folder, on every process.

    Raises:
        ConfigurationError: A setting cannot be used, the target exists, another process is writing it, or the disk is
            full.
        ImageError: An image cannot be read; the message names it.
        EmbeddingError: An embedding is not finite; ids are named.
        OutOfMemoryError: A batch does not fit the device.
        WeightsError: The weights cannot be had.
    """
    if accelerator is not None:
        return _embed(config, images, card, load, model, accelerator)
    accelerator = inference_accelerator(config.precision)
    with ended_together(accelerator):
        return _embed(config, images, card, load, model, accelerator)


def _embed(
    config: EmbeddingConfig,
    images: ImageSet,
    card: Callable[[EmbeddingInfo], str] | None,
    load: Callable[[ImageSet], ImageSplit],
    model: EmbeddingModel | None,
    accelerator: Accelerator,
) -> EmbeddingFolder:
    processes = Collectives(accelerator)
    target = config.output_dir.expanduser().absolute()
    load = functools.lru_cache(load)
    processes.run_on_main(lambda: refuse_others(target, config))
    processes.run_on_main(lambda: load(images))  # the others then find the dataset prepared
    split = processes.run_on_all(lambda: load(images))
    network = processes.run_on_all(lambda: model or load_embedding_model(config))
    if network.knows_text:  # text and images are compared by their angle
        config = dataclasses.replace(config, normalize=True)
    processes.run_on_main(lambda: open_first_images([split.rows], network.preprocessing.reading))
    for note in split.notes:
        logger.info("data: %s", note)
    # One process reads all weights and image files for their fingerprints.
    raw_info = processes.run_on_main(lambda: _raw_info(config, split, network))
    info = dataclasses.replace(raw_info, dtype=config.dtype)
    shards = plan_shards(info.split_name, info.rows, config.shard_images)
    origin = origin_of(config, raw_info)
    if processes.run_on_main(lambda: _is_whole(target, origin, shards)):
        logger.info("these embeddings are there already, whole and of the same images and settings: %s", target)
        return open_embeddings(target)
    make_rows: MakeRows = functools.partial(extract, split, network, config=config, accelerator=accelerator)

    with ExitStack() as stack:

        def begin() -> tuple[Path, list[Shard]]:
            folder = stack.enter_context(resumable_folder(target, origin, origin_of_whole, _PATIENCE, _PARTS))
            folder.keep([])
            return folder.path, missing_shards(folder.path / DATA, shards)

        path, missing = processes.run_on_main(begin)
        if config.pca:
            raw = path / _RAW
            if missing:
                missing_raw = processes.run_on_main(lambda: missing_shards(raw, shards))
                write_shards(processes, missing_raw, make_rows, _writer(raw_info, raw))
                # Main alone looks: processes that looked by themselves might see different things, and wait for each
                # other.
                processes.run_on_main(lambda: _fit_once(path / PCA_FILE, raw, shards, config))
            pca = processes.run_on_all(lambda: load_pca(path / PCA_FILE))
            info = dataclasses.replace(info, dimension=len(pca.components), pca=pca.to_json())
            make_rows = functools.partial(_projected, raw, pca, config.normalize)
        write_shards(processes, missing, make_rows, _writer(info, path / DATA))

        def finish() -> None:
            write_json(path / INFO_FILE, info.to_json())
            write_json(path / LOCAL_FILE, LocalSources(config, images).to_json() | {"origin": origin})
            if card is not None:
                (path / "README.md").write_text(card(info), encoding="utf-8")
            shutil.rmtree(path / _RAW, ignore_errors=True)
            # Only now the folder takes its name; after an error above it is let go of without.
            stack.pop_all().close()

        processes.run_on_main(finish)

    resumed = info.rows - sum(len(shard.rows) for shard in missing)
    earlier = f", {resumed:,} of them from an earlier run" if resumed else ""
    logger.info(f"{info.rows:,} embeddings{earlier}: {info.described()}\nfolder: {config.output_dir}")
    return open_embeddings(target)


def _raw_info(config: EmbeddingConfig, split: ImageSplit, model: EmbeddingModel) -> EmbeddingInfo:
    """Return what is to be said of what the network gives, before principal components."""
    if config.scores and not model.label_names:
        raise ConfigurationError(
            f"model {config.model!r} was not trained on labels, so it has no scores", "Leave --scores out."
        )
    return EmbeddingInfo(
        model=model.name,
        architecture=model.architecture,
        model_fingerprint=model.fingerprint,
        layer=config.layer,
        dimension=model.size(config.layer),
        dtype="float32",
        normalized=config.normalize,
        dataset=split.source,
        dataset_fingerprint=split.fingerprint,
        rows=len(split.rows),
        label_names=split.label_names,
        scene_names=split.scene_names,
        scores=model.label_names if config.scores else (),
        text=model.knows_text,
    )


def _is_whole(target: Path, origin: dict[str, Any], shards: Sequence[Shard]) -> bool:
    """Tell whether a target holds all embeddings of an origin."""
    if not target.exists() or origin_of_whole(target) != [origin]:
        return False
    return all(has_all_rows(target / DATA / shard.name, shard) for shard in shards)


def _writer(info: EmbeddingInfo, folder: Path) -> Callable[[EmbeddingRows, Shard], None]:
    return lambda rows, shard: write_rows(rows, info, folder / shard.name)


def extract(
    split: ImageSplit,
    model: EmbeddingModel,
    shards: Sequence[Shard],
    config: EmbeddingConfig,
    accelerator: Accelerator,
) -> Generator[EmbeddingRows, None, None]:
    """Yield the rows of each shard, as the network gives them, of length 1 if asked.

    Images are read ahead, over the ends of shards; results stay on the device until their shard is complete, so that
    it is waited for once per shard.

    Raises:
        ImageError: An image cannot be read; the message names it.
        OutOfMemoryError: A batch does not fit the device.
    """
    network = model.model.to(accelerator.device).to(memory_format=torch.channels_last)
    outputs = len(model.label_names) if config.scores else 0
    known = split.rows.remove_columns("image")
    batches = [shard.batches(config.batch_size) for shard in shards]
    transform, reading = model.preprocessing.evaluation_transform(), model.preprocessing.reading
    images = SplitImages(split.rows, Task(kind="labels", label_names=()), transform, reading=reading)
    draws: list[list[Draw]] = [[(0, row) for row in batch] for batch in itertools.chain(*batches)]
    title = "embedding" if accelerator.num_processes == 1 else f"embedding (1 of {accelerator.num_processes} processes)"
    number = sum(len(shard.rows) for shard in shards)
    with (
        closing(make_loader(images, draws, config.num_workers)) as loader,
        progress_bar(description=title, total=number, unit="img") as bar,
    ):
        stream = iter(loader)
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
                embeddings, label_scores = _to_host(vectors), _to_host(scores) if outputs else None
            columns = known[shard.rows.start : shard.rows.stop]
            if config.normalize:
                embeddings = unit_length(embeddings)
            yield EmbeddingRows(columns["id"], embeddings, columns.get("scene"), columns.get("labels"), label_scores)


def _to_host(tensors: list[torch.Tensor]) -> npt.NDArray[np.float32]:
    return torch.cat(tensors).cpu().numpy()


def _fit_once(file: Path, raw: Path, shards: Sequence[Shard], config: EmbeddingConfig) -> None:
    """Fit the principal components on what the network gave for all images or the first, unless that is done."""
    if not file.exists():
        batches = (read_rows(raw / shard.name).embeddings for shard in shards)
        fit_pca(batches, config.pca, config.whiten, config.pca_images).save(file)


def _projected(raw: Path, pca: Pca, unit: bool, shards: Sequence[Shard]) -> Generator[EmbeddingRows, None, None]:
    for shard in shards:
        rows = read_rows(raw / shard.name)
        projected = pca.project(rows.embeddings)
        yield dataclasses.replace(rows, embeddings=unit_length(projected) if unit else projected)
