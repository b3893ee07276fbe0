"""Pictures of images by their ids, for the pages of curation."""

from collections.abc import Iterable
from pathlib import Path

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.inputs.images import ImageSplit, load_images
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.reports.evaluation.pictures import PageThumbnails
from mlrsnet_hf.retrieval.embeddings.info import LocalSources

_PAGE = "a page of pictures is asked for"
_REMEDY = "Say where they are: --images, --dataset or --data-dir; or leave out what asks for them, such as --html."


def open_images(data: ImageSet, embeddings: Path | None, wanted: str = _PAGE) -> ImageSplit:
    """Return the images that a page shows: those that the options name, else those that were embedded.

    Args:
        data: The options; at their defaults they name none.
        embeddings: Folder of `mlrsnet embed`, which tells where its images were; None without.
        wanted: What they are wanted for, for errors.

    Raises:
        ConfigurationError: Nothing says where the images are, or they are not there.
    """
    if changed_settings(data):
        return load_images(data)
    sources = None if embeddings is None else LocalSources.read(embeddings)
    if sources is None:
        raise ConfigurationError(f"{wanted}, and nothing says where the images are", _REMEDY)
    try:
        return load_images(sources.images)
    except MLRSNetError as error:
        raise ConfigurationError(
            f"the images of {embeddings} are not where they were ({error.found})", _REMEDY
        ) from error


def imagery_of(split: ImageSplit) -> str:
    """Return whose pictures images are, as whoever shows them has to say; empty where nothing is known."""
    return IMAGERY if split.source.get("name") == MLRSNET else ""


class PageImages:
    """Thumbnails of images by id, each made once, as far as a page has room for them.

    Args:
        split: Where the images are.
    """

    def __init__(self, split: ImageSplit) -> None:
        ids = split.rows["id"][:]
        self._places = {name: row for row, name in enumerate(ids)}
        self._thumbnails = PageThumbnails(split.rows, ids)
        self.attribution = imagery_of(split)
        """Whose pictures they are, as the page has to say; empty where nothing is known."""

    def require_some(self, ids: Iterable[str]) -> None:
        """Refuse a dataset that has none of the images.

        Raises:
            ConfigurationError: It has none.
        """
        first = next(iter(ids), None)
        if first is not None and not any(name in self._places for name in ids):
            raise ConfigurationError(f"the images that are given have none of the ids, such as {first!r}", _REMEDY)

    def fits(self, name: str) -> bool:
        """Make the thumbnail of an image; tell whether there was room for it. One that is not there needs none."""
        return name not in self._places or self._thumbnails.make(self._places[name])

    def address(self, name: str) -> str | None:
        """Return the address of a thumbnail that was made; None for an image that is not there or cannot be read."""
        return self._thumbnails.addresses.get(self._places.get(name, -1))
