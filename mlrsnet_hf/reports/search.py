"""`mlrsnet search`: ask an index, print what it finds, write the page."""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.reports.html_page import page, thumbnail
from mlrsnet_hf.retrieval.embeddings.config import ModelChoice
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, IndexedImage
from mlrsnet_hf.retrieval.index.collection import COLLECTION
from mlrsnet_hf.retrieval.index.index import ImageIndex, open_index


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
        wanted = index.filter(question.labels, question.scene)  # before a network is loaded in vain
        answer = (
            _list(question, wanted, index)
            if question.query is None
            else _search(question, question.query, wanted, index)
        )
    _print(answer, question)
    if page is not None:
        write_page(_page(index, wanted, answer), page)
        print(f"page: {page}")


def _list(question: Question, wanted: Filter, index: ImageIndex) -> _Answer:
    listing = index.listing(wanted, question.k)
    return _Answer(images=listing.images, title=f"Images with {wanted}", total=listing.total)


def _search(question: Question, query: str, wanted: Filter, index: ImageIndex) -> _Answer:
    vector, asked = _embedded(question, query, index)
    [hits] = index.nearest(vector, question.k, wanted)
    name = asked.id if isinstance(asked, IndexedImage) else Path(query).name
    return _Answer(images=hits, title=f"Images like {name}", asked=asked)


def _embedded(
    question: Question, query: str, index: ImageIndex
) -> tuple[npt.NDArray[np.float32], Image.Image | IndexedImage]:
    """Return the query's embedding, and its picture, or else the image of the index that it is."""
    if not question.is_picture:
        image, embedding = index.find(query)
        return embedding, image
    from mlrsnet_hf.inputs.decoding import decode_rgb

    made_by = index.local.model if index.local else ModelChoice()
    model = dataclasses.replace(made_by, **question.model) if question.model else None
    picture = decode_rgb({"bytes": None, "path": query}, query)
    return index.embed_pictures([picture], model), picture


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
    from mlrsnet_hf.retrieval.embeddings.images import find_pictures

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


_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
p { margin: .2rem 0; }
.about { opacity: .75; }
.query { margin: 1rem 0; max-width: 14rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; height: 100%; }
img, .none { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.none { display: grid; place-items: center; opacity: .6; }
figcaption { padding: .5rem .7rem .7rem; font-size: .85rem; overflow-wrap: anywhere; }
.name { font-weight: 600; }
.label { display: inline-block; border: 1px solid var(--line); border-radius: 1em;
  padding: 0 .5em; margin: .15rem .1rem 0 0; }
.wanted { font-weight: 600; border-color: currentColor; }
"""


def render_search_page(
    title: str,
    about: Sequence[str],
    images: Sequence[IndexedImage],
    pictures: Mapping[str, Image.Image],
    query: Image.Image | None = None,
    wanted: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        title: What was searched for.
        about: Lines below the title: the index, its model, the filter.
        images: What was found, best first.
        pictures: By id; an image without one is shown by its text.
        query: The picture that was searched for.
        wanted: Labels to mark.
    """
    items = "\n".join(_item(rank, image, pictures.get(image.id), wanted) for rank, image in enumerate(images, start=1))
    lines = "\n".join(f'<p class="about">{html.escape(line)}</p>' for line in about)
    shown = "" if query is None else f'<figure class="query">{thumbnail(query, "the query")}</figure>'
    return page(title, [lines, shown, f"<ol>\n{items}\n</ol>"], _STYLE)


def write_page(content: str, path: Path) -> None:
    """Write a page, which has its name only when it is whole.

    Raises:
        ConfigurationError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error.strerror})", "Choose another place.") from error
    with whole_file(path) as partial:
        partial.write_text(content, encoding="utf-8")


def _item(rank: int, image: IndexedImage, picture: Image.Image | None, wanted: Sequence[str]) -> str:
    shown = '<div class="none">picture not found</div>' if picture is None else thumbnail(picture, image.id)
    labels = "".join(
        f'<span class="label{" wanted" if label in wanted else ""}">{html.escape(label)}</span>'
        for label in image.labels or ()
    )
    distance = f"<p>distance {image.distance:.4g}</p>" if isinstance(image, Hit) else ""
    scene = f"<p>{html.escape(image.scene)}</p>" if image.scene else ""
    return (
        f'<li><figure>{shown}<figcaption><p class="name">{rank}. {html.escape(image.id)}</p>'
        f"{distance}{scene}{labels}</figcaption></figure></li>"
    )
