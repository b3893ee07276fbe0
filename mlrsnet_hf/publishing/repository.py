"""What a push sends: the files of a repository, each under its path there, wherever it lies here.

A prepared dataset, embeddings and a metric are repositories but for little; a run has model_repository.py.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Literal

import mlrsnet_hf
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.cards import CARD
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, write_embeddings_card
from mlrsnet_hf.publishing.prepare import MANIFEST
from mlrsnet_hf.retrieval.embeddings.files import DATA, open_embeddings
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE

RepoType = Literal["model", "dataset", "space"]

EVAL_RESULTS = ".eval_results"
"""The Hub reads results in this folder of a model; other hidden files are nobody's to publish."""
_PACKAGE = "mlrsnet_hf"
_MODULES = "evaluate_modules"
"""Where an installed package keeps the metric folders themselves."""
_PAGE, _REQUIREMENTS = "app.py", "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that is ready to be pushed."""

    kind: str
    """What it is, in words for messages: "model", "prepared dataset", ..."""
    repo_type: RepoType
    folder: Path
    """Where it can be looked at."""
    owned: tuple[str, ...]
    """Patterns of the paths that such a repository may remove from the Hub when it no longer has them."""
    space_sdk: str | None = None

    @property
    def files(self) -> Mapping[str, Path]:
        """Path in the repository -> file here."""
        return files_of(self.folder)


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their path in it, without hidden ones and Python's caches."""

    def is_private(part: str) -> bool:
        return part == "__pycache__" or (part.startswith(".") and part != EVAL_RESULTS)

    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in files.items() if not any(map(is_private, name.split("/")))}


def link_file(source: Path, target: Path) -> None:
    """Have a file at a second place without a copy, where the system allows links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.absolute())
    except OSError:
        shutil.copyfile(source, target)


def is_prepared(path: Path) -> bool:
    """Tell whether a folder is what `mlrsnet prepare` wrote."""
    return (path / MANIFEST).is_file() and (path / CARD).is_file() and any(path.glob("data/*.parquet"))


def is_embeddings(path: Path) -> bool:
    """Tell whether a folder holds embeddings: their description, a card and Parquet files."""
    return (path / INFO_FILE).is_file() and (path / CARD).is_file() and any(path.rglob("*.parquet"))


def is_metric(path: Path) -> bool:
    """Tell whether a folder is that of an evaluate module."""
    return all((path / name).is_file() for name in (f"{path.name}.py", _PAGE, CARD))


def take_prepared(path: Path) -> Repository:
    """Return a prepared dataset as it is; its Parquet files own their folder, or those of another copy stayed there."""
    return Repository(kind="prepared dataset", repo_type="dataset", folder=path, owned=("data/*.parquet",))


def build_embeddings(path: Path, folder: Path, repo_id: str) -> Repository:
    """Fill an empty folder with embeddings, and a card that names the repository and what was measured since.

    Raises:
        ConfigurationError: The embeddings, or the results of retrieval beside them, cannot be read.
    """
    open_embeddings(path)  # an error names this folder, not the other
    for name, source in files_of(path).items():
        link_file(source, folder / name)
    (folder / CARD).unlink()
    write_embeddings_card(folder, repo_id)
    owned = (f"{DATA}/*.parquet", RESULTS_FILE)
    return Repository(kind="set of embeddings", repo_type="dataset", folder=folder, owned=owned)


def build_space(path: Path, folder: Path, repo_id: str) -> Repository:
    """Fill an empty folder with what a metric's Space holds: the module, its page, and the package that both import.

    Raises:
        ConfigurationError: `evaluate.load(repo_id)` would look for another file than the module's.
    """
    owner, _, name = repo_id.partition("/")
    if name != path.name:
        raise ConfigurationError(
            f"{repo_id}: evaluate.load would look for {name}.py, and the module is {path.name}.py",
            f"Name the Space {owner}/{path.name}.",
        )
    package = {
        f"{_PACKAGE}/{name}": source
        for name, source in files_of(Path(mlrsnet_hf.__file__).parent).items()
        if not name.startswith(f"{_MODULES}/")
    }
    for name, source in (files_of(path) | package).items():
        if name != _REQUIREMENTS:
            link_file(source, folder / name)
    base_install = sorted(line for line in requires("mlrsnet-hf") or [] if not re.search(r"\bextra\s*==", line))
    (folder / _REQUIREMENTS).write_text("\n".join(base_install) + "\n", encoding="utf-8")
    return Repository(kind="metric", repo_type="space", folder=folder, owned=(f"{_PACKAGE}/*",), space_sdk="gradio")
