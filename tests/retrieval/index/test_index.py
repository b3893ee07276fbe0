"""An index that is opened: by picture, by wrong questions, twice, and damaged."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.models.choice import ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError, EmbeddingFolder
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


def test_wrong_questions(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    build_index(make_embeddings(rows=20), tmp_path / "index", "flat")
    query = np.zeros(8)
    with open_index(tmp_path / "index") as index:
        with pytest.raises(EmbeddingError, match=r"\(1, 9\).* 8 dimensions"):
            index.search(np.zeros(9))
        with pytest.raises(EmbeddingError, match="<U1"):
            index.search([["x"]])
        with pytest.raises(ConfigurationError, match=r"k=2\.5"):
            index.search(query, k=2.5)
        with pytest.raises(ConfigurationError, match=r"k=21 .*20 images"):
            index.search(query, k=21)
        with pytest.raises(UnknownNameError, match=r"'ship'.*'ships'"):
            index.search(query, labels=["ship"])
        with pytest.raises(ConfigurationError, match=r"water, ships, trees, sand.*beach"):
            index.search(query, labels=["water", "ships", "trees", "sand"], scene="beach")
        with pytest.raises(ConfigurationError, match="'x'"):
            index.find("x")
        second = subprocess.run(
            [Path(sys.executable).with_name("mlrsnet"), "search", tmp_path / "index", "image_001"],
            capture_output=True,
            text=True,
        )
    assert second.returncode == 2
    [line] = second.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'index'}: another process")


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', "torn"])
def test_a_damaged_index_file_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    (tmp_path / "milvus.db").mkdir()
    with pytest.raises(ConfigurationError, match=r"index\.json"), open_index(tmp_path):
        pass


def test_an_index_that_lost_images_is_refused(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    build_index(make_embeddings(), tmp_path / "index")
    [manifest] = (tmp_path / "index").rglob("manifest.json")
    manifest.unlink()  # the one before it speaks of an empty collection
    with (
        pytest.raises(ConfigurationError, match=r"\b0 images.*60"),
        open_index(tmp_path / "index"),
    ):
        pass


def test_what_is_no_index(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder = make_embeddings(rows=20)
    build_index(folder, tmp_path / "index", "flat")
    with pytest.raises(ConfigurationError, match="index: exists"):
        build_index(folder, tmp_path / "index")
    with pytest.raises(UnknownNameError, match="'ivf'"):
        build_index(folder, tmp_path / "new", "ivf")
    with pytest.raises(ConfigurationError, match=r"numbers.*index\.json"), open_index(folder.path):
        pass
    description = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps(description | {"format": 0}))
    with (
        pytest.raises(ConfigurationError, match=r"format 0.*format 1"),
        open_index(tmp_path / "index"),
    ):
        pass


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "http://"])
def test_an_unreachable_server_is_one_sentence(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.milvus._CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(ConfigurationError, match=f"^{re.escape(uri)}: "),
        open_index(uri),
    ):
        pass


def test_search_by_picture(
    searched: Path, pictures: Path, saved_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    page = tmp_path / "found.html"
    main(["search", str(searched), str(pictures / "a" / "05.png"), "-k", "3", "--html", str(page)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "id", "distance", "scene", "labels"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert lines[1].split()[1] == "image_05"
    assert float(lines[1].split()[2]) < 1e-3
    assert lines[4] == f"page: {page}"
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 4, "the query and three results"
    assert "http" not in text.replace("http-equiv", ""), "the page needs no other file"
    main(["search", str(searched), "image_05", "--labels", "water, ships", "-k", "22"])
    lines = capsys.readouterr().out.splitlines()
    # Labels are the binary digits of the row: rows 3, 7, 11, 15 and 19 of 22 have both.
    assert len(lines) == 7
    assert lines[-1] == "5 of the 22 asked for: no more images were found with this filter"
    with pytest.raises(SystemExit):
        main(["search", str(searched), str(pictures / "a" / "05.png"), "--model", "test_resnet", "--weights", "random"])
    assert "error: test_resnet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["search", str(searched), "z" * 300])
    assert "no image 'zzz" in capsys.readouterr().err
    with open_index(searched) as index, pytest.raises(EmbeddingError, match="test_resnet"):
        index.embed_pictures([Image.new("RGB", (40, 40))], ModelChoice(model="test_resnet", weights="random"))
    main(["search", str(searched), "--labels", "Water,ships", "-k", "2", "--html", str(page)])
    assert capsys.readouterr().out.splitlines()[:4] == [
        "rank  id        scene   labels",
        "   1  image_07  beach   water, ships",
        "   2  image_15  forest  water, ships, trees",
        "2 of 5 images with this filter, in the order of the embeddings",
    ]
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 2 and "Images with labels water, ships" in text
    main(["search", str(searched), "-k", "1", "image_05"])
    assert capsys.readouterr().out.split()[6] == "image_05", "the query may stand behind the options"
    for options, said in (([], "error: "), (["--labels", " ,"], "' ,'")):
        with pytest.raises(SystemExit) as ended:
            main(["search", str(searched), *options])
        assert ended.value.code == 2 and said in capsys.readouterr().err
    shutil.rmtree(tmp_path / "embeddings")  # the index does not need it
    main(["search", str(searched), "image_07", "-k", "1"])
    assert capsys.readouterr().out.split()[6] == "image_07"


def test_an_index_opens_without_torch() -> None:
    """A search by the id of an image needs the extra `search` alone."""
    code = (
        "import sys; from mlrsnet_hf.retrieval.index import build, index; print({'torch', 'timm'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
