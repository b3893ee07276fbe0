"""From settings to the queries and databases of every split: models are embedded, ids come from the protocols."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.dataset.splits.protocols import DEFAULT_PROTOCOL
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.models import PRETRAINED, RANDOM
from mlrsnet_hf.retrieval.embeddings.config import ImageSet
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings
from mlrsnet_hf.retrieval.embeddings.images import load_images
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.retrieval.protocol.query_database import QueryDatabase, by_ids, from_two
from mlrsnet_hf.retrieval.protocol.stored_embeddings import Card, embed_once, require_made_by


@dataclass(frozen=True, slots=True)
class TrainedImages:
    """What is known of a model's training images."""

    shared: int
    """How many of them query or are searched."""


def trained_images(model: str, config: RetrievalConfig, pool: ImageSet, seed: int) -> TrainedImages | None:
    """Return which images of a pool a run was trained on; None where nothing tells.

    The pool of a retrieval protocol is what `ratio40` of the same seed does not train on, so that runs of `ratio20`,
    `ratio30` and `ratio40` of that seed have seen nothing of it but, as in the paper, the images that chose the epoch.

    Args:
        model: Folder of a run, whose results tell; or a timm name, whose own weights know nothing of MLRSNet.
        config: Says whether such images are allowed.
        pool: Queries and database.
        seed: The split seed of the pool.

    Raises:
        ConfigurationError: There are some, and they are not allowed.
    """
    if "/" not in model and not Path(model).expanduser().is_dir() and config.weights in (PRETRAINED, RANDOM):
        return TrainedImages(0)
    try:
        data = json.loads((Path(model).expanduser() / "results.json").read_text(encoding="utf-8"))["data"]
        dataset, trained_seed = data["dataset"], int(data["split_seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if dataset != MLRSNET or config.dataset != MLRSNET:
        return None
    protocol = data.get("protocol") or DEFAULT_PROTOCOL
    shared = 0
    if not (protocol.startswith("ratio") and trained_seed == seed):
        training = dataclasses.replace(pool, protocol=protocol, split="train", split_seed=trained_seed)
        shared = len(set(load_images(training).rows["id"]) & set(load_images(pool).rows["id"]))
    if shared and not config.allow_trained_images:
        raise ConfigurationError(
            f"{model} was trained on {shared:,} of the images that query or are searched (it learned from {protocol} "
            f"of split seed {trained_seed}, the images are of split seed {seed})",
            f"Give a run of split seed {seed}, one --model for each split seed, or --allow-trained-images.",
        )
    return TrainedImages(shared)


_POOL = "retrieval10"
"""Queries and database together are the same images in all three protocols, so that any serves to embed them."""
GIVEN = "given"
"""What stands in place of a protocol where queries and database come apart."""


@dataclass(frozen=True, slots=True)
class Source:
    """The embeddings of one split seed, by one model."""

    folders: tuple[EmbeddingFolder, ...]
    """One, or those of queries and database."""
    model: str
    """As it was named."""
    trained: TrainedImages | None = None
    """Which images the model has seen, where its run tells."""


def find_sources(config: RetrievalConfig, card: Card | None = None) -> list[Source]:
    """Return the measured model's embeddings for each split seed; compute what is not there.

    All processes of an `accelerate launch` call it.

    Raises:
        MLRSNetError: A model, dataset or embeddings folder cannot be used, or they do not belong together.
    """
    if config.query_embeddings is not None and config.database_embeddings is not None:
        folders = open_embeddings(config.query_embeddings), open_embeddings(config.database_embeddings)
        if config.model:
            require_made_by(folders[0].info, config.model[0], config)
        return [Source(folders, folders[0].info.model)]
    return _of_seeds(config.embeddings or config.model, bool(config.embeddings), config, card, config.model)


def find_compared(config: RetrievalConfig, card: Card | None = None) -> list[Source]:
    """Return likewise the embeddings of the model beside which the first is seen; none without one.

    Raises:
        MLRSNetError: As `find_sources`.
    """
    stored = bool(config.compare) and (Path(config.compare[0]).expanduser() / INFO_FILE).is_file()
    return _of_seeds(config.compare, stored, config, card) if config.compare else []


def load_data(config: RetrievalConfig, protocol: str, seed: int, source: Source) -> QueryDatabase:
    """Return queries and database of a protocol and seed.

    Raises:
        MLRSNetError: Images of the protocol are not embedded, or the embeddings cannot be used.
    """
    tables = [EmbeddingTable.load(folder) for folder in source.folders]
    if len(tables) == 2:
        return from_two(*tables)
    queries, database = split_ids(config, protocol, seed)
    return by_ids(tables[0], queries, database)


def compared_data(data: QueryDatabase, source: Source) -> QueryDatabase:
    """Return the same queries and database by another model's embeddings.

    Raises:
        MLRSNetError: Images are not embedded, or the embeddings cannot be used.
    """
    return by_ids(EmbeddingTable.load(source.folders[0]), data.queries.ids, data.database.ids)


def split_ids(config: RetrievalConfig, protocol: str, seed: int) -> tuple[list[str], list[str]]:
    """Return the ids of a protocol's queries and database, as the dataset draws them.

    Raises:
        MLRSNetError: The dataset or the protocol cannot be loaded.
    """
    images = image_set(config, seed)
    parts = (dataclasses.replace(images, protocol=protocol, split=split) for split in ("query", "database"))
    queries, database = (list(load_images(part).rows["id"]) for part in parts)
    return queries, database


def image_set(config: RetrievalConfig, seed: int, *, everything: bool = False) -> ImageSet:
    """Return the images of a seed that query or are searched; or all of the dataset, which hold those of every seed."""
    protocol, split = ("all", "train") if everything else (_POOL, "query+database")
    return ImageSet(
        dataset=config.dataset,
        data_dir=config.data_dir,
        protocol=protocol,
        split=split,
        split_seed=0 if everything else seed,
        label_version=config.label_version,
    )


def protocols(config: RetrievalConfig) -> Sequence[str]:
    """Return the names of what is measured, in order."""
    return (GIVEN,) if config.apart else config.protocol


def _of_seeds(
    names: Sequence[str],
    stored: bool,
    config: RetrievalConfig,
    card: Card | None,
    said: Sequence[str] = (),
) -> list[Source]:
    """Return a source for each seed; one name stands for all."""
    everything = len(names) < len(config.split_seeds)
    sources: list[Source] = []
    for number, seed in enumerate(config.split_seeds):
        name = names[0] if everything else names[number]
        if stored:
            folder = open_embeddings(name)
            if said:
                require_made_by(folder.info, said[min(number, len(said) - 1)], config)
            sources.append(Source((folder,), folder.info.model))
            continue
        trained = trained_images(name, config, image_set(config, seed), seed)
        if everything and sources:
            folder = sources[0].folders[0]
        else:
            folder = embed_once(name, image_set(config, seed, everything=everything), config, card)
        sources.append(Source((folder,), name, trained))
    return sources
