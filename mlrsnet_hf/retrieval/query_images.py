"""Pictures as queries: embedded by the model that made the index."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embedding_files import EmbeddingError
from mlrsnet_hf.retrieval.embedding_model import finish, load_embedding_model
from mlrsnet_hf.retrieval.index import ImageIndex
from mlrsnet_hf.retrieval.settings import ModelChoice
from mlrsnet_hf.training.preprocessing import decode_image


def embed_queries(
    paths: Sequence[str | Path], index: ImageIndex, model: ModelChoice | None = None
) -> npt.NDArray[np.float32]:
    """Return the (Q, D) embeddings of image files, made as those in the index.

    Args:
        paths: Of the pictures.
        index: What is searched.
        model: The network; by default the one that the index was built with, from where it lay then.

    Raises:
        ImageError: A picture cannot be read.
        ConfigurationError: It is not known where the model lies, or the index lacks its principal components.
        EmbeddingError: The model is not the one that made the index.
        WeightsError: Its weights cannot be had.
    """
    if model is None and index.local is None:
        raise ConfigurationError(
            f"{index.location}: it is not known here where its model lies ({index.info.model})", "Name it with --model."
        )
    pca = index.projection()
    choice = model or (index.local.model if index.local else ModelChoice())
    loaded = load_embedding_model(choice)
    if loaded.fingerprint() != index.info.model_fingerprint:
        raise EmbeddingError(
            f"{choice.model} is not the model that made the index, {index.info.described()}",
            "Name that model with --model, --weights, --image-size and --crop-pct, or build the index anew.",
        )
    images = [decode_image({"bytes": None, "path": str(path)}, str(path)) for path in paths]
    vectors = loaded.embed_images(images, index.info.layer)
    return finish(vectors, index.info.normalised, pca)
