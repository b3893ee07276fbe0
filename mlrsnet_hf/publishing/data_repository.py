"""Folders that are dataset repositories already: they go to the Hub as they are."""

from pathlib import Path

from mlrsnet_hf.publishing.prepare import MANIFEST
from mlrsnet_hf.publishing.repository import CARD, Repository, files_of

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


def take_embeddings(path: Path) -> Repository:
    """Return a folder of embeddings as it is."""
    return Repository(
        kind="set of embeddings", repo_type="dataset", folder=path, files=files_of(path), owned=("*.parquet",)
    )
