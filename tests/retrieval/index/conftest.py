"""A server, and an index that pictures can be searched in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrsnet_hf.cli import main


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """URI of Milvus Lite's own server; it speaks the protocol of a full one."""
    from milvus_lite import server_manager_instance

    folder = str(tmp_path / "server.db")
    yield server_manager_instance.start_and_get_uri(folder)
    server_manager_instance.release_server(folder)


@pytest.fixture
def searched(saved_model: Path, dataset: Path, tmp_path: Path) -> Path:
    """An index of the pictures, embedded by the saved model with principal components."""
    embeddings = str(tmp_path / "embeddings")
    options = ["--pca", "6", "--normalize", "--dataset", str(dataset), "--split", "test", "--output-dir", embeddings]
    main(["embed", "--model", str(saved_model), *options])
    assert (tmp_path / "embeddings" / "README.md").read_text().count("6 principal components") == 1
    main(["index", embeddings, str(tmp_path / "index")])
    return tmp_path / "index"
