"""The results of a search page by page, for whoever looks at them one screen after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.retrieval.embeddings.query import Filter, ImageSearch, IndexedImage

DEEPEST = 1000
"""Results of a query that can be paged through; of a filter alone, all can."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """What is searched for: the images nearest to a vector, or those that pass a filter."""

    title: str
    """In words, such as "images like harbor_1"."""
    vector: npt.NDArray[np.float32] | None = None
    """(D,), made as the embeddings that are searched; None for the filter alone."""
    wanted: Filter
    labels: tuple[str, ...] = ()
    """Labels of the image that is asked for, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the results, those of one page."""

    images: Sequence[IndexedImage]
    number: int
    """Counted from 1."""
    first: int
    """Rank of the first image, counted from 1."""
    is_last: bool
    total: int | None = None
    """Number of all results, where the filter is all that counts."""


def result_page(index: ImageSearch, query: Query, number: int = 1, size: int = 24) -> Page:
    """Return a page of results.

    Args:
        index: What is searched.
        query: What for.
        number: Of the page, counted from 1; a later one than the last is the last that there may be.
        size: Images of a page.

    Raises:
        ConfigurationError: No image passes the filter, or there is neither a vector nor a filter.
        EmbeddingError: The vector does not fit the embeddings.
    """
    if query.vector is None:
        number = max(1, number)
        skip = (number - 1) * size
        listing = index.listing(query.wanted, size, skip)
        is_last = skip + size >= listing.total
        return Page(images=listing.images, number=number, first=skip + 1, is_last=is_last, total=listing.total)
    depth = min(index.info.rows, DEEPEST)
    number = max(1, min(number, -(-depth // size)))
    skip = (number - 1) * size
    found = index.nearest(query.vector, min(depth, skip + size + 1), query.wanted)[
        0
    ]  # one more tells if there are more
    return Page(images=found[skip : skip + size], number=number, first=skip + 1, is_last=len(found) <= skip + size)
