"""What the app shows: a model, an index, a dataset, each opened once and asked by all who look."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlrsnet_hf.apps.config import AppConfig
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.evaluation.decisions import Decisions
from mlrsnet_hf.inputs.catalog import Catalog, CatalogImage
from mlrsnet_hf.inputs.config import MLRSNET, DataConfig
from mlrsnet_hf.inputs.load import load_data
from mlrsnet_hf.inputs.pixels.decoding import ImageFile
from mlrsnet_hf.inputs.pixels.thumbnails import Thumbnails, thumbnails_folder
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.prediction.classifier import Classifier
from mlrsnet_hf.prediction.heat_map import HeatMaps
from mlrsnet_hf.prediction.predictions_file import read_predictions
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
class EvaluationPart:
    """What a model said of images of the dataset."""

    decisions: Decisions
    thresholds: Mapping[str, float]
    """By label; empty for a model of scenes alone."""
    model: str
    rows: Sequence[int | None]
    """Places in the catalog; None for an image that is not there."""


@dataclass(frozen=True, kw_only=True)
class DataPart:
    """A dataset to explore."""

    catalog: Catalog
    thumbnails: Thumbnails
    evaluation: EvaluationPart | None = None

    def jpegs(self, images: Sequence[CatalogImage]) -> Mapping[str, bytes]:
        """Return small pictures of images by id, those that can be read."""
        return small_pictures({image.id: image.file for image in images}, self.thumbnails)

    def examples(self) -> Mapping[str, ImageFile]:
        """Return the files of a few images, from all over the last split, which no model was trained on."""
        rows = self.catalog.select(self.catalog.split_names[-1])
        chosen = [rows[len(rows) * place // _EXAMPLES] for place in range(min(len(rows), _EXAMPLES))]
        return {image.id: image.file for image in self.catalog.images(chosen)}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that were given."""

    thumbnails: Thumbnails
    model: ModelPart | None = None
    index: IndexPart | None = None
    data: DataPart | None = None

    def examples(self) -> Mapping[str, ImageFile]:
        """Return a few image files by id, to try."""
        source = self.data or self.index
        return {} if source is None else source.examples()

    @property
    def attribution(self) -> str:
        """Where the pictures come from; empty where it is not known."""
        of_index = self.index is not None and self.index.index.info.dataset_name == MLRSNET
        return IMAGERY if of_index or (self.data is not None and self.data.catalog.source["is_mlrsnet"]) else ""


@contextmanager
def open_parts(config: AppConfig, data: DataConfig | None = None) -> Iterator[Parts]:
    """Open the parts that the settings name.

    Args:
        config: Names model and index.
        data: The dataset to explore; None for none.

    Raises:
        MLRSNetError: One of them cannot be opened.
    """
    thumbnails = Thumbnails(thumbnails_folder())
    if config.evaluation is not None and data is None:
        raise ConfigurationError(
            f"{config.evaluation}: an evaluation is shown with its images", "Name the dataset too, such as --data-dir."
        )
    parts = Parts(
        thumbnails=thumbnails,
        data=None if data is None else _open_data(data, config.evaluation, thumbnails),
        model=None if config.model is None else _open_model(config.model),
    )
    if config.index is None:
        yield parts
        return
    with open_index(config.index, config.collection) as index:
        embedder = _find_embedder(index, config.model)
        files = PictureFiles(index.local, index.appended)
        yield dataclasses.replace(
            parts, index=IndexPart(index=index, embedder=embedder, files=files, thumbnails=thumbnails)
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


def _open_data(config: DataConfig, evaluation: Path | None, thumbnails: Thumbnails) -> DataPart:
    catalog = Catalog(load_data(config))
    if evaluation is None:
        return DataPart(catalog=catalog, thumbnails=thumbnails)
    saved = read_predictions(evaluation)
    rows = catalog.rows_of(saved.ids)
    if not any(row is not None for row in rows):
        raise ConfigurationError(
            f"{evaluation}: none of its images is in the dataset", "Give the dataset that was evaluated."
        )
    by_label = bool(saved.task.label_outputs)
    decisions = (
        Decisions.of_labels(saved.predictions, saved.task, saved.thresholds)
        if by_label
        else Decisions.of_scenes(saved.predictions, saved.task)
    )
    part = EvaluationPart(decisions=decisions, thresholds=saved.info.thresholds, model=saved.info.model.name, rows=rows)
    return DataPart(catalog=catalog, thumbnails=thumbnails, evaluation=part)


def _open_model(name: str) -> ModelPart:
    classifier = Classifier.from_pretrained(name)
    heat_maps = HeatMaps(classifier)
    if not heat_maps.available:
        logger.info("%s: its network has no feature maps, so no heat maps are shown", name)
    return ModelPart(classifier=classifier, name=Path(name).name if Path(name).exists() else name, heat_maps=heat_maps)


def _find_embedder(index: ImageIndex, model: str | None) -> Embedder | None:
    """Return the network that made the index: from where it lay then, or the app's, or by the name that is told."""
    choices = [index.local.model] if index.local else []
    choices += [ModelChoice(model=model)] if model is not None else []
    if not choices or "/" in index.info.model:  # of a folder only its own name is told
        choices.append(ModelChoice(model=index.info.model))
    for choice in choices:
        try:
            return index.embedder(choice)
        except MLRSNetError as error:
            logger.info("%s", error)
    logger.info("the network of the index is not at hand: it is searched by id and by labels alone")
    return None
