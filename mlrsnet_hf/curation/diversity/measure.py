"""`mlrsnet curate diversity`: from embeddings of several sets to how diverse each is beside the others."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import DiversityConfig
from mlrsnet_hf.curation.diversity.plot import plot_diversity
from mlrsnet_hf.curation.diversity.relative import RelativeDiversity, choices_from_embeddings, relative_diversity
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.vocabulary.vocabulary import Merges, folded, read_merges
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import refuse_existing, whole_folder
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.logs import get_logger

TABLE, FIGURE = "diversity.csv", "diversity.png"
_NAMED = 10
"""Scenes that are named of those that are left out."""

Embeddings = Mapping[str, npt.NDArray[np.float32]]
"""Set -> (N, D) of its images of a category."""

logger = get_logger(__name__)


def measure_diversity(config: DiversityConfig) -> str:
    """Write the relative diversity of the sets as a table and a figure, and return it in a few lines.

    Raises:
        MLRSNetError: Embeddings cannot be read or compared, the sets have no category in common, or the folder exists
            or cannot be written.
    """
    refuse_existing(config.output_dir)
    tables = [EmbeddingTable.load(folder) for folder in config.sets]
    names = set_names(config.sets)
    for folder, table in zip(config.sets[1:], tables[1:], strict=True):
        if table.info.comparable() != tables[0].info.comparable():
            raise ConfigurationError(
                f"sets are embedded differently: {config.sets[0]} by {tables[0].info.described()}; {folder} by "
                f"{table.info.described()}",
                "Embed all with one model and the same settings.",
            )
    merges = Merges() if config.merges is None else read_merges(config.merges)
    categories = _embeddings_of_categories(dict(zip(names, tables, strict=True)), merges)
    choices = [
        choice
        for number, (category, embeddings) in enumerate(categories.items())
        for choice in choices_from_embeddings(
            category, embeddings, config.trials, config.pairs, seed=(config.seed + number) % 2**32
        )
    ]
    result = relative_diversity(choices, names, seed=config.seed)
    images = {
        category: {name: len(rows) for name, rows in embeddings.items()} for category, embeddings in categories.items()
    }
    with whole_folder(config.output_dir) as folder:
        write_results(folder, result, images)
    origin = "by embeddings, without people: as far as the network sees what they see"
    return summary(result, origin, config.output_dir)


def set_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the folders, with as many of the folders above as tell them from each other.

    Raises:
        ConfigurationError: A folder is given twice.
    """
    paths = [folder.expanduser().absolute() for folder in folders]
    twice = next((path for path, count in Counter(paths).items() if count > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{twice} is given twice", "Give each set once.")
    names = [path.name for path in paths]
    parts = 1
    while len(set(names)) < len(names):
        parts += 1
        names = ["/".join(path.parts[-parts:]) for path in paths]
    return names


def common_scenes(images: Mapping[str, Mapping[str, int]], merges: Merges) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the scenes of each set that make up each category: those that all sets have, two images of each at least.

    A category has its name in the first set. Names may differ in case, and in what stands between their words.

    Args:
        images: Set -> scene -> how many images it has.
        merges: Names of scenes that stand for others.

    Returns:
        Category -> set -> its scenes.

    Raises:
        ConfigurationError: A set names no scenes, or there is no such category.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    shown: dict[str, str] = {}
    for name, scenes in images.items():
        if not scenes:
            raise ConfigurationError(
                f"set {name!r} names no scenes, of which diversity is measured",
                "Embed it with --scene-column; a folder that holds a folder for each scene by --dataset FOLDER "
                "--scene-column label.",
            )
        for scene, count in scenes.items():
            merged = merges.scene(scene)
            shown.setdefault(folded(merged), merged)
            if count:
                found[folded(merged)][name].append(scene)
    common = {
        shown[key]: sets
        for key, sets in found.items()
        if all(sum(images[name][scene] for scene in sets.get(name, ())) > 1 for name in images)
    }
    if not common:
        raise ConfigurationError(
            "the sets have no scene in common, of which each has two images",
            "Say which names stand for others by --merges.",
        )
    if len(common) < len(found):
        left_out = sorted(shown[key] for key in found if shown[key] not in common)
        named = ", ".join([*left_out[:_NAMED], *["..."] * (len(left_out) > _NAMED)])
        logger.warning("%s scenes are not in all sets, and are left out: %s", len(left_out), named)
    return common


def _embeddings_of_categories(tables: Mapping[str, EmbeddingTable], merges: Merges) -> Mapping[str, Embeddings]:
    """Return the embeddings of each category that all sets have; see `common_scenes`.

    Raises:
        ConfigurationError: There is none, or an embedding is zero.
    """
    rows: dict[str, dict[str, npt.NDArray[np.intp]]] = {name: {} for name in tables}
    for name, table in tables.items():
        zero = np.flatnonzero(~table.embeddings.any(axis=1))
        if table.scenes is not None:
            if len(zero):
                raise ConfigurationError(
                    f"set {name!r}: the embedding of {table.ids[zero[0]]!r} is zero", "Leave it out."
                )
            rows[name] = {
                scene: np.flatnonzero(table.scenes == place) for place, scene in enumerate(table.info.scene_names)
            }
    categories = common_scenes(
        {name: {scene: len(found) for scene, found in scenes.items()} for name, scenes in rows.items()}, merges
    )
    return {
        category: {
            name: tables[name].embeddings[np.concatenate([rows[name][scene] for scene in scenes])]
            for name, scenes in sets.items()
        }
        for category, sets in categories.items()
    }


def write_results(folder: Path, result: RelativeDiversity, images: Mapping[str, Mapping[str, int]]) -> None:
    """Write the table and the figure into a folder.

    Args:
        folder: It exists.
        result: Relative diversities.
        images: Category -> set -> how many images it has.

    Raises:
        ConfigurationError: They cannot be written.
    """
    rows = [
        (category, name, one.value, one.low, one.high, images[category][name])
        for category, values in result.categories.items()
        for name, one in values.items()
    ]
    rows += [
        (
            result.average_name,
            name,
            one.value,
            one.low,
            one.high,
            sum(images[category][name] for category in result.categories),
        )
        for name, one in result.average.items()
    ]
    header = ("category", "set", "diversity", "low", "high", "images")
    write_table(folder / TABLE, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))
    plot_diversity(result, folder / FIGURE)


def summary(result: RelativeDiversity, origin: str, folder: Path) -> str:
    """Return what was found, in a few lines; `origin` says whose choices they are."""
    count = len(result.categories)
    scenes = f"{count} scene{'s' if count > 1 else ''}"
    lines = [f"{name}: {one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for name, one in result.average.items()]
    return "\n".join(
        [
            f"relative diversity, average of {scenes}; {result.chance:.2f} of equal sets",
            *lines,
            origin,
            f"written to {folder}: {TABLE}, {FIGURE}",
        ]
    )
