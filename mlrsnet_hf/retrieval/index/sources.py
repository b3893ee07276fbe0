"""Where the model and the images of a local index lie on this machine: `.local.json` beside it, which is not passed on.

Versions before this file had those that the index was built of in `index.json`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from mlrsnet_hf.configuration.json_file import read_json
from mlrsnet_hf.errors import MLRSNetError
from mlrsnet_hf.files import whole_file
from mlrsnet_hf.retrieval.embeddings.files import write_json
from mlrsnet_hf.retrieval.embeddings.info import LOCAL_FILE, LocalSources
from mlrsnet_hf.retrieval.index.description import INDEX_FILE


class _Appended(TypedDict, total=False):
    appended: list[Mapping[str, Any]]


def read_sources(folder: Path) -> tuple[LocalSources | None, tuple[LocalSources, ...]]:
    """Return the sources that an index was built of, and of what was appended, in that order, as far as known here."""
    file = folder / LOCAL_FILE
    try:
        told = read_json(file if file.exists() else folder / INDEX_FILE, _Appended, "")
    except MLRSNetError:  # a search by id goes without, and one by picture names what it lacks
        return None, ()
    appended = () if not file.exists() else map(LocalSources.from_json, told.get("appended", ()))
    return LocalSources.from_json(told), tuple(sources for sources in appended if sources)


def write_sources(folder: Path, built: LocalSources | None, appended: Sequence[LocalSources] = ()) -> None:
    """Store the sources of an index.

    Raises:
        ConfigurationError: They cannot be written.
    """
    content = (built.to_json() if built else {}) | {"appended": [sources.to_json() for sources in appended]}
    with whole_file(folder / LOCAL_FILE, "Make room, and give the same command again to go on.") as partial:
        write_json(partial, content)
