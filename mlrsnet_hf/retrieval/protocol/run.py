"""Every protocol and split seed, one after the other: queries, database, measures, and the queries that are shown."""

import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from mlrsnet_hf.errors import UnknownNameError, name_alternatives
from mlrsnet_hf.inputs.images import load_images
from mlrsnet_hf.retrieval.embeddings.query import Hit
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.protocol.config import PERCENTS, RetrievalConfig
from mlrsnet_hf.retrieval.protocol.measures import Measured, compare_common_labels, measure, measure_title
from mlrsnet_hf.retrieval.protocol.query_database import LabeledEmbeddings, QueryDatabase, by_ids, from_two
from mlrsnet_hf.retrieval.protocol.results import (
    ExampleQuery,
    Examples,
    ModelResult,
    ProtocolResult,
    Repeat,
    RetrievalResult,
    SceneResult,
)
from mlrsnet_hf.retrieval.protocol.sources import Load, Source, image_set
from mlrsnet_hf.retrieval.search.distances import Distance
from mlrsnet_hf.runtime.logs import get_logger

logger = get_logger(__name__)

GIVEN = "given"
"""What stands in place of a protocol where queries and database are given apart."""
PAPER_SCENES = ("airplane", "stadium")
"""Scenes of the queries that the paper shows (Figs. 13 and 14)."""
SHOWN = 10
"""Results of a query that are shown."""

_VERSIONS = ("mlrsnet-hf", "numpy", "torch", "timm")


def run_protocols(
    config: RetrievalConfig, sources: Sequence[Source], compared: Sequence[Source] = (), load: Load = load_images
) -> RetrievalResult:
    """Measure every protocol and split seed.

    Args:
        config: What to measure.
        sources: For each split seed, of `find_sources`.
        compared: Likewise of `find_compared`; none without a second model.
        load: Loads the images of the protocols, of which the ids are read.

    Raises:
        MLRSNetError: Embeddings or the dataset cannot be used, or an example is no query.
    """
    names = [GIVEN] if config.apart else config.protocol
    shown = "retrieval10" if "retrieval10" in names else names[0]
    examples: Examples | None = None
    protocols = []
    for name in names:
        own, other, common = [], [], []
        for number, seed in enumerate(config.split_seed):
            is_shown = name == shown and number == 0
            data = _queries_and_database(config, name, seed, sources[number], load)
            if is_shown:
                require_queries(data.queries.ids, config.examples)
            first, second = _measure(data, config, f"{name}, split seed {seed}"), None
            own.append(summarize(first, seed))
            if compared:
                ids = data.queries.ids, data.database.ids
                data = by_ids(EmbeddingTable.load(compared[number].folders[0]), *ids)
                second = _measure(data, config, f"{name}, the compared model")
                other.append(summarize(second, seed))
                common.append(compare_common_labels(first, second))
            if is_shown:
                chosen = choose_queries(first, config.examples)
                found = [example_queries(one, chosen) if one else [] for one in (first, second)]
                examples = Examples(protocol=name, seed=seed, model=found[0], compared=found[1])
            del data, first, second  # the embeddings, before the next are read
        protocols.append(
            ProtocolResult(
                name=name,
                percent=PERCENTS.get(name),
                model=ModelResult(repeats=own),
                compared=ModelResult(repeats=other) if other else None,
                common_labels=common,
            )
        )
    assert examples is not None, "the protocol shown is one of them"
    notes = [*_seen(sources, config.apart), *_seen(compared, config.apart), *_left_out(protocols)]
    name, compared_name = names_of(sources[0].model, compared[0].model if compared else None)
    return RetrievalResult(
        name=name,
        info=sources[0].folders[0].info,
        compared_name=compared_name,
        compared_info=compared[0].folders[0].info if compared else None,
        distance=config.distance,
        protocols=protocols,
        examples=examples,
        notes=list(dict.fromkeys(notes)),
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
    )


def names_of(model: str, compared: str | None) -> tuple[str, str | None]:
    """Return what tables call the models: of an absolute path its last part, if that tells them apart."""
    parts = [name and (Path(name).name if Path(name).is_absolute() else name) for name in (model, compared)]
    return (model, compared) if parts[0] == parts[1] else (str(parts[0]), parts[1])


def _queries_and_database(
    config: RetrievalConfig, protocol: str, seed: int, source: Source, load: Load
) -> QueryDatabase:
    """Return the embeddings of a protocol and seed; the ids are those that the dataset draws."""
    tables = [EmbeddingTable.load(folder) for folder in source.folders]
    if len(tables) == 2:
        return from_two(*tables)
    queries, database = protocol_ids(config, protocol, seed, load)
    return by_ids(tables[0], queries, database)


def protocol_ids(config: RetrievalConfig, protocol: str, seed: int, load: Load) -> tuple[list[str], list[str]]:
    """Return the ids of a protocol's queries and database, as the dataset draws them.

    Raises:
        MLRSNetError: The dataset or the protocol cannot be loaded.
    """
    queries, database = (
        list(load(image_set(config, protocol, split, seed)).rows["id"]) for split in ("query", "database")
    )
    return queries, database


def _measure(data: QueryDatabase, config: RetrievalConfig, title: str) -> Measured:
    logger.info("%s: %s queries search %s images", title, f"{len(data.queries):,}", f"{len(data.database):,}")
    device: Any = "cuda" if torch.cuda.is_available() else None
    distance, memory = cast(Distance, config.distance), config.memory_megabytes
    return measure(data, distance, device=device, memory_megabytes=memory, progress=True)


def summarize(measured: Measured, seed: int) -> Repeat:
    """Return what is kept of a measurement."""
    scenes = measured.scenes
    by_scene = {name: mean.by(scenes) for name, mean in measured.values.items()}
    curves = measured.curve.by(scenes)
    relevant = dict(zip(scenes, measured.relevant.tolist(), strict=True))
    return Repeat(
        seed=seed,
        queries=len(measured.data.queries),
        database=len(measured.data.database),
        values={name: float(mean) for name, mean in measured.values.items()},
        best_possible=measured.best_possible,
        left_out=measured.left_out,
        queries_without=measured.queries_without,
        curve=tuple(measured.curve.precision.tolist()),
        scenes={
            scene: SceneResult(
                queries=scenes.count(scene),
                relevant=relevant[scene],
                values={name: float(means[scene]) for name, means in by_scene.items()},
                curve=tuple(curves[scene].tolist()),
            )
            for scene in measured.data.scene_names
            if scene in relevant
        },
    )


def choose_queries(measured: Measured, wanted: Sequence[str] = ()) -> list[str]:
    """Return the ids of the queries to show, chosen without a look at their results.

    Args:
        measured: The queries.
        wanted: Ids; none for the paper's scenes, an airplane and a stadium, or others where these are missing. Of a
            scene's queries the one whose id has the least SHA-256 is taken, and of scenes those likewise.

    Raises:
        UnknownNameError: An id is no query.
    """
    ids = measured.data.queries.ids
    require_queries(ids, wanted)
    if wanted:
        return list(wanted)
    by_scene: dict[str, list[str]] = {}
    for image, scene in zip(ids, measured.scenes, strict=True):
        by_scene.setdefault(scene, []).append(image)
    others = sorted(by_scene.keys() - set(PAPER_SCENES), key=_lot)
    scenes = [*(scene for scene in PAPER_SCENES if scene in by_scene), *others][: len(PAPER_SCENES)]
    return [min(by_scene[scene], key=_lot) for scene in scenes]


def _lot(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def require_queries(ids: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse ids that are no queries.

    Raises:
        UnknownNameError: One is not.
    """
    for image in set(wanted) - set(ids):
        raise UnknownNameError(f"example {image!r} is no query of this split", name_alternatives(image, ids[:2000]))


def example_queries(measured: Measured, ids: Sequence[str]) -> list[ExampleQuery]:
    """Return queries with their first results."""
    data, nearest = measured.data, measured.neighbors
    examples = []
    for row in map(data.queries.ids.index, ids):
        found = zip(nearest.indices[row, :SHOWN].tolist(), nearest.distances[row, :SHOWN].tolist(), strict=True)
        results = tuple(_hit(data, data.database, item, distance) for item, distance in found)
        examples.append(ExampleQuery(_hit(data, data.queries, row, 0.0), results))
    return examples


def _hit(data: QueryDatabase, part: LabeledEmbeddings, row: int, distance: float) -> Hit:
    labels = None
    if part.labels is not None:
        labels = tuple(name for name, is_there in zip(data.label_names, part.labels[row], strict=True) if is_there)
    return Hit(id=part.ids[row], row=row, scene=data.scene_names[part.scenes[row]], labels=labels, distance=distance)


def _seen(sources: Sequence[Source], apart: bool) -> Iterator[str]:
    """Say what is known of the images that the models were trained on."""
    counts = [source.trained_on for source in sources]
    most = max((count for count in counts if count is not None), default=0)
    if most:
        yield (
            f"{sources[0].model} was trained on up to {most:,} of the images that query or are searched, so that its "
            "values are too good."
        )
    elif None in counts and not apart:
        yield f"Whether {sources[0].model} was trained on some of these images is not known here."


def _left_out(protocols: Sequence[ProtocolResult]) -> Iterator[str]:
    """Say which queries and measures were left out."""
    for protocol in protocols:
        for repeat in protocol.model.repeats:
            where = "" if protocol.name == GIVEN else f" ({protocol.name}, split seed {repeat.seed})"
            if repeat.queries_without:
                count, scenes = sum(repeat.queries_without.values()), ", ".join(repeat.queries_without)
                are = "query is" if count == 1 else "queries are"
                yield f"{count:,} {are} left out, as the database has no image of their scene: {scenes}{where}."
            for reason in dict.fromkeys(repeat.left_out.values()):
                titles = [measure_title(name) for name, other in repeat.left_out.items() if other == reason]
                yield f"Left out: {', '.join(titles)}, as {reason}{where}."
