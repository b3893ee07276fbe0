"""What the app shows: a model, an index, a dataset, each opened once and asked by all who look."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.dataset.source import downloads_folder
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.inputs.config import MLRSNET
from mlrsnet_hf.inputs.decoding import ImageFile
from mlrsnet_hf.inputs.thumbnails import Thumbnails
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.heat_map import HeatMaps
from mlrsnet_hf.published import IMAGERY
from mlrsnet_hf.retrieval.embeddings.pictures import PictureFiles
from mlrsnet_hf.retrieval.embeddings.query import IndexedImage
from mlrsnet_hf.retrieval.index.index import Embedder, ImageIndex, open_index
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

_EXAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """A model to classify with."""

    classifier: Classifier
    name: str
    heat_maps: HeatMaps


@dataclass(frozen=True, kw_only=True)
class IndexPart:
    """An index to search."""

    index: ImageIndex
    embedder: Embedder | None
    """None where the network that made the index is not at hand: it is then searched by id and by labels."""
    files: PictureFiles
    thumbnails: Thumbnails

    def jpegs(self, images: Sequence[IndexedImage]) -> Mapping[str, bytes]:
        """Return small pictures of images by id, those that can be read."""
        return small_pictures(self.files.find(images), self.thumbnails)

    def examples(self) -> Mapping[str, ImageFile]:
        """Return the files of a few images, from all over the index."""
        rows = len(self.index)
        images = self.index.images_at([rows * place // _EXAMPLES for place in range(min(rows, _EXAMPLES))])
        return self.files.find(images)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that were given."""

    thumbnails: Thumbnails
    model: ModelPart | None = None
    index: IndexPart | None = None

    def examples(self) -> Mapping[str, ImageFile]:
        """Return a few image files by id, to try."""
        return {} if self.index is None else self.index.examples()

    @property
    def attribution(self) -> str:
        """Where the pictures come from."""
        return IMAGERY if self.index is not None and self.index.index.info.dataset_name == MLRSNET else ""


@contextmanager
def open_parts(config: AppConfig) -> Iterator[Parts]:
    """Open the parts that the settings name.

    Raises:
        MLRSNetError: One of them cannot be opened.
    """
    thumbnails = Thumbnails(downloads_folder(None) / "thumbnails")
    model = None if config.model is None else _open_model(config.model)
    if config.index is None:
        yield Parts(thumbnails=thumbnails, model=model)
        return
    with open_index(config.index, config.collection) as index:
        embedder = _find_embedder(index, config.model)
        files = PictureFiles(index.local, index.appended)
        yield Parts(
            thumbnails=thumbnails,
            model=model,
            index=IndexPart(index=index, embedder=embedder, files=files, thumbnails=thumbnails),
        )


def small_pictures(files: Mapping[str, ImageFile], thumbnails: Thumbnails) -> Mapping[str, bytes]:
    """Return small pictures of image files by id, as JPEG files; those that cannot be read are left out."""
    found = {}
    for name, file in files.items():
        try:
            found[name] = thumbnails.jpeg(file, name)
        except MLRSNetError as error:
            logger.debug("%s", error)
    return found


def _open_model(name: str) -> ModelPart:
    classifier = Classifier.from_pretrained(name)
    heat_maps = HeatMaps(classifier)
    if not heat_maps.available:
        logger.info("%s: its network has no feature maps, so no heat maps are shown", name)
    return ModelPart(classifier=classifier, name=Path(name).name if Path(name).exists() else name, heat_maps=heat_maps)


def _find_embedder(index: ImageIndex, model: str | None) -> Embedder | None:
    """Return the network that made the index, from where it lay then, or else the app's, if it is that one."""
    choices = [index.local.model] if index.local else []
    choices += [ModelChoice(model=model)] if model is not None else []
    for choice in choices:
        try:
            return index.embedder(choice)
        except MLRSNetError as error:
            logger.info("%s", error)
    logger.info("the network of the index is not at hand: it is searched by id and by labels alone")
    return None
