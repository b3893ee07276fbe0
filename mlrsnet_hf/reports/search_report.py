"""`mlrsnet search`: ask an index, print what it finds, write the page."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.extras import require_extra
from mlrsnet_hf.reports.search_page import render_search_page, write_page
from mlrsnet_hf.retrieval.hits import Filter, Hit, IndexedImage, known_filter
from mlrsnet_hf.retrieval.index import COLLECTION, ImageIndex, open_index
from mlrsnet_hf.retrieval.settings import ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for."""

    query: str | None = None
    """A picture's path, or else the id of an image of the index; without one, what passes the filter is listed."""
    k: int = 12
    labels: tuple[str, ...] = ()
    scene: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelChoice` that differ from those the index was made with, such as where the network lies now."""

    @property
    def is_picture(self) -> bool:
        """Whether the query is the path of a file."""
        try:
            return self.query is not None and Path(self.query).is_file()
        except (OSError, ValueError):  # an id may be no path at all, or too long for one
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What was found."""

    images: Sequence[IndexedImage]
    title: str
    asked: Image.Image | IndexedImage | None = None
    """The picture that was searched for, or the image of the index."""
    total: int | None = None
    """Of a listing: how many images pass the filter."""


def print_search(location: str, question: Question, page: Path | None = None, collection: str = COLLECTION) -> None:
    """Search an index, print the results best first, and write them as a page.

    Args:
        location: Folder of a local index, or URI of a Milvus server.
        question: What to search for.
        page: The HTML file to write.
        collection: Its name on a server.

    Raises:
        MLRSNetError: The index, the picture, the model, a label or the page cannot be used.
    """
    if page is not None or question.is_picture:
        require_extra("train")  # the pictures are read as training reads them
    with open_index(location, collection) as index:
        wanted = known_filter(question.labels, question.scene, index.info)  # before a network is loaded in vain
        answer = _list(question, wanted, index) if question.query is None else _search(question, question.query, index)
    _print(answer, question)
    if page is not None:
        write_page(_page(index, wanted, answer), page)
        print(f"page: {page}")


def _list(question: Question, wanted: Filter, index: ImageIndex) -> _Answer:
    listing = index.list_images(question.labels, question.scene, question.k)
    return _Answer(images=listing.images, title=f"Images with {wanted}", total=listing.total)


def _search(question: Question, query: str, index: ImageIndex) -> _Answer:
    vector, asked = _embedded(question, query, index)
    [hits] = index.search(vector, question.k, question.labels, question.scene)
    name = asked.id if isinstance(asked, IndexedImage) else Path(query).name
    return _Answer(images=hits, title=f"Images like {name}", asked=asked)


def _embedded(
    question: Question, query: str, index: ImageIndex
) -> tuple[npt.NDArray[np.float32], Image.Image | IndexedImage]:
    """Return the query's embedding, and its picture, or else the image of the index that it is."""
    if not question.is_picture:
        image, embedding = index.find(query)
        return embedding, image
    from mlrsnet_hf.retrieval.query_images import embed_queries
    from mlrsnet_hf.training.preprocessing import decode_image

    made_by = index.local.model if index.local else ModelChoice()
    model = dataclasses.replace(made_by, **question.model) if question.model else None
    vector = embed_queries([query], index, model)
    return vector, decode_image({"bytes": None, "path": query}, query)


def _print(answer: _Answer, question: Question) -> None:
    for rank, image in enumerate(answer.images, start=1):
        distance = f"{image.distance:10.4f}  " if isinstance(image, Hit) else ""
        scene = f"  [{image.scene}]" if image.scene else ""
        labels = f"  {', '.join(image.labels)}" if image.labels else ""
        print(f"{rank:>3}  {distance}{image.id}{scene}{labels}")
    if answer.total is not None:
        print(f"{len(answer.images):,} of {answer.total:,} images with this filter, in the order of the embeddings")
    elif len(answer.images) < question.k:
        print(f"{len(answer.images)} of the {question.k} asked for: no more images were found with this filter")


def _page(index: ImageIndex, wanted: Filter, answer: _Answer) -> str:
    from mlrsnet_hf.retrieval.pictures import find_pictures

    image = answer.asked if isinstance(answer.asked, IndexedImage) else None
    about = [f"{index.location}: {len(index):,} images, {index.info.described()}"]
    if answer.total is not None:
        about.append(f"{len(answer.images):,} of {answer.total:,} such images")
    elif wanted:
        about.append(f"only images with {wanted}")
    pictures = find_pictures([*answer.images, image] if image else answer.images, index.local)
    query = pictures.get(image.id) if image else answer.asked
    assert not isinstance(query, IndexedImage)
    return render_search_page(answer.title, about, answer.images, pictures, query, wanted.labels)
