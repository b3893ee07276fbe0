"""Embeddings that a later run finds again: one folder for a model, a layer and a set of images."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable

from accelerate import PartialState

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig, ImageSet, ModelChoice
from mlrsnet_hf.retrieval.embeddings.embed import embed
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, open_embeddings
from mlrsnet_hf.retrieval.embeddings.images import load_images
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.model import load_embedding_model
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig

Card = Callable[[EmbeddingInfo], str]


def embed_once(model: str, images: ImageSet, config: RetrievalConfig, card: Card | None = None) -> EmbeddingFolder:
    """Return the embeddings of images by a model, made now unless an earlier run has made them.

    All processes of an `accelerate launch` call it.

    Args:
        model: Folder, repository of the Hub, or timm name.
        images: What to embed.
        config: Layer, treatment, batches; where embeddings are kept.
        card: Renders the folder's README.md.

    Raises:
        MLRSNetError: The model or the images cannot be used.
        ConfigurationError: What is kept was made of other images.
    """
    choice = _choice(model, config)
    fingerprint = load_embedding_model(choice).fingerprint
    target = config.embeddings_dir / _name(model, fingerprint, images, config)
    if target.exists():
        return _found(open_embeddings(target), fingerprint, images)
    settings = EmbeddingConfig(
        **dataclasses.asdict(choice),
        output_dir=target,
        layer=config.layer,
        normalize=config.normalize,
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        precision=config.precision,
    )
    return embed(settings, images, card)


def require_made_by(info: EmbeddingInfo, model: str, config: RetrievalConfig) -> None:
    """Refuse embeddings of another model than named.

    Raises:
        ConfigurationError: The weights or the preprocessing differ.
        MLRSNetError: The model cannot be loaded.
    """
    fingerprint = load_embedding_model(_choice(model, config)).fingerprint
    if fingerprint != info.model_fingerprint:
        raise ConfigurationError(
            f"the embeddings were made by {info.described()}, not by {model} ({fingerprint[:8]})",
            "Leave --model out, or give the embeddings of this model (weights and image size count).",
        )


def _choice(model: str, config: RetrievalConfig) -> ModelChoice:
    return ModelChoice(model=model, weights=config.weights, image_size=config.image_size, crop_pct=config.crop_pct)


def _name(model: str, fingerprint: str, images: ImageSet, config: RetrievalConfig) -> str:
    """Return a name that tells apart what must not be taken for each other; where the images lie does not matter."""
    told = dataclasses.asdict(images) | {"data_dir": None}
    told["labels"] = told.pop("label_version")  # as folders that lie there were named
    settings = (fingerprint, told, config.layer, config.normalize, config.precision)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^\w.-]+", "-", model.rstrip("/").rpartition("/")[2])
    return f"{name}-{config.layer}-{digest[:12]}"


def _found(folder: EmbeddingFolder, fingerprint: str, images: ImageSet) -> EmbeddingFolder:
    same = folder.info.model_fingerprint == fingerprint
    if not same or folder.info.dataset_fingerprint != load_images(images).fingerprint:
        raise ConfigurationError(
            f"{folder.path}: embeddings of {'other images' if same else 'another model'} than are there now",
            "Remove the folder, or choose another --embeddings-dir.",
        )
    if PartialState().is_main_process:
        print(f"embeddings found, of an earlier run: {folder.path}")
    return folder
