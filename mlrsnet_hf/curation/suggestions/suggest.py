"""`mlrsnet curate suggest`: from embeddings of tiles, and a model's answers, to a list of what to label next."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlrsnet_hf.curation.config import SuggestConfig
from mlrsnet_hf.curation.page_images import PageImages, open_images
from mlrsnet_hf.curation.suggestions.choice import Suggestions, entropy, nearest_labeled, suggest_tiles
from mlrsnet_hf.curation.suggestions.page import labeled_pictures, write_suggest_page
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.files import require_new_file
from mlrsnet_hf.inputs.image_set import ImageSet
from mlrsnet_hf.prediction.predictions_file import PREDICTIONS, SCHEMA_KEY, read_predictions
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.logs import get_logger

_LABEL, _SCENE = "score:", "scene_score:"
"""How `mlrsnet predict --all-scores` begins the names of its columns."""
_REMEDY = "Give predictions.parquet of mlrsnet evaluate, or what mlrsnet predict --all-scores wrote as .parquet."

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model says of the tiles; rows of NaN for those that it was not asked about."""

    labels: tuple[str, ...]
    scores: npt.NDArray[np.float64]
    """(N, L)."""
    scenes: tuple[str, ...] = ()
    scene_scores: npt.NDArray[np.float64]
    """(N, S)."""

    @property
    def are_known(self) -> npt.NDArray[np.bool_]:
        """(N,), whether the model was asked about each tile."""
        return np.array(np.isfinite(np.hstack([self.scores, self.scene_scores])).all(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What makes tiles of a category, or all, worth labeling."""

    eligible: npt.NDArray[np.bool_]
    uncertainty: npt.NDArray[np.float64] | None = None
    of_category: npt.NDArray[np.bool_] | None = None
    """Which labeled images have the category; None where none is asked for."""


def suggest(config: SuggestConfig, data: ImageSet | None = None) -> str:
    """Write the list of tiles most worth labeling, the best first, and the page; return what came out in a few lines.

    Args:
        config: Which tiles, and what makes one worth labeling.
        data: The tiles that the page shows; if unset those that were embedded.

    Raises:
        MLRSNetError: Embeddings or predictions cannot be read or do not fit each other, the category is not known, or
            the list or page exists or cannot be written.
    """
    config = replace(
        config,
        output=config.output.expanduser(),
        html=None if config.html is None else config.html.expanduser(),
    )
    require_new_file(config.output)
    pictures = None
    if config.html is not None:
        require_new_file(config.html)
        pictures = PageImages(open_images(data or ImageSet(), config.tiles.expanduser()))
    tiles = EmbeddingTable.load(config.tiles)
    if pictures is not None:
        pictures.require_some(tiles.ids)
    labeled = None if config.labeled is None else _load_labeled(config.labeled, tiles)
    answers = _answers(config, tiles)
    if labeled is None and answers is None:
        raise ConfigurationError(
            "neither labeled images nor predictions are given",
            "Give --labeled, the embeddings of what is labeled, or --predictions, or both.",
        )
    wanted = _wanted(config, tiles, labeled, answers)
    found = suggest_tiles(
        tiles.embeddings,
        config.count,
        labeled=None if labeled is None else labeled.embeddings,
        of_category=wanted.of_category,
        eligible=wanted.eligible,
        uncertainty=wanted.uncertainty,
        weight=0.0 if wanted.uncertainty is None else config.weight,
        least_distance=config.least_distance,
    )
    columns = _columns(tiles, labeled, found, wanted)
    lines = _summary(config, tiles, found, wanted)
    write_table(config.output, columns)
    if config.html is not None and pictures is not None:
        write_suggest_page(
            config.html,
            title="Tiles that are most worth labeling",
            about=[f"{line[:1].upper()}{line[1:]}." for line in lines],
            columns=columns,
            tiles=pictures,
            labeled=labeled_pictures(config.labeled),
        )
        lines.append(f"page: {config.html}")
    return "\n".join([*lines, f"written to {config.output}"])


def _load_labeled(folder: Path, tiles: EmbeddingTable) -> EmbeddingTable:
    labeled = EmbeddingTable.load(folder)
    if labeled.info.comparable() != tiles.info.comparable():
        raise ConfigurationError(
            f"tiles and labeled images are embedded differently: tiles by {tiles.info.described()}; labeled by "
            f"{labeled.info.described()}",
            "Embed both with one model and the same settings.",
        )
    return labeled


def _answers(config: SuggestConfig, tiles: EmbeddingTable) -> Answers | None:
    """Return what a model says of the tiles, from its predictions or as `mlrsnet embed --scores` stored it."""
    if config.predictions is not None:
        return _of_tiles(config.predictions.expanduser(), tiles.ids)
    if tiles.scores is None:
        return None
    nothing = np.empty((len(tiles), 0))
    return Answers(labels=tiles.info.scores, scores=tiles.scores.astype(np.float64), scene_scores=nothing)


def _of_tiles(path: Path, ids: list[str]) -> Answers:
    """Return predictions in the order of the tiles."""
    names, said = read_answers(path)
    rows = {name: row for row, name in enumerate(names)}
    places = np.array([rows.get(name, -1) for name in ids], np.int64)
    missing = int((places < 0).sum())
    if missing == len(ids):
        raise ConfigurationError(f"{path} has a prediction of none of the tiles, such as {ids[0]!r}", _REMEDY)
    if missing:
        logger.warning("%s of %s tiles have no prediction, and are not suggested", f"{missing:,}", f"{len(ids):,}")
    taken = [
        np.where((places >= 0)[:, None], part[places], np.nan)  # -1 takes the last row, and is put out again
        for part in (said.scores, said.scene_scores)
    ]
    return Answers(labels=said.labels, scores=taken[0], scenes=said.scenes, scene_scores=taken[1])


def read_answers(path: Path) -> tuple[list[str], Answers]:
    """Return the ids of predictions, and these, in the order of the file.

    Raises:
        ConfigurationError: It cannot be read, or holds something else.
    """
    path = path / PREDICTIONS if path.is_dir() else path
    try:
        schema = pq.read_schema(path)
        if SCHEMA_KEY not in (schema.metadata or {}):
            return _read_table(path, schema)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file", _REMEDY) from None
    # UnicodeDecodeError: names of columns that are no text.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        told = str(error).split("\n")[0][:200]
        raise ConfigurationError(f"{path}: cannot be read as Parquet ({told})", _REMEDY) from error
    saved = read_predictions(path)
    task, predictions = saved.task, saved.predictions
    nothing = np.empty((len(saved.ids), 0))
    return list(saved.ids), Answers(
        labels=task.label_names[: task.label_outputs],
        scores=predictions.scores if task.label_outputs else nothing,
        scenes=task.scene_names[: task.scene_outputs],
        scene_scores=predictions.scene_scores if task.scene_outputs else nothing,
    )


def _read_table(path: Path, schema: pa.Schema) -> tuple[list[str], Answers]:
    """Return what `mlrsnet predict --all-scores` wrote as Parquet; images that could not be read have no scores."""
    names = [name for name in schema.names if name.startswith((_LABEL, _SCENE))]
    if "id" not in schema.names or not names or len(set(schema.names)) < len(schema.names):
        raise ConfigurationError(f"{path}: holds no column of ids, or none of scores", _REMEDY)
    table = pq.read_table(path, columns=["id", *names])
    ids = table["id"].to_pylist()
    if not all(isinstance(name, str) for name in ids) or len(set(ids)) < len(ids):
        raise ConfigurationError(f"{path}: an id is missing, or stands twice", _REMEDY)
    parts = {}
    for start in (_LABEL, _SCENE):
        columns = [table[name].cast(pa.float64()).to_numpy() for name in names if name.startswith(start)]
        parts[start] = np.stack(columns, axis=1) if columns else np.empty((len(ids), 0))
        if ((parts[start] < 0) | (parts[start] > 1)).any():
            raise ConfigurationError(f"{path}: a score is no probability", _REMEDY)
    return ids, Answers(
        labels=tuple(name.removeprefix(_LABEL) for name in names if name.startswith(_LABEL)),
        scores=parts[_LABEL],
        scenes=tuple(name.removeprefix(_SCENE) for name in names if name.startswith(_SCENE)),
        scene_scores=parts[_SCENE],
    )


def _wanted(
    config: SuggestConfig, tiles: EmbeddingTable, labeled: EmbeddingTable | None, answers: Answers | None
) -> _Wanted:
    """Return which tiles may be suggested, how uncertain they are, and what they shall differ from."""
    kind, name = ("label", config.label) if config.label is not None else ("scene", config.scene)
    known = np.ones(len(tiles), bool) if answers is None else answers.are_known
    if name is None:
        if answers is None:
            return _Wanted(eligible=known)
        if answers.labels:
            return _Wanted(eligible=known, uncertainty=_filled(entropy(answers.scores), known))
        scores = answers.scene_scores
        parts = scores * np.log2(scores, out=np.zeros_like(scores), where=scores > 0)
        return _Wanted(eligible=known, uncertainty=_filled(-parts.sum(axis=1), known))
    of_category = None if labeled is None else _of_category(labeled, kind, name)
    names: tuple[str, ...] = ()
    if answers is not None:
        names, scores = (answers.labels, answers.scores) if kind == "label" else (answers.scenes, answers.scene_scores)
    # A model that scores labels alone says nothing of scenes: then the nearest labeled image does.
    if answers is not None and (names or labeled is None):
        own = scores[:, _place(name, names, kind, "the model")]
        eligible = known & (np.nan_to_num(own) >= config.least)
        return _Wanted(eligible=eligible, uncertainty=_filled(entropy(own[:, None]), known), of_category=of_category)
    assert labeled is not None and of_category is not None, "one of them is given"
    _, nearest = nearest_labeled(tiles.embeddings, labeled.embeddings)
    return _Wanted(eligible=known & of_category[nearest], of_category=of_category)


def _of_category(labeled: EmbeddingTable, kind: str, name: str) -> npt.NDArray[np.bool_]:
    """Return which labeled images have a label or show a scene."""
    if kind == "label" and labeled.labels is not None:
        place = _place(name, labeled.info.label_names, kind, "the labeled set")
        found = np.array([place in ids for ids in labeled.labels], bool)
    elif kind == "scene" and labeled.scenes is not None:
        found = labeled.scenes == _place(name, labeled.info.scene_names, kind, "the labeled set")
    else:
        raise ConfigurationError(f"the labeled set names no {kind}s", f"Leave --{kind} out, or --labeled.")
    if not found.any():
        raise ConfigurationError(
            f"no labeled image has the {kind} {name!r}, to which distances are asked", "Leave --labeled out."
        )
    return found


def _place(name: str, known: tuple[str, ...], kind: str, whose: str) -> int:
    if name not in known:
        raise UnknownNameError(f"{whose} knows no {kind} {name!r}", name_alternatives(name, known))
    return known.index(name)


def _filled(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return values with 0 for what is not known, which is not eligible."""
    filled: npt.NDArray[np.float64] = np.where(known, values, 0.0)
    return filled


def _columns(
    tiles: EmbeddingTable, labeled: EmbeddingTable | None, found: Suggestions, wanted: _Wanted
) -> dict[str, list[Any]]:
    """Return the columns of the list."""
    known = [] if labeled is None else labeled.ids
    nearest = found.nearest.tolist()
    columns: dict[str, list[Any]] = {
        "rank": list(range(1, len(found.rows) + 1)),
        "image": [tiles.ids[row] for row in found.rows],
        "worth": found.worth.tolist(),
    }
    if wanted.uncertainty is not None:
        columns["uncertainty"] = wanted.uncertainty[found.rows].tolist()
    columns["distance"] = [
        distance if one >= 0 else None for distance, one in zip(found.distance.tolist(), nearest, strict=True)
    ]
    columns["nearest"] = [
        None if one < 0 else known[one] if one < len(known) else tiles.ids[one - len(known)] for one in nearest
    ]
    columns["nearest_is_labeled"] = [0 <= one < len(known) for one in nearest]
    return columns


def _summary(config: SuggestConfig, tiles: EmbeddingTable, found: Suggestions, wanted: _Wanted) -> list[str]:
    category = config.label or config.scene
    possible = int(wanted.eligible.sum())
    of = f" that may show {category}" if category else ""
    lines = [f"{len(found.rows):,} of {possible:,} tiles{of} are suggested, of {len(tiles):,} in all"]
    if len(found.rows) < config.count:
        lines.append(f"no more of the {config.count:,} that were asked for are left")
    near = f"{found.near_labeled:,} of labeled images, {found.near_chosen:,} of suggested tiles"
    lines.append(f"near-duplicates left out (nearer than {config.least_distance:g}): {near}")
    return lines
