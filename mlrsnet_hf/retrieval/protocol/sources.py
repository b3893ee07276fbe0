"""The embeddings that are measured, for each split seed: opened, found from an earlier run, or made now."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.embed import embed
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig
from mlrsnet_hf.runtime.collectives import Collectives
from mlrsnet_hf.runtime.device import inference_accelerator
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.training.learned_images import data_of_run, is_timms_own, protocol_of

logger = get_logger(__name__)

Card = Callable[[EmbeddingInfo], str]
"""Renders the README.md of embeddings."""
Load = Callable[[ImageSet], ImageSplit]
"""Loads images. A run passes one that remembers, so that each set of images is loaded once."""

_LATER = ("image_dir", "label_columns", "label_separator", "label_form", "uncertain", "missing")
"""Settings of images that the names of folders of embeddings did not tell at first."""
_POOL = "retrieval10"
"""Queries and database together are the same images in all three protocols, so that any serves to embed them."""


@dataclass(frozen=True, slots=True)
class Source:
    """The embeddings of one split seed, by one model."""

    model: str
    """Its name, as it was given."""
    folders: tuple[EmbeddingFolder, ...]
    """One, or those of queries and database."""
    trained_on: int | None = None
    """Number of the images that query or are searched that the model was trained on; None where nothing tells."""


def image_set(config: RetrievalConfig, protocol: str, split: str | None, seed: int) -> ImageSet:
    """Return the images of a split of the dataset that the settings name; of all splits without one."""
    return ImageSet(
        dataset=config.dataset,
        data_dir=config.data_dir,
        protocol=protocol,
        split=split,
        split_seed=seed,
        label_version=config.label_version,
    )


def find_sources(config: RetrievalConfig, load: Load = load_images, card: Card | None = None) -> list[Source]:
    """Return the measured model's embeddings for each split seed; compute what is not there.

    All processes of an `accelerate launch` call it.

    Raises:
        MLRSNetError: A model, dataset or embeddings folder cannot be used, or they do not belong together.
    """
    if config.query_embeddings is not None and config.database_embeddings is not None:
        folders = open_embeddings(config.query_embeddings), open_embeddings(config.database_embeddings)
        sources = [Source(folders[0].info.model, folders)]
    elif config.embeddings:
        sources = _opened(config.embeddings, config)
    else:
        return _embedded(config.model, config, load, card)
    fingerprint_of = cache(lambda model: load_embedding_model(_choice(model, config)).fingerprint)
    for source, model in zip(sources, _for_each_seed(config.model, config), strict=False):
        _require_made_by(source.folders[0].info, model, fingerprint_of(model))
    return sources


def find_compared(config: RetrievalConfig, load: Load = load_images, card: Card | None = None) -> list[Source]:
    """Return the embeddings of the second model, that of `compare`, for each split seed; none without one.

    Raises:
        MLRSNetError: As `find_sources`.
    """
    if config.compare and (Path(config.compare[0]).expanduser() / INFO_FILE).is_file():
        return _opened(config.compare, config)
    return _embedded(config.compare, config, load, card)


def _opened(names: Sequence[str], config: RetrievalConfig) -> list[Source]:
    folders = map(open_embeddings, _for_each_seed(names, config))
    return [Source(folder.info.model, (folder,)) for folder in folders]


def _for_each_seed(names: Sequence[str], config: RetrievalConfig) -> Sequence[str]:
    """Return a name for each split seed; one stands for all, none for none."""
    return names if len(names) != 1 else [*names] * len(config.split_seed)


def _embedded(names: Sequence[str], config: RetrievalConfig, load: Load, card: Card | None) -> list[Source]:
    """Return the embeddings by one model for each seed; one for all seeds embeds all images of the dataset once."""
    pools = [image_set(config, _POOL, "query+database", seed) for seed in config.split_seed]
    models = list(zip(_for_each_seed(names, config), pools, strict=False))
    trained_on = [trained_images(model, config, pool, load) for model, pool in models]
    if len(names) < len(models):
        everything = image_set(config, "all", None, 0)
        folders = [_embed_once(names[0], everything, config, load, card)] * len(models)
    else:
        folders = [_embed_once(model, pool, config, load, card) for model, pool in models]
    return [
        Source(model, (folder,), seen) for (model, _), folder, seen in zip(models, folders, trained_on, strict=True)
    ]


def trained_images(model: str, config: RetrievalConfig, pool: ImageSet, load: Load) -> int | None:
    """Return how many images of a pool a run was trained on; None where nothing tells.

    The pool of a retrieval protocol is what `ratio40` of the same seed does not train on, so that runs of `ratio20`,
    `ratio30` and `ratio40` of that seed have seen nothing of it but, as in the paper, the images that chose the epoch.

    Args:
        model: Folder of a run or of its saved model, whose results tell; or a timm name, whose own weights know nothing
            of MLRSNet.
        config: Says whether such images are allowed.
        pool: Queries and database of a split seed.
        load: Loads the images.

    Raises:
        ConfigurationError: There are some, or the results are damaged, and such images are not allowed.
    """
    if is_timms_own(model, config.weights):
        return 0
    data = data_of_run(model, config.allow_trained, "--allow-trained")
    if data is None or data["dataset"] != MLRSNET or config.dataset != MLRSNET:
        return None
    seed = pool.split_seed
    protocol, trained_seed = protocol_of(data)
    if protocol.startswith("ratio") and trained_seed == seed:
        return 0
    training = dataclasses.replace(pool, protocol=protocol, split="train", split_seed=trained_seed)
    shared = len(set(load(training).rows["id"]) & set(load(pool).rows["id"]))
    if shared and not config.allow_trained:
        raise ConfigurationError(
            f"{model} was trained on {shared:,} of the images that query or are searched (it learned from {protocol} "
            f"of split seed {trained_seed}, the images are of split seed {seed})",
            f"Give a run of split seed {seed}, one --model for each split seed, or --allow-trained.",
        )
    return shared


def _embed_once(
    model: str, images: ImageSet, config: RetrievalConfig, load: Load, card: Card | None
) -> EmbeddingFolder:
    """Return the embeddings of images by a model, made now unless an earlier run has made them."""
    choice = _choice(model, config)
    network = load_embedding_model(choice)
    accelerator = inference_accelerator(config.precision)
    processes = Collectives(accelerator)
    labels = processes.run_on_main(lambda: load(images).source.get("labels"))
    target = config.embeddings_dir / _folder_name(model, network.fingerprint, images, labels, config)
    kept = processes.run_on_main(lambda: _kept(target, network.fingerprint, images, load) if target.exists() else None)
    if kept is not None:
        return kept
    settings = EmbeddingConfig(
        **dataclasses.asdict(choice),
        output_dir=target,
        layer=config.layer,
        normalize=config.normalize,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        precision=config.precision,
    )
    return embed(settings, images, card, load=load, model=network, accelerator=accelerator)


def _choice(model: str, config: RetrievalConfig) -> ModelChoice:
    return ModelChoice(model=model, weights=config.weights, image_size=config.image_size, crop_pct=config.crop_pct)


def _folder_name(model: str, fingerprint: str, images: ImageSet, labels: str | None, config: RetrievalConfig) -> str:
    """Return a name that tells apart what must not be taken for each other; where the images lie does not matter."""
    told = dataclasses.asdict(images) | {"data_dir": None}
    for field in dataclasses.fields(images):  # those that earlier versions did not have, and are not used
        if field.name in _LATER and told[field.name] == field.default:
            del told[field.name]
    del told["label_version"]
    told["split"] = told["split"] or "train"  # of the protocol `all`
    told["labels"] = labels or "verified"  # as in the names of folders that earlier versions made, for other data too
    settings = (fingerprint, told, config.layer, config.normalize, config.precision)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^\w.-]+", "-", model.rstrip("/").rpartition("/")[2])
    return f"{name}-{config.layer}-{digest[:12]}"


def _kept(target: Path, fingerprint: str, images: ImageSet, load: Load) -> EmbeddingFolder:
    folder = open_embeddings(target)
    same = folder.info.model_fingerprint == fingerprint
    if not same or folder.info.dataset_fingerprint != load(images).fingerprint:
        raise ConfigurationError(
            f"{target}: embeddings of {'other images' if same else 'another model'} than are there now",
            "Remove the folder, or choose another --embeddings-dir.",
        )
    logger.info("embeddings found, of an earlier run: %s", target)
    return folder


def _require_made_by(info: EmbeddingInfo, model: str, fingerprint: str) -> None:
    if fingerprint != info.model_fingerprint:
        raise ConfigurationError(
            f"the embeddings were made by {info.described()}, not by {model} ({fingerprint[:8]})",
            "Leave --model out, or give the embeddings of this model (weights and image size count).",
        )
