"""What is asked of embeddings, checked once for the table in memory and the index on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics.arguments import to_array, whole_number
from mlrsnet_hf.retrieval.embedding_files import EmbeddingError, refuse_not_finite
from mlrsnet_hf.retrieval.embedding_info import EmbeddingInfo
from mlrsnet_hf.retrieval.hits import Filter, known_filter


@dataclass(frozen=True, slots=True, eq=False)
class SearchArguments:
    """A question that can be answered."""

    queries: npt.NDArray[np.float32]
    """(Q, D), finite."""
    k: int
    wanted: Filter
    """By the names that the data has."""


def check_search(
    queries: npt.ArrayLike, k: int, labels: Sequence[str], scene: str | None, info: EmbeddingInfo, what: str
) -> SearchArguments:
    """Check what is asked.

    Args:
        queries: (Q, D) or (D,) embeddings.
        k: How many results.
        labels: Names of labels that every image found must have.
        scene: Name of the scene that every image found must show.
        info: What is searched.
        what: Its name in errors, such as "the index".

    Raises:
        EmbeddingError: The queries have another dimension, or are not finite.
        ConfigurationError: k is no whole number from 1 to the number of images.
        UnknownNameError: A label or scene is not known.
    """
    vectors = _query_matrix(queries, info)
    wanted = known_filter(labels, scene, info)
    number = whole_number("k", k)
    if number > info.rows:
        raise ConfigurationError(
            f"k={number:,} where {what} holds {info.rows:,} images", f"Ask for 1 to {info.rows:,}."
        )
    return SearchArguments(vectors, number, wanted)


def check_listing(k: int, labels: Sequence[str], scene: str | None, info: EmbeddingInfo) -> tuple[int, Filter]:
    """Check what a listing asks for: like `check_search`, but without queries; k may exceed the images.

    Raises:
        ConfigurationError: k is no whole number of at least 1, or there is neither label nor scene.
        UnknownNameError: A label or scene is not known.
    """
    wanted = known_filter(labels, scene, info)
    if not wanted:
        raise ConfigurationError(
            "nothing to search for: neither a query nor a filter",
            "Give a picture, the id of an image, labels or a scene.",
        )
    return whole_number("k", k), wanted


def _query_matrix(queries: npt.ArrayLike, info: EmbeddingInfo) -> npt.NDArray[np.float32]:
    array = to_array(queries)
    if array.dtype.kind not in "fiub":
        raise EmbeddingError(f"queries have dtype {array.dtype}", "Pass real numbers.")
    with np.errstate(over="ignore"):  # told of below
        vectors = np.atleast_2d(array.astype(np.float32, copy=False))
    if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != info.dimension:
        raise EmbeddingError(
            f"queries of shape {vectors.shape} for embeddings of {info.dimension} dimensions",
            f"Embed the queries as the database was: {info.described()}.",
        )
    refuse_not_finite([f"query {i}" for i in range(len(vectors))], vectors, "Embed the queries again.")
    return vectors
