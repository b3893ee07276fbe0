"""`mlrsnet curate find-errors`: from predictions, embeddings or label files to a table of labels, the worst first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlrsnet_hf.curation.config import FindErrorsConfig
from mlrsnet_hf.curation.find_errors_page import write_find_errors_page
from mlrsnet_hf.curation.label_patterns import vocabulary_rules
from mlrsnet_hf.curation.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.page_images import PageImages, open_images
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.vocabulary import read_vocabulary
from mlrsnet_hf.curation.wrong_labels import LabeledImages, WrongLabels, find_wrong_labels
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS, read_predictions
from mlrsnet_hf.release import open_labels
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.logs import get_logger
from mlrsnet_hf.taxonomy import LABEL_NAMES, SCENE_NAMES

_TOLD = 5
"""Labels that are named as those most often wrong."""

logger = get_logger(__name__)


def find_errors(config: FindErrorsConfig, data: ImageSet | None = None) -> str:
    """Write the table of labels that are probably wrong, and the page, and return what came out in a few lines.

    Args:
        config: What is judged, and by what.
        data: The images that the page shows; if unset those that were embedded.

    Raises:
        MLRSNetError: The source or what is given besides cannot be read or does not fit, the model has seen the images,
            or the table or page exists or cannot be written.
    """
    refuse_existing(config.output)
    pictures = None
    if config.html is not None:
        refuse_existing(config.html)
        pictures = PageImages(open_images(data or ImageSet(), _embedded(config)))
    images = read_images(config)
    if pictures is not None:
        pictures.require_some(images.ids)
    rules = None
    if config.vocabulary is not None:
        if images.scenes is None:
            raise ConfigurationError(
                f"{config.source} names no scenes, of which the vocabulary speaks", "Leave it out."
            )
        rules = vocabulary_rules(read_vocabulary(config.vocabulary), images.scene_names, images.label_names)
    result = find_wrong_labels(images, rules, config.neighbors)
    places = result.ranked(config.least)
    lines = _summary(config, images, result, places)
    often = _most_often(images, places)
    _write(config.output, images, result, places)
    if config.html is not None and pictures is not None:
        write_find_errors_page(
            config.html,
            title=f"Labels of {config.source.expanduser().absolute().name} that are probably wrong",
            about=[f"{line[:1].upper()}{line[1:]}." for line in lines],
            images=images,
            result=result,
            places=places,
            pictures=pictures,
            rules=rules,
        )
        often.append(f"page: {config.html}")
    return "\n".join([*lines, *often, f"written to {config.output}"])


def _embedded(config: FindErrorsConfig) -> Path | None:
    """Return the folder of embeddings that is given, if there is one."""
    if config.embeddings is not None:
        return config.embeddings.expanduser()
    source = config.source.expanduser()
    return source if (source / INFO_FILE).is_file() else None


def read_images(config: FindErrorsConfig) -> LabeledImages:
    """Return the images with what is known of them.

    Raises:
        MLRSNetError: The source cannot be read, has no labels, or does not fit what is given besides.
    """
    source = config.source.expanduser()
    if source.suffix == ".parquet" or (source / PREDICTIONS).is_file():
        images = _of_predictions(source)
        if config.embeddings is None:
            return images
        return _with_embeddings(images, EmbeddingTable.load(config.embeddings))
    if config.embeddings is not None:
        raise ConfigurationError("embeddings are given besides what are no predictions", "Give them as the source.")
    if (source / INFO_FILE).is_file():
        return _of_embeddings(EmbeddingTable.load(source), config)
    return _of_label_files(source)


def _of_predictions(source: Path) -> LabeledImages:
    saved = read_predictions(source)
    if not saved.task.label_outputs:
        raise ConfigurationError(f"{source}: predictions of scenes alone", "Give those of a model that scores labels.")
    if saved.info.trained_on:
        raise ConfigurationError(
            f"{source}: the model was trained on {saved.info.trained_on:,} of these images, and knows their labels",
            "Give predictions of images that it has not seen, such as of the test split, or embeddings.",
        )
    if saved.info.trained_on is None:
        logger.warning("%s: nothing tells whether the model has seen these images; it must not have", source)
    targets = saved.predictions.targets
    unknown = np.isnan(targets)
    return LabeledImages(
        ids=saved.ids,
        label_names=saved.task.label_names,
        labels=targets == 1,
        unknown=unknown if unknown.any() else None,
        scene_names=saved.task.scene_names,
        scenes=saved.scenes,
        scores=saved.predictions.scores,
    )


def _with_embeddings(images: LabeledImages, table: EmbeddingTable) -> LabeledImages:
    rows = {name: row for row, name in enumerate(table.ids)}
    places = np.array([rows.get(name, -1) for name in images.ids])
    missing = int((places < 0).sum())
    if missing == len(places):
        raise ConfigurationError("none of the predicted images has an embedding", "Embed the same images.")
    if missing:
        logger.warning("%s of %s images have no embedding: their neighbors are not asked", missing, len(places))
    embeddings = np.where((places >= 0)[:, None], table.embeddings[places], np.float32(0))
    return replace(images, embeddings=embeddings)


def _of_embeddings(table: EmbeddingTable, config: FindErrorsConfig) -> LabeledImages:
    if table.labels is None:
        raise ConfigurationError(f"{config.source}: embeddings without labels", "Embed a dataset that has labels.")
    labels = _multi_hot(table.labels, len(table.info.label_names))
    return LabeledImages(
        ids=table.ids,
        label_names=table.info.label_names,
        labels=labels,
        scene_names=table.info.scene_names,
        scenes=table.scenes,
        scores=out_of_fold_scores(table.embeddings, labels, config.folds, seed=config.seed),
        embeddings=table.embeddings,
    )


def _of_label_files(source: Path) -> LabeledImages:
    entries = open_labels(source, "as-published")
    return LabeledImages(
        ids=[entry.id for entry in entries],
        label_names=LABEL_NAMES,
        labels=_multi_hot([entry.labels for entry in entries], len(LABEL_NAMES)),
        scene_names=SCENE_NAMES,
        scenes=np.array([entry.scene.id for entry in entries]),
    )


def _multi_hot(labels: Sequence[Sequence[int]], width: int) -> np.ndarray:
    made = np.zeros((len(labels), width), bool)
    for row, ids in zip(made, labels, strict=True):
        row[list(ids)] = True
    return made


def _write(path: Path, images: LabeledImages, result: WrongLabels, places: Sequence[tuple[int, int]]) -> None:
    """Write a row for each label that is probably wrong."""
    rows, columns = (np.array(part, np.int64) for part in (zip(*places, strict=True) if places else ((), ())))
    table: dict[str, list[Any]] = {
        "rank": list(range(1, len(rows) + 1)),
        "image": [images.ids[row] for row in rows],
        "label": [images.label_names[column] for column in columns],
        "given": images.labels[rows, columns].tolist(),
        "wrong": result.wrong[rows, columns].tolist(),
        "found": result.found[rows, columns].tolist(),
    }
    if images.scenes is not None:
        names = [*images.scene_names, None]  # -1 is the last
        table["scene"] = [names[scene] for scene in images.scenes[rows]]
    table |= {name.replace(" ", "_"): part[rows, columns].tolist() for name, part in result.evidence.items()}
    write_table(path, table)


def _summary(
    config: FindErrorsConfig, images: LabeledImages, result: WrongLabels, places: Sequence[tuple[int, int]]
) -> list[str]:
    judged = images.labels.size - (0 if images.unknown is None else int(images.unknown.sum()))
    affected = len({row for row, _ in places})
    lines = [
        f"{len(places):,} of {judged:,} labels are probably wrong, on {affected:,} of {len(images.ids):,} images",
        "asked: " + ", ".join([*result.evidence, *["vocabulary"] * (config.vocabulary is not None)]),
    ]
    if images.scores is None and images.embeddings is None and config.vocabulary is None:
        lines.append("without images these are labels that are unusual; what is unusual need not be wrong")
    return lines


def _most_often(images: LabeledImages, places: Sequence[tuple[int, int]]) -> list[str]:
    """Return the labels that are most often wrong as a line, none where no label is."""
    often = Counter((bool(images.labels[place]), images.label_names[place[1]]) for place in places)
    named = (
        f"{name} {'given' if is_given else 'missing'} {count:,}" for (is_given, name), count in often.most_common(_TOLD)
    )
    return ["most often: " + ", ".join(named)] if often else []
