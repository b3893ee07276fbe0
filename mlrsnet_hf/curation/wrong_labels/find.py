"""`mlrsnet curate find-errors`: from predictions, embeddings or label files to a table of labels, the worst first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.configuration.settings import changed_settings
from mlrsnet_hf.curation.config import SEARCH, FindErrorsConfig
from mlrsnet_hf.curation.page_images import PageImages, imagery_of, open_images
from mlrsnet_hf.curation.table_file import TEXT_SUFFIXES, write_table
from mlrsnet_hf.curation.vocabulary.vocabulary import read_vocabulary
from mlrsnet_hf.curation.wrong_labels.calibration import calibrated
from mlrsnet_hf.curation.wrong_labels.folds import Groups, groups_of
from mlrsnet_hf.curation.wrong_labels.label_patterns import Scenes, Scores, vocabulary_rules
from mlrsnet_hf.curation.wrong_labels.likely_scenes import given_scenes
from mlrsnet_hf.curation.wrong_labels.linear_probe import out_of_fold_scores
from mlrsnet_hf.curation.wrong_labels.page import write_find_errors_page
from mlrsnet_hf.curation.wrong_labels.ranking import LabeledImages, WrongLabels, find_wrong_labels
from mlrsnet_hf.curation.wrong_labels.review import begin_review, go_on, has_begun, refuse_early
from mlrsnet_hf.curation.wrong_labels.whole_scenes import write_whole_scenes
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.files import require_new_file
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS, SavedPredictions, read_predictions
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

    Where a review is asked for, it begins; one that has begun goes on, and nothing else is done.

    Args:
        config: What is judged, and by what.
        data: The images that the page and the review show; if unset those that were embedded.

    Raises:
        MLRSNetError: A source or what is given besides cannot be read or does not fit, a model has seen the images, the
            table or page exists or cannot be written, or the review's server does not do its part.
    """
    if config.review is not None and has_begun(config.review):
        if idle := sorted(changed_settings(config) & {"html", "output", "questions", "whole_scenes"}):
            logger.warning(
                "the review in %s goes on; --%s is for a call that computes, and does nothing here",
                config.review,
                idle[0].replace("_", "-"),
            )
        return go_on(config)
    if not config.sources:
        raise ConfigurationError(f"{config.review}: no review has begun there", "Give predictions or embeddings.")
    for source in config.sources:
        if not source.expanduser().exists():
            raise ConfigurationError(
                f"{source}: there is no such file or folder", "Give predictions, embeddings or label files."
            )
        if source.suffix.lower() in TEXT_SUFFIXES and source.is_file():
            raise ConfigurationError(
                f"{source}: a table says nothing of what its images look like",
                f"Have them embedded (mlrsnet embed --dataset {source}), and give that folder.",
            )
    config = replace(
        config,
        output=config.output.expanduser(),
        html=None if config.html is None else config.html.expanduser(),
        whole_scenes=None if config.whole_scenes is None else config.whole_scenes.expanduser(),
    )
    for target in (config.output, config.html, config.whole_scenes):
        if target is not None:
            require_new_file(target)
    vocabulary = None if config.vocabulary is None else read_vocabulary(config.vocabulary)
    shown = pictures = None
    if config.review is not None:
        refuse_early(config.review)
        shown = open_images(data or ImageSet(), _embedded(config), "a review shows pictures")
    if config.html is not None:
        pictures = PageImages(shown or open_images(data or ImageSet(), _embedded(config)))
    images = read_images(config, data)
    if pictures is not None:
        pictures.require_some(images.ids)
    rules = None
    if vocabulary is not None:
        if images.scenes is None:
            raise ConfigurationError(
                f"{config.sources[0]} names no scenes, of which the vocabulary speaks", "Leave it out."
            )
        rules = vocabulary_rules(vocabulary, images.scene_names, images.label_names)
    result = find_wrong_labels(images, rules, config.neighbors, config.scene_rates)
    places = result.ranked(config.least)
    lines = _summary(config, images, result, places)
    often = _most_often(images, places)
    # Before the tables: a call that is killed in between can be given again, and has the review go on.
    if config.review is not None and shown is not None:
        begin_review(config, images, result, places, shown, imagery_of(shown), rules)
    if config.whole_scenes is not None:
        often.append(write_whole_scenes(config.whole_scenes, images, config.seed))
    _write(config.output, images, result, places)
    if config.html is not None and pictures is not None:
        write_find_errors_page(
            config.html,
            title=f"Labels of {config.sources[0].expanduser().absolute().name} that are probably wrong",
            about=[f"{line[:1].upper()}{line[1:]}." for line in lines],
            images=images,
            result=result,
            places=places,
            pictures=pictures,
            rules=rules,
        )
        often.append(f"page: {config.html}")
    if config.review is not None:
        often.append(go_on(config))
    return "\n".join([*lines, *often, f"written to {config.output}"])


def _embedded(config: FindErrorsConfig) -> Path | None:
    """Return the folder of embeddings that is given, if there is one."""
    if config.embeddings is not None:
        return config.embeddings.expanduser()
    source = config.sources[0].expanduser()
    return source if (source / INFO_FILE).is_file() else None


def read_images(config: FindErrorsConfig, data: ImageSet | None = None) -> LabeledImages:
    """Return the images with what is known of them.

    Args:
        config: Names the sources.
        data: Where the images are, if they are searched for near-duplicates; if unset those that were embedded.

    Raises:
        MLRSNetError: A source cannot be read, has no labels, or does not fit the others or what is given besides.
    """
    sources = [source.expanduser() for source in config.sources]
    of_predictions = [source.suffix == ".parquet" or (source / PREDICTIONS).is_file() for source in sources]
    if len(sources) > 1 and not all(of_predictions):
        other = config.sources[of_predictions.index(False)]
        raise ConfigurationError(
            f"{other}: given beside other sources, and no predictions",
            "Give several predictions, one of each fold, or one source.",
        )
    if of_predictions[0]:
        images = _of_predictions(sources)
        assert images.scores is not None, "predictions have scores"
        looks = np.log(images.scores / (1 - images.scores)).astype(np.float32)
        if config.embeddings is not None:
            images = _with_embeddings(images, EmbeddingTable.load(config.embeddings))
            looks = looks if images.embeddings is None else images.embeddings
        groups = _groups(config, images.ids, data)
        scene_scores = _scene_scores(looks, images.scenes, len(images.scene_names), groups, config)
        return replace(images, groups=groups, scene_scores=scene_scores)
    if config.embeddings is not None:
        raise ConfigurationError("embeddings are given besides what are no predictions", "Give them as the source.")
    if (sources[0] / INFO_FILE).is_file():
        return _of_embeddings(EmbeddingTable.load(sources[0]), config, data)
    if config.near_duplicates is not None:
        raise ConfigurationError(
            f"{config.sources[0]}: label files, of which near-duplicates say nothing", "Leave --near-duplicates out."
        )
    return _of_label_files(sources[0])


def _groups(config: FindErrorsConfig, names: Sequence[str], data: ImageSet | None) -> Groups | None:
    """Return the groups of near-duplicates that are asked for."""
    searched = None
    if config.near_duplicates == SEARCH:
        searched = open_images(data or ImageSet(), _embedded(config), "near-duplicates are searched for")
    return groups_of(config.near_duplicates, names, searched)


def _of_predictions(sources: Sequence[Path]) -> LabeledImages:
    """Return the images of one file of predictions, or of several, one of each fold."""
    folds = [_read_fold(source) for source in sources]
    first = folds[0].task
    parts = []
    for source, saved in zip(sources, folds, strict=True):
        label_columns = _same_names(sources[0], first.label_names, source, saved.task.label_names, "label")
        scene_ids = _same_names(sources[0], first.scene_names, source, saved.task.scene_names, "scene")
        targets = saved.predictions.targets[:, label_columns]
        scenes = None if saved.scenes is None else np.argsort(scene_ids)[saved.scenes]
        parts.append((targets, saved.predictions.scores[:, label_columns], scenes))
    ids = [name for saved in folds for name in saved.ids]
    _refuse_twice(sources, folds)
    targets = np.concatenate([part[0] for part in parts])
    fold_of = np.repeat(np.arange(len(folds)), [len(saved.ids) for saved in folds])
    unknown = np.isnan(targets)
    return LabeledImages(
        ids=ids,
        label_names=first.label_names,
        labels=targets == 1,
        unknown=unknown if unknown.any() else None,
        scene_names=first.scene_names,
        scenes=None if folds[0].scenes is None else np.concatenate([part[2] for part in parts]),
        scores=calibrated(np.concatenate([part[1] for part in parts]), targets == 1, fold_of, unknown),
    )


def _read_fold(source: Path) -> SavedPredictions:
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
    return saved


def _same_names(first: Path, names: Sequence[str], source: Path, own: Sequence[str], what: str) -> list[int]:
    """Return where each name of the first source stands in another.

    Raises:
        ConfigurationError: They are not the same names.
    """
    if different := sorted(set(names) ^ set(own)):
        has, lacks = (first, source) if different[0] in names else (source, first)
        raise ConfigurationError(
            f"{lacks} has no {what} {quoted(different[0])}, which {has} has",
            "Give predictions of one set, by models that were trained on the same labels.",
        )
    return [list(own).index(name) for name in names]


def _refuse_twice(sources: Sequence[Path], folds: Sequence[SavedPredictions]) -> None:
    """Refuse an image that stands in two sources."""
    seen: dict[str, Path] = {}
    for source, saved in zip(sources, folds, strict=True):
        for name in saved.ids:
            if seen.setdefault(name, source) is not source:
                raise ConfigurationError(
                    f"image {quoted(name)} stands in {seen[name]} and in {source}",
                    "Give one file of each fold: an image is scored by the model that has not seen it.",
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


def _of_embeddings(table: EmbeddingTable, config: FindErrorsConfig, data: ImageSet | None) -> LabeledImages:
    if table.labels is None:
        raise ConfigurationError(f"{config.sources[0]}: embeddings without labels", "Embed a dataset that has labels.")
    labels = _multi_hot(table.labels, len(table.info.label_names))
    groups = _groups(config, table.ids, data)
    scores = out_of_fold_scores(table.embeddings, labels, config.folds, groups, config.seed)
    return LabeledImages(
        ids=table.ids,
        label_names=table.info.label_names,
        labels=labels,
        scene_names=table.info.scene_names,
        scenes=table.scenes,
        scene_scores=_scene_scores(table.embeddings, table.scenes, len(table.info.scene_names), groups, config),
        scores=scores,
        embeddings=table.embeddings,
        groups=groups,
    )


def _scene_scores(
    looks: npt.NDArray[np.float32], scenes: Scenes | None, count: int, groups: Groups | None, config: FindErrorsConfig
) -> Scores | None:
    """Return the probability of each scene for each image, by probes on what it looks like that have not seen it.

    Where nothing says what an image looks like, it is of the scene that it is given. None where scenes are not given,
    or of too few images to doubt them.
    """
    if scenes is None:
        return None
    rows = np.flatnonzero((scenes >= 0) & looks.any(axis=1))
    parts = len(rows) if groups is None else len(np.unique(groups[rows]))
    if parts < config.folds or len(np.unique(scenes[rows])) < 2:
        return None
    scores = given_scenes(scenes, count)
    of_rows = None if groups is None else groups[rows]
    scores[rows] = out_of_fold_scores(looks[rows], scores[rows] == 1, config.folds, of_rows, config.seed)
    return scores


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
    names = [*images.scene_names, None]  # -1 is the last
    table: dict[str, list[Any]] = {
        "rank": list(range(1, len(rows) + 1)),
        "image": [images.ids[row] for row in rows],
        "label": [images.label_names[column] for column in columns],
        "given": images.labels[rows, columns].tolist(),
        "wrong": result.wrong[rows, columns].tolist(),
        "found": result.found[rows, columns].tolist(),
    }
    if images.scenes is not None:
        table["scene"] = [names[scene] for scene in images.scenes[rows]]
    if result.scenes is not None:
        table["likely_scene"] = [names[scene] for scene in result.scenes[rows]]
    table |= {name.replace(" ", "_"): part[rows, columns].tolist() for name, part in result.evidence.items()}
    write_table(path, table)


def _summary(
    config: FindErrorsConfig, images: LabeledImages, result: WrongLabels, places: Sequence[tuple[int, int]]
) -> list[str]:
    judged = images.labels.size - (0 if images.unknown is None else int(images.unknown.sum()))
    affected = len({row for row, _ in places})
    lines = [
        f"{len(places):,} of {judged:,} labels are probably wrong, on {affected:,} of {len(images.ids):,} images",
        "asked: "
        + ", ".join(
            [
                *(f"{kind} (weight {result.weights[kind]:.2f})" for kind in result.evidence),
                *["vocabulary"] * (config.vocabulary is not None),
            ]
        ),
    ]
    if result.scenes is not None and images.scenes is not None and (others := (result.scenes != images.scenes).sum()):
        lines.append(f"{others:,} images look like another scene than the one that they are given")
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
