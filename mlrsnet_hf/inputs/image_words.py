"""Words that name image files: paths, patterns and addresses; light to import."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from mlrsnet_hf.errors import ConfigurationError

_LOCAL = "file://"


def is_address(word: str) -> bool:
    """Tell whether a word is the address of what lies elsewhere."""
    return "://" in word and not word.startswith(_LOCAL)


def is_pattern(word: str) -> bool:
    """Tell whether a word that is no address stands for what matches it."""
    return not _is_there(_local(word)) and glob.has_magic(word)


def named_paths(word: str) -> Iterator[Path]:
    """Yield the file or folder that a word names which is no address, or the matches of a pattern by name.

    Raises:
        ConfigurationError: There is no such file or folder; a pattern may match nothing.
    """
    name = _local(word)
    if _is_there(name):
        yield Path(name)
    elif glob.has_magic(name):
        yield from map(Path, sorted(glob.glob(name, recursive=True)))  # noqa: PTH207 - a pattern may be absolute
    else:
        raise ConfigurationError(f"{word}: no such file or folder", "Check the path.")


def _local(word: str) -> str:
    return os.path.expanduser(word.removeprefix(_LOCAL))  # noqa: PTH111 - a pattern is no path


def _is_there(name: str) -> bool:
    # Path's own tests raise for text that is no path, such as one too long.
    return os.path.isdir(name) or os.path.isfile(name)  # noqa: PTH112, PTH113
