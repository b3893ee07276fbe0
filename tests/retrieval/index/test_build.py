"""Building an index: killed, on a full disk, on a server, and of embeddings that cannot be stored."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, EmbeddingRows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index import build
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.collection import ImageCollection
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


def test_a_damaged_database_of_an_earlier_build_is_built_anew(
    make_embeddings: MakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    folder = make_embeddings()
    with monkeypatch.context() as patch:
        patch.setattr(ImageCollection, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_index(folder, tmp_path / "index")
    [schema] = (tmp_path / ".index.partial").rglob("schema.json")
    schema.write_text("")
    assert build_index(folder, tmp_path / "index").resumed == 0
    assert "is built anew" in capsys.readouterr().out


DOOMED = """
import os, signal, sys
from mlrsnet_hf.retrieval.index import build as module
from mlrsnet_hf.retrieval.index.collection import ImageCollection
module.batch_rows = lambda dimension: 10
put = ImageCollection.put
def killed_at_the_fourth(self, rows, first, info):
    put(self, rows, first, info)
    if first == 25:
        os.kill(os.getpid(), signal.SIGKILL)
ImageCollection.put = killed_at_the_fourth
module.build_index(*sys.argv[1:])
"""


def test_a_killed_build_is_completed_by_the_next(place: str, make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder, target = make_embeddings(), place
    run = subprocess.run([sys.executable, "-c", DOOMED, str(folder.path), target], capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    with pytest.raises(ConfigurationError, match="index"), open_index(target):
        pass
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "batch_rows", lambda dimension: 10)
        built = build_index(folder, target)
    assert built.resumed == 25, "all that was stored but the last batch, which may have gone in by half"
    table = EmbeddingTable.load(folder)
    with open_index(target) as index:
        hits = index.search(table.embeddings[:1], k=60)[0]
    assert [hit.id for hit in hits] == [hit.id for hit in table.search(table.embeddings[0], k=60)[0]]
    assert not list(tmp_path.glob(".index.*"))


def test_ids_that_occur_twice_are_refused(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    ids = [f"image_{min(i, 18)}" for i in range(20)]
    with pytest.raises(ConfigurationError, match=r"20 rows.*19 ids"):
        build_index(make_embeddings(rows=20, ids=ids), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_the_same_by_uri(lite: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_embeddings()
    table = EmbeddingTable.load(folder)
    put = ImageCollection.put

    def lost_at_the_fourth(self: ImageCollection, rows: EmbeddingRows, first: int, info: EmbeddingInfo) -> None:
        if first == 25:
            raise KeyboardInterrupt
        put(self, rows, first, info)

    monkeypatch.setattr(build, "batch_rows", lambda dimension: 10)
    monkeypatch.setattr(ImageCollection, "put", lost_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        build_index(folder, lite)
    with pytest.raises(ConfigurationError, match="'mlrsnet_images'"), open_index(lite):
        pass
    monkeypatch.setattr(ImageCollection, "put", put)
    built = build_index(folder, lite)
    assert (built.rows, built.resumed, built.recall.value) == (60, 15, 1.0)
    with open_index(lite) as index:
        assert index.info == folder.info
        found = index.search(table.embeddings[5], 9, labels=["trees"])
    assert [hit.id for hit in found[0]] == [hit.id for hit in table.search(table.embeddings[5], 9, ["trees"])[0]]
    with pytest.raises(ConfigurationError, match="'mlrsnet_images' exists"):
        build_index(folder, lite, "flat")
    again = build_index(folder, lite)
    assert (again.rows, again.resumed, again.recall) == (60, 60, built.recall), "there is nothing left to do"


SMALL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a write beyond fails as on a full disk
from mlrsnet_hf.cli import main
main(["index", *sys.argv[1:]])
"""


def test_a_full_disk_is_one_sentence_and_the_next_build_goes_on(
    make_embeddings: MakeEmbeddings, tmp_path: Path
) -> None:
    folder, target = make_embeddings(rows=300, dimension=256), tmp_path / "index"
    command = [sys.executable, "-c", SMALL_DISK, str(folder.path), str(target)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    errors = [line for line in run.stderr.splitlines() if "error" in line.lower()]
    assert len(errors) == 1 and errors[0].startswith("error: ") and "room" in errors[0], run.stderr
    assert "Traceback" not in run.stderr
    assert not target.exists()
    assert build_index(folder, target).rows == 300
