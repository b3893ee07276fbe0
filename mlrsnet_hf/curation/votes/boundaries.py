"""What a team agrees on about two categories that are taken for each other (Fig. 4 of the paper), as a file to fill in.

boundaries.yaml names the pairs that the votes have shown to be ambiguous; people write beside each how the two are told
apart. What is written is shown beside the images of the second stage.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated

from mlrsnet_hf.configuration.json_file import Name, json_as
from mlrsnet_hf.configuration.settings import Range
from mlrsnet_hf.configuration.yaml_file import MOST_OF_LISTS, read_settings_file, write_yaml
from mlrsnet_hf.curation.votes.agreement import Confusion
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.escaping import quoted

Pair = frozenset[str]
_BETWEEN = " | "
_REMEDY = "Write 'one category | other category: what tells them apart'."
_HEADER = "What tells two categories apart, as you have agreed on it, between the quotes; it is shown to annotators."


def read_boundaries(path: Path, categories: Collection[str]) -> dict[Pair, str]:
    """Return what was agreed on, by pair; pairs without a text are left out, and none is there without the file.

    Args:
        path: The file.
        categories: Those that pairs are of; their names may hold what stands between two names.

    Raises:
        ConfigurationError: The file cannot be read, or holds something else.
    """
    if not path.exists():
        return {}
    texts: Mapping[str, str | None] = json_as(
        read_settings_file(path, MOST_OF_LISTS),
        Mapping[Name, Annotated[str, Range(0, 5000)] | None],
        str(path),
        _REMEDY,
    )
    found = {}
    for names, text in texts.items():
        parts = names.split(_BETWEEN)
        pairs = ((_BETWEEN.join(parts[:i]).strip(), _BETWEEN.join(parts[i:]).strip()) for i in range(1, len(parts)))
        pair = next((pair for pair in pairs if all(name in categories for name in pair) and pair[0] != pair[1]), None)
        if pair is None:
            raise ConfigurationError(f"{path}: {quoted(names)} is no pair of categories", _REMEDY)
        if text and text.strip():
            found[frozenset(pair)] = text.strip()
    return found


def ask_for_boundaries(path: Path, categories: Collection[str], pairs: Iterable[Confusion]) -> list[Confusion]:
    """Write the pairs into the file, with what was agreed on so far; return those of which nothing was.

    Raises:
        ConfigurationError: The file cannot be read or written.
    """
    agreed = read_boundaries(path, categories)
    missing = [pair for pair in pairs if frozenset((pair.first, pair.second)) not in agreed]
    if missing:
        texts = {_BETWEEN.join(sorted(pair)): text for pair, text in agreed.items()}
        texts |= {f"{pair.first}{_BETWEEN}{pair.second}": "" for pair in missing}
        write_yaml(path, texts, _HEADER)
    return missing
