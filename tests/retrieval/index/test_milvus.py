"""Calls that Milvus refuses for a moment, and what gRPC would print."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient, MilvusException

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


@pytest.mark.parametrize(
    ("refusals", "message", "tried"),
    [
        (2, "read error in hnsw.idx: 0 != 1 (Resource temporarily unavailable)", 3),
        (2, "Failed to read all data for array. (file seems not fully written?)", 3),
        (2, "No data left in file", 3),
        (2, "EOF: reading array header, expected 118 bytes got 0", 3),
        (2, "cannot reshape array of size 0 into shape (20,8)", 3),
        (99, "read error in hnsw.idx: 0 != 1 (Resource temporarily unavailable)", 6),
        (1, "collection not loaded[collection=7]", 2),
        (1, "hnsw.idx is damaged", 1),
    ],
)
def test_what_passes_is_tried_again(
    refusals: int,
    message: str,
    tried: int,
    make_embeddings: MakeEmbeddings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_index(make_embeddings(rows=20), tmp_path / "index", "flat")
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.milvus.time.sleep", lambda seconds: None)
    calls = []
    query = MilvusClient.query

    def refused(self: MilvusClient, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        calls.append(arguments)
        if len(calls) <= refusals:
            raise MilvusException(code=1, message=message)
        return query(self, *arguments, **options)

    monkeypatch.setattr(MilvusClient, "query", refused)
    if refusals < tried:
        with open_index(tmp_path / "index") as index:
            assert len(index) == 20
    else:
        with pytest.raises(ConfigurationError, match=r"hnsw\.idx"), open_index(tmp_path / "index"):
            pass
    assert len(calls) == tried


LOST = """
import sys
from milvus_lite import server_manager_instance
from mlrsnet_hf.cli import main
from mlrsnet_hf.retrieval.index import milvus
milvus._CONNECT_SECONDS, milvus._WAITS = 1.0, (0.1, 1.0)
from mlrsnet_hf.retrieval.index.collection import ImageCollection
uri = server_manager_instance.start_and_get_uri(sys.argv[1])
count = ImageCollection.count
def lost(self, expression=""):
    server_manager_instance.release_server(sys.argv[1])
    return count(self, expression)
main(["index", sys.argv[2], uri])
ImageCollection.count = lost
main(["search", uri, "image_001"])
"""


def test_a_server_that_is_lost_is_one_sentence(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder = make_embeddings(rows=20)
    command = [sys.executable, "-c", LOST, str(tmp_path / "server.db"), str(folder.path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    [line] = [line for line in run.stderr.splitlines() if "indexing" not in line]
    assert line.startswith("error: http://127.0.0.1:")
