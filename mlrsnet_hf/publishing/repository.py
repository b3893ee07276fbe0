"""What a push sends: the files of a repository, each under its path there, wherever it lies here."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RepoType = Literal["model", "dataset", "space"]

CARD = "README.md"
EVAL_RESULTS = ".eval_results"
"""The Hub reads results in this folder of a model; other hidden files are nobody's to publish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that is ready to be pushed."""

    kind: str
    """In words, for messages: "model", "prepared dataset", ..."""
    repo_type: RepoType
    folder: Path
    """Where it can be looked at."""
    files: Mapping[str, Path]
    """Path in the repository -> file here."""
    owned: tuple[str, ...]
    """Patterns of the paths that such a repository may remove from the Hub when it no longer has them."""
    space_sdk: str | None = None

    @property
    def file_bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for path in self.files.values())


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their path in it, without hidden ones and Python's caches."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if not any(_is_private(part) for part in name.split("/"))}


def place(source: Path, target: Path) -> None:
    """Have a file at a second place without a copy, where the system allows links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.absolute())
    except OSError:
        shutil.copyfile(source, target)


def _is_private(part: str) -> bool:
    return part == "__pycache__" or (part.startswith(".") and part != EVAL_RESULTS)
