"""Folders that are dataset repositories already: they go to the Hub as they are, embeddings with a new card."""

from pathlib import Path

from mlrsnet_hf.publishing.embeddings_card import RESULTS_FILE, write_embeddings_card
from mlrsnet_hf.publishing.prepare import MANIFEST
from mlrsnet_hf.publishing.repository import CARD, Repository, files_of, place
from mlrsnet_hf.retrieval.embedding_files import DATA, open_embeddings

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
