"""Folders that are dataset repositories already: they go to the Hub as they are, embeddings with a new card."""

import re
from importlib.metadata import requires
from pathlib import Path

import mlrsnet_hf
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, write_embeddings_card
from mlrsnet_hf.publishing.prepare import MANIFEST
from mlrsnet_hf.publishing.repository import CARD, Repository, files_of, place
from mlrsnet_hf.retrieval.embeddings.files import DATA, open_embeddings

EMBEDDINGS = "embeddings.json"


def is_prepared(path: Path) -> bool:
    """Tell whether a folder is what `mlrsnet prepare` wrote."""
    return (path / MANIFEST).is_file() and (path / CARD).is_file() and any(path.glob("data/*.parquet"))


def is_embeddings(path: Path) -> bool:
    """Tell whether a folder holds embeddings: their description, a card and Parquet files."""
    return (path / EMBEDDINGS).is_file() and (path / CARD).is_file() and any(path.rglob("*.parquet"))


def take_prepared(path: Path) -> Repository:
    """Return a prepared dataset as it is."""
    return Repository(
        kind="prepared dataset",
        repo_type="dataset",
        folder=path,
        files=files_of(path),
        owned=("data/*.parquet",),  # those of another copy would be read beside these
    )


def build_embeddings(path: Path, folder: Path, repo_id: str) -> Repository:
    """Fill a folder with embeddings as they are, and a card that names the repository and what was measured since.

    Args:
        path: What `mlrsnet embed` wrote.
        folder: An empty folder.
        repo_id: USER/NAME, which the card's code names.

    Raises:
        ConfigurationError: The embeddings, or the results of retrieval beside them, cannot be read.
    """
    open_embeddings(path)  # an error names this folder, not the other
    for name, source in files_of(path).items():
        place(source, folder / name)
    (folder / CARD).unlink()
    write_embeddings_card(folder, repo_id)
    return Repository(
        kind="set of embeddings",
        repo_type="dataset",
        folder=folder,
        files=files_of(folder),
        owned=(f"{DATA}/*.parquet", RESULTS_FILE),
    )


_PACKAGE = "mlrsnet_hf"
_MODULES = "evaluate_modules"
"""Where an installed package keeps the metric folders themselves."""
_PAGE, _REQUIREMENTS = "app.py", "requirements.txt"


def is_metric(path: Path) -> bool:
    """Tell whether a folder is that of an evaluate module."""
    return all((path / name).is_file() for name in (f"{path.name}.py", _PAGE, CARD))


def build_space(path: Path, folder: Path, repo_id: str) -> Repository:
    """Fill a folder with what a metric's Space holds.

    Args:
        path: The metric's folder.
        folder: An empty folder.
        repo_id: USER/NAME; `evaluate.load(repo_id)` looks for NAME.py.

    Raises:
        ConfigurationError: NAME is not the module's.
    """
    if repo_id.partition("/")[2] != path.name:
        raise ConfigurationError(
            f"{repo_id}: evaluate.load would look for {repo_id.partition('/')[2]}.py, and the module is {path.name}.py",
            f"Name the Space {repo_id.partition('/')[0]}/{path.name}.",
        )
    for name, source in files_of(path).items():
        place(source, folder / name)
    package = Path(mlrsnet_hf.__file__).parent
    for name, source in files_of(package).items():
        if not name.startswith(f"{_MODULES}/"):
            place(source, folder / _PACKAGE / name)
    (folder / _REQUIREMENTS).unlink(missing_ok=True)
    (folder / _REQUIREMENTS).write_text("\n".join(_dependencies()) + "\n", encoding="utf-8")
    return Repository(
        kind="metric",
        repo_type="space",
        folder=folder,
        files=files_of(folder),
        owned=(f"{_PACKAGE}/*",),
        space_sdk="gradio",
    )


def _dependencies() -> list[str]:
    """Return what the base install requires, without extras."""
    lines = requires("mlrsnet-hf") or []
    return sorted(line for line in lines if not re.search(r"\bextra\s*==", line))
