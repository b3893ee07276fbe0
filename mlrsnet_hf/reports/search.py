"""`mlrsnet search`: ask an index, print what it finds, write the page."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mlrsnet_hf.errors import require_extra
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.retrieval.embeddings.config import ModelChoice
from mlrsnet_hf.retrieval.embeddings.query import Hit, IndexedImage
from mlrsnet_hf.retrieval.index import COLLECTION
from mlrsnet_hf.retrieval.index.index import open_index
from mlrsnet_hf.runtime.logs import print_result


def print_search(
    location: str,
    query: str | None = None,
    *,
    k: int = 12,
    labels: Sequence[str] = (),
    scene: str | None = None,
    model: Mapping[str, Any] | None = None,
    page: Path | None = None,
    collection: str = COLLECTION,
) -> None:
    """Search an index, print the results best first, and write them as a page.

    Args:
        location: Folder of a local index, or URI of a Milvus server.
        query: Path of a picture, or else id of an image of the index; without one, what passes the filter is listed.
        k: Number of results.
        labels: Names of labels that every result has.
        scene: Name of the scene that every result shows.
        model: Fields of `ModelChoice`, such as where the network lies now; None for what is as when the index was made.
        page: The HTML file to write.
        collection: Its name on a server.

    Raises:
        MLRSNetError: The index, the picture, the model, a label or the page cannot be used.
    """
    is_picture = query is not None and _is_file(query)
    if page is not None or is_picture:
        require_extra("train")  # decodes pictures as training does
    picture: Image.Image | None = None
    asked: IndexedImage | None = None
    images: Sequence[IndexedImage]
    total: int | None = None
    moved = {name: value for name, value in (model or {}).items() if value is not None}
    with open_index(location, collection) as index:
        wanted = index.filter(labels, scene)  # before a network is loaded in vain
        if query is None:
            listing = index.listing(wanted, k)
            images, total, title = listing.images, listing.total, f"Images with {wanted}"
        else:
            if is_picture:
                from mlrsnet_hf.inputs.decoding import decode_rgb

                picture = decode_rgb({"bytes": None, "path": query}, query)
                made_by = index.local.model if index.local else ModelChoice()
                vector = index.embed_pictures([picture], dataclasses.replace(made_by, **moved) if moved else None)
            else:
                asked, vector = index.find(query)
            images = index.nearest(vector, k, wanted)[0]
            title = f"Images like {Path(query).name if asked is None else asked.id}"

    print_result("\n".join(_table(images)))
    if total is not None:
        print_result(f"{len(images):,} of {total:,} images with this filter, in the order of the embeddings")
    elif len(images) < k:
        print_result(f"{len(images)} of the {k} asked for: no more images were found with this filter")

    if page is not None:
        from mlrsnet_hf.reports.pages import render
        from mlrsnet_hf.retrieval.embeddings.images import find_pictures

        place = location if "://" in location else Path(location).expanduser().absolute().name
        about = [f"{place}: {len(index):,} images, {index.info.described()}"]
        if total is not None:
            about.append(f"{len(images):,} of {total:,} such images")
        elif wanted:
            about.append(f"only images with {wanted}")
        pictures = find_pictures([*images, asked] if asked else images, index.local)
        shown = pictures.get(asked.id) if asked else picture
        content = render(
            "search.html",
            title=title,
            about=about,
            query=shown,
            images=images,
            pictures=pictures,
            wanted=wanted.labels,
        )
        with whole_file(page) as partial:
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(content, encoding="utf-8")
        print_result(f"page: {page}")


def _is_file(query: str) -> bool:
    try:
        return Path(query).is_file()
    except (OSError, ValueError):  # an id may be no path at all, or too long for one
        return False


def _table(images: Sequence[IndexedImage]) -> list[str]:
    """Return the results as lines under a heading; what is not known of them has no column."""
    rows = [("rank", "id", "distance", "scene", "labels")]
    for rank, image in enumerate(images, start=1):
        distance = f"{image.distance:.4f}" if isinstance(image, Hit) else ""
        rows.append((str(rank), image.id, distance, image.scene or "", ", ".join(image.labels or ())))
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    sides = (">" if column[0] in ("rank", "distance") else "<" for column in columns)
    return aligned(list(zip(*columns, strict=True)), "".join(sides))
