"""The pictures that a report of retrieval shows."""

import dataclasses
from collections.abc import Mapping, Sequence

from PIL import Image

from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.retrieval.embeddings.config import ImageSet, ModelChoice
from mlrsnet_hf.retrieval.embeddings.images import find_pictures, load_images
from mlrsnet_hf.retrieval.embeddings.info import LocalSources
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.protocol.results import Examples

Pictures = Mapping[str, Image.Image]


def pictures_of(examples: Examples, places: Sequence[ImageSet]) -> Pictures:
    """Return the pictures of the examples by id, from the places where images may lie; what is gone is left out."""
    shown = [example for part in (examples.model, examples.compared) for example in part]
    wanted = {hit.id: hit for example in shown for hit in (example.query, *example.results)}
    found: dict[str, Image.Image] = {}
    for place in places:
        found |= _found([hit for image, hit in wanted.items() if image not in found], place)
    return found


def _found(hits: Sequence[Hit], place: ImageSet) -> Pictures:
    try:
        row_of = {image: row for row, image in enumerate(load_images(place).rows["id"])}
    except MLRSNetError:  # moved or removed since: a report without pictures still tells the ids
        return {}
    there = [dataclasses.replace(hit, row=row_of[hit.id]) for hit in hits if hit.id in row_of]
    return find_pictures(there, LocalSources(ModelChoice(), place))
