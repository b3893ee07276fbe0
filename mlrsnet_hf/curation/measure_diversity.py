"""`mlrsnet curate diversity`: from embeddings of several sets to how diverse each is beside the others."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.config import DiversityConfig
from mlrsnet_hf.curation.diversity import RelativeDiversity, choices_from_embeddings, relative_diversity
from mlrsnet_hf.curation.diversity_plot import plot_diversity
from mlrsnet_hf.curation.table_file import write_table
from mlrsnet_hf.curation.vocabulary import Merges, folded, read_merges
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import refuse_existing, whole_folder
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.runtime.logs import get_logger

TABLE, FIGURE = "diversity.csv", "diversity.png"
AVERAGE = "average"
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
    categories = common_categories(dict(zip(names, tables, strict=True)), merges)
    choices = [
        choice
        for number, (category, embeddings) in enumerate(categories.items())
        for choice in choices_from_embeddings(
            category, embeddings, config.trials, config.pairs, seed=(config.seed + number) % 2**32
        )
    ]
    result = relative_diversity(choices, names, seed=config.seed)
    with whole_folder(config.output_dir) as folder:
        _write(folder / TABLE, result, categories)
        plot_diversity(result, folder / FIGURE)
    return "\n".join(_summary(config, result))


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


def common_categories(tables: Mapping[str, EmbeddingTable], merges: Merges) -> Mapping[str, Embeddings]:
    """Return the embeddings of each scene that all sets have, two images of each at least, by its name in the first.

    Names may differ in case, and in what stands between their words.

    Args:
        tables: Set -> its embeddings.
        merges: Names of scenes that stand for others.

    Raises:
        ConfigurationError: A set names no scenes, there is no such scene, or an embedding is zero.
    """
    found: dict[str, dict[str, list[npt.NDArray[np.float32]]]] = defaultdict(dict)
    shown: dict[str, str] = {}
    for name, table in tables.items():
        if table.scenes is None:
            raise ConfigurationError(
                f"set {name!r} names no scenes, of which diversity is measured", "Give a scene column."
            )
        zero = np.flatnonzero(~table.embeddings.any(axis=1))
        if len(zero):
            raise ConfigurationError(f"set {name!r}: the embedding of {table.ids[zero[0]]!r} is zero", "Leave it out.")
        for place, scene in enumerate(table.info.scene_names):
            merged = merges.scenes.get(scene, scene)
            shown.setdefault(folded(merged), merged)
            rows = table.embeddings[table.scenes == place]
            if len(rows):
                found[folded(merged)].setdefault(name, []).append(rows)
    together = {key: {name: np.concatenate(rows) for name, rows in sets.items()} for key, sets in found.items()}
    common = {
        shown[key]: sets
        for key, sets in together.items()
        if len(sets) == len(tables) and all(len(rows) > 1 for rows in sets.values())
    }
    if not common:
        raise ConfigurationError(
            "the sets have no scene in common, of which each has two images",
            "Say which names stand for others by --merges.",
        )
    if len(common) < len(together):
        left_out = sorted(shown[key] for key in together if shown[key] not in common)
        named = ", ".join([*left_out[:_NAMED], *["..."] * (len(left_out) > _NAMED)])
        logger.warning("%s scenes are not in all sets, and are left out: %s", len(left_out), named)
    return common


def _write(path: Path, result: RelativeDiversity, categories: Mapping[str, Embeddings]) -> None:
    rows = [
        (category, name, one.value, one.low, one.high, len(categories[category][name]))
        for category, values in result.categories.items()
        for name, one in values.items()
    ]
    rows += [
        (AVERAGE, name, one.value, one.low, one.high, sum(len(sets[name]) for sets in categories.values()))
        for name, one in result.average.items()
    ]
    header = ("category", "set", "diversity", "low", "high", "images")
    write_table(path, dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))


def _summary(config: DiversityConfig, result: RelativeDiversity) -> list[str]:
    lines = [f"{name}: {one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for name, one in result.average.items()]
    count = len(result.categories)
    return [
        f"relative diversity, average of {count} scene{'s' if count > 1 else ''}; {result.chance:.2f} of equal sets",
        *lines,
        "by embeddings, without people: as far as the network sees what they see",
        f"written to {config.output_dir}: {TABLE}, {FIGURE}",
    ]
