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
from mlrsnet_hf.retrieval.hits import Filter, Hit
from mlrsnet_hf.retrieval.index import COLLECTION, ImageIndex, open_index
from mlrsnet_hf.retrieval.settings import ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is searched for."""

    query: str
    """A picture's path, or else the id of an image of the index."""
    k: int = 12
    labels: tuple[str, ...] = ()
    scene: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelChoice` that differ from those the index was made with, such as where the network lies now."""

    @property
    def is_picture(self) -> bool:
        """Whether the query is the path of a file."""
        try:
            return Path(self.query).is_file()
        except (OSError, ValueError):  # an id may be no path at all, or too long for one
            return False


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
        vector, asked = _query(question, index)
        [hits] = index.search(vector, question.k, question.labels, question.scene)
    _print(hits, question)
    if page is not None:
        write_page(_page(index, question, hits, asked), page)
        print(f"page: {page}")


def _query(question: Question, index: ImageIndex) -> tuple[npt.NDArray[np.float32], Image.Image | Hit]:
    """Return the query's embedding, and its picture, or else the image of the index that it is."""
    if not question.is_picture:
        image, embedding = index.find(question.query)
        return embedding, image
    from mlrsnet_hf.retrieval.query_images import embed_queries
    from mlrsnet_hf.training.preprocessing import decode_image

    made_by = index.local.model if index.local else ModelChoice()
    model = dataclasses.replace(made_by, **question.model) if question.model else None
    vector = embed_queries([question.query], index, model)
    return vector, decode_image({"bytes": None, "path": question.query}, question.query)


def _print(hits: Sequence[Hit], question: Question) -> None:
    for rank, hit in enumerate(hits, start=1):
        labels = f"  {', '.join(hit.labels)}" if hit.labels else ""
        print(f"{rank:>3}  {hit.distance:10.4f}  {hit.id}{f'  [{hit.scene}]' if hit.scene else ''}{labels}")
    if len(hits) < question.k:
        print(f"{len(hits)} of the {question.k} asked for: no more images were found with this filter")


def _page(index: ImageIndex, question: Question, hits: Sequence[Hit], asked: Image.Image | Hit) -> str:
    from mlrsnet_hf.retrieval.pictures import find_pictures

    image = asked if isinstance(asked, Hit) else None
    wanted = Filter(labels=question.labels, scene=question.scene)
    about = [f"{index.location}: {len(index):,} images, {index.info.described()}"]
    about += [f"only {wanted}"] if wanted else []
    pictures = find_pictures([*hits, image] if image else hits, index.local)
    query = asked if not isinstance(asked, Hit) else pictures.get(asked.id)
    name = image.id if image else Path(question.query).name
    return render_search_page(f"Images like {name}", about, hits, pictures, query, question.labels)
