"""Pictures of embedded images, found again to be shown."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

import datasets
from PIL import Image

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.inputs.decoding import decode_rgb
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.query import IndexedImage


def find_pictures(
    images: Sequence[IndexedImage], local: LocalSources | None, appended: Sequence[LocalSources] = ()
) -> Mapping[str, Image.Image]:
    """Return the pictures of images by id, those that still lie where they were embedded; see `pictures_of`.

    `appended` is where those lie that were added later: the last of them counts, and their rows are their own.
    """
    found: dict[str, Image.Image] = {}
    for sources in (*reversed(appended), local):
        missing = [image for image in images if image.id not in found]
        if sources is None or not missing:
            continue
        with contextlib.suppress(MLRSNetError):  # moved or removed since: a page without pictures still tells the ids
            rows = load_images(sources.images).rows
            if sources is not local:
                places = {name: row for row, name in enumerate(rows["id"])}
                missing = [dataclasses.replace(one, row=places[one.id]) for one in missing if one.id in places]
            found |= pictures_of(missing, rows)
    return found


def pictures_of(images: Sequence[IndexedImage], rows: datasets.Dataset) -> Mapping[str, Image.Image]:
    """Return the pictures of images by id; one that is gone, or stands in another row, is left out."""
    raw = rows.cast_column("image", datasets.Image(decode=False))
    found = {}
    for image in images:
        if image.row < len(raw) and (row := raw[image.row])["id"] == image.id:
            with contextlib.suppress(MLRSNetError):
                found[image.id] = decode_rgb(row["image"], image.id)
    return found
