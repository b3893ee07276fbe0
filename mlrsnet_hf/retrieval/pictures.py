"""The pictures behind ids, from where they lay when they were embedded."""

from collections.abc import Mapping, Sequence

import datasets
from PIL import Image

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.retrieval.hits import IndexedImage
from mlrsnet_hf.retrieval.image_split import load_images
from mlrsnet_hf.retrieval.local_sources import LocalSources
from mlrsnet_hf.training.preprocessing import decode_image


def find_pictures(images: Sequence[IndexedImage], local: LocalSources | None) -> Mapping[str, Image.Image]:
    """Return the pictures of images by id, those that are still there.

    A picture that is gone, or stands in another row than when it was embedded, is left out.
    """
    if local is None:
        return {}
    try:
        rows = load_images(local.images).rows
    except MLRSNetError:  # moved or removed since: a page without pictures still tells the ids
        return {}
    raw = rows.cast_column("image", datasets.Image(decode=False))
    found = {}
    for image in images:
        if image.row < len(raw) and (row := raw[image.row])["id"] == image.id:
            try:
                found[image.id] = decode_image(row["image"], image.id)
            except MLRSNetError:
                continue
    return found
