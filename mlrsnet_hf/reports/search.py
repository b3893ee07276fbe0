"""`mlrsnet search`: ask an index, print what it finds, write the page."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlrsnet_hf.errors import ConfigurationError, require_extra
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.retrieval.embeddings.query import Filter, Hit, IndexedImage
from mlrsnet_hf.retrieval.index import COLLECTION
from mlrsnet_hf.retrieval.index.index import ImageIndex, open_index
from mlrsnet_hf.runtime.logs import print_result


@dataclass(frozen=True, slots=True)
class _Text:
    """What images shall show, in words."""

    words: str


_Query = str | Path | _Text
"""An id of the index, a picture, or words."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found for one query, or by the filter alone."""

    name: str
    """Of the query, as it was given; empty without one."""
    title: str
    images: Sequence[IndexedImage]
    total: int | None = None
    """Number of images that pass the filter, where it is all that counts."""
    asked: IndexedImage | None = None
    """The image of the index that was asked for."""
    picture: Path | None = None
    """The file that was asked for."""


def print_search(
    location: str,
    queries: Sequence[str] = (),
    *,
    texts: Sequence[str] = (),
    k: int = 12,
    labels: Sequence[str] = (),
    scene: str | None = None,
    ef: int | None = None,
    model: Mapping[str, Any] | None = None,
    page: Path | None = None,
    collection: str = COLLECTION,
) -> None:
    """Search an index, print the results best first, and write them as a page.

    Args:
        location: Folder of a local index, or URI of a Milvus server.
        queries: Paths of pictures or of folders of pictures, or else ids of images of the index; without any, what
            passes the filter is listed.
        texts: More queries: what images shall show, in words.
        k: Number of results of each.
        labels: Names of labels that every result has, each text one or several; see `ImageSearch.labels_in`.
        scene: Name of the scene that every result shows.
        ef: Search effort, see `open_index`.
        model: Fields of `ModelChoice`, such as where the network lies now; None for what is as when the index was made.
        page: The HTML file to write.
        collection: Its name on a server.

    Raises:
        MLRSNetError: The index, a picture, the model, a label or the page cannot be used.
    """
    for text in labels:
        if not text.strip(" ,"):
            raise ConfigurationError(f"--labels {text!r} names nothing", "Give labels, separated by commas.")
    asked: list[_Query] = [found for query in queries for found in _pictures(query)]
    asked += [_Text(words) for words in texts]
    if page is not None or any(not isinstance(query, str) for query in asked):
        require_extra("train")  # decodes pictures as training does
    with open_index(location, collection, ef) as index:
        wanted = index.filter(index.labels_in(labels), scene)  # before a network is loaded in vain
        if asked:
            answers = _nearest(index, asked, k, wanted, model or {})
        else:
            listing = index.listing(wanted, k)
            answers = [_Answer("", f"Images with {wanted}", listing.images, listing.total)]
    for answer in answers:
        print_result("\n".join(_lines(answer, k, named=len(answers) > 1)))
    if page is not None:
        _write_page(page, index, answers, wanted)
        print_result(f"page: {page}")


def _pictures(query: str) -> list[str | Path]:
    """Return the picture, or the pictures of the folder, that a query is; otherwise the query itself, an id.

    Raises:
        ConfigurationError: The folder holds no picture.
    """
    path = Path(query)
    try:
        if not path.is_dir():
            return [path if path.is_file() else query]
    except (OSError, ValueError):  # an id may be no path at all, or too long for one
        return [query]
    from mlrsnet_hf.inputs.image_set import ImageSet
    from mlrsnet_hf.inputs.images import load_images

    require_extra("train")
    return [path / name for name in load_images(ImageSet(images=query)).rows["id"]]


def _nearest(
    index: ImageIndex, asked: Sequence[_Query], k: int, wanted: Filter, model: Mapping[str, Any]
) -> list[_Answer]:
    """Return the answer to each query; ids are looked up before a network is loaded."""
    known = {query: index.find(query) for query in asked if isinstance(query, str)}
    vectors: dict[_Query, npt.NDArray[np.float32]] = {query: vector for query, (_, vector) in known.items()}
    pictures = [query for query in asked if isinstance(query, Path)]
    texts = [query for query in asked if isinstance(query, _Text)]
    if texts:
        index.require_text()
    if pictures or texts:
        moved = {name: value for name, value in model.items() if value is not None}
        made_by = index.local.model if index.local else ModelChoice()
        embedder = index.embedder(dataclasses.replace(made_by, **moved) if moved else None)
        if pictures:
            vectors |= zip(pictures, embedder.embed_pictures(pictures), strict=True)
        if texts:
            vectors |= zip(texts, embedder.embed_texts([query.words for query in texts]), strict=True)
    found = index.nearest(np.stack([vectors[query] for query in asked]), k, wanted)
    return [_answer(query, images, known) for query, images in zip(asked, found, strict=True)]


def _answer(query: _Query, images: Sequence[IndexedImage], known: Mapping[str, tuple[IndexedImage, object]]) -> _Answer:
    if isinstance(query, _Text):
        return _Answer(query.words, f"Images of “{query.words}”", images)
    if isinstance(query, Path):
        return _Answer(str(query), f"Images like {query.name}", images, picture=query)
    return _Answer(query, f"Images like {query}", images, asked=known[query][0])


def _lines(answer: _Answer, k: int, named: bool) -> list[str]:
    """Return an answer as it is printed, under the name of its query if there are several."""
    lines = [f"query: {answer.name}"] if named else []
    lines += _table(answer.images)
    count = len(answer.images)
    if answer.total is not None:
        lines.append(f"{count:,} of {answer.total:,} images with this filter, in the order of the embeddings")
    elif count < k:
        lines.append(f"{count:,} of the {k:,} asked for: no more images were found with this filter")
    return lines


def _table(images: Sequence[IndexedImage]) -> list[str]:
    """Return the results as lines under a heading; what is not known of them has no column."""
    rows = [("rank", "id", "distance", "scene", "labels")]
    for rank, image in enumerate(images, start=1):
        distance = f"{image.distance:.4f}" if isinstance(image, Hit) else ""
        rows.append((str(rank), image.id, distance, image.scene or "", ", ".join(image.labels or ())))
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    sides = (">" if column[0] in ("rank", "distance") else "<" for column in columns)
    return aligned(list(zip(*columns, strict=True)), "".join(sides))


def _write_page(page: Path, index: ImageIndex, answers: Sequence[_Answer], wanted: Filter) -> None:
    from mlrsnet_hf.reports.pages import render
    from mlrsnet_hf.retrieval.embeddings.pictures import find_pictures

    place = index.location if "://" in index.location else Path(index.location).absolute().name
    about = [f"{place}: {len(index):,} images, {index.info.described()}"]
    total = answers[0].total
    if total is not None:
        about.append(f"{len(answers[0].images):,} of {total:,} such images")
    elif wanted:
        about.append(f"only images with {wanted}")
    shown = {image.id: image for answer in answers for image in (*answer.images, answer.asked) if image is not None}
    pictures = find_pictures(list(shown.values()), index.local, index.appended)
    content = render(
        "search.html",
        title=answers[0].title if len(answers) == 1 else f"Images like {len(answers):,} queries",
        about=about,
        answers=((answer, _shown(answer, pictures)) for answer in answers),
        several=len(answers) > 1,
        pictures=pictures,
        wanted=wanted.labels,
    )
    with whole_file(page) as partial:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(content, encoding="utf-8")


def _shown(answer: _Answer, pictures: Mapping[str, Image.Image]) -> Image.Image | None:
    """Return the picture of a query; None if there is none."""
    if answer.picture is not None:
        from mlrsnet_hf.inputs.pixels.decoding import decode_rgb

        return decode_rgb({"bytes": None, "path": str(answer.picture)}, str(answer.picture))
    return None if answer.asked is None else pictures.get(answer.asked.id)
