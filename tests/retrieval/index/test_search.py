"""`mlrsnet search` as it is asked: labels with commas, files that are not there, several queries and folders."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mlrsnet_hf.cli import main
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.index.build import build_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]

CORINE = ("Beaches, dunes, sands", "Beaches", "Urban fabric", "a,b", "a", "b", 'the "old" town', "trailing,", "sands")


def test_labels_with_commas(make_embeddings: MakeEmbeddings, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    labels = [[label] for label in range(9)] + [[0, 2], [1, 2], [4, 5]]
    build_index(make_embeddings(rows=12, labels=labels, label_names=CORINE), tmp_path / "index", "flat")
    search = ["search", str(tmp_path / "index"), "-k", "12"]
    for options, rows in (
        (["--labels", "Beaches, dunes, sands"], [0, 9]),
        (["--labels", '"Beaches, dunes, sands"'], [0, 9]),
        (["--labels", "Urban fabric,Beaches, dunes, sands"], [9]),
        (["--labels", " Beaches, dunes, sands , Urban fabric"], [9]),
        (["--labels", "Beaches, dunes, sands", "--labels=Urban fabric"], [9]),
        (["--labels", "Beaches,Urban fabric"], [10]),
        (["--labels", "Beaches"], [1, 10]),
        (["--labels", "a,b"], [3]),
        (["--labels", "a", "--labels", "b"], [11]),
        (["--labels", "a, b"], [11]),
        (["--labels", 'the "old" town'], [6]),
        (["--labels", "trailing,"], [7]),
        (["--labels", "sands,"], [8]),
    ):
        main([*search, *options])
        found = [line.split()[1] for line in capsys.readouterr().out.splitlines() if " image_" in line]
        assert found == [f"image_{row:03d}" for row in rows], options
    for text, said in (
        ("Beaches, dunes, sandz", "'Beaches, dunes, sandz' is not known to these embeddings. Did you mean 'Beaches, d"),
        ("Beaches,Urban fabrik", "'Urban fabrik' is not known to these embeddings. Did you mean 'Urban fabric'"),
        (" ,", "' ,'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*search, "--labels", text])
        assert ended.value.code == 2 and said in capsys.readouterr().err


def test_what_is_neither_a_file_nor_an_id(
    make_embeddings: MakeEmbeddings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    build_index(make_embeddings(rows=12), tmp_path / "index", "flat")
    (tmp_path / "empty").mkdir()
    for query, said in (("nope.jpg", "'nope.jpg': no such file"), (str(tmp_path / "empty"), "no image in it")):
        with pytest.raises(SystemExit) as ended:
            main(["search", str(tmp_path / "index"), "image_001", query])
        assert ended.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        assert said in line


def test_several_queries(
    saved_model: Path, dataset: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A folder, a picture and an id, each with its own answer, the nearest of which is the query itself."""
    index, embeddings = str(tmp_path / "index"), str(tmp_path / "embeddings")
    options = ["--dataset", str(dataset), "--split", "test", "--output-dir", embeddings]
    main(["embed", "--model", str(saved_model), *options])
    main(["index", embeddings, index, "--kind", "flat"])
    asked = tmp_path / "asked"
    (asked / "below").mkdir(parents=True)
    (asked / "notes.txt").write_text("no picture")
    for number, name in ((4, "one.png"), (7, "below/two.png")):
        shutil.copyfile(pictures / ("a" if number % 2 else "b/c") / f"{number:02d}.png", asked / name)
    capsys.readouterr()
    page = tmp_path / "page.html"
    single = pictures / "a" / "09.png"
    main(["search", index, str(asked), str(single), "image_11", "-k", "2", "--html", str(page), "--scene", "beach"])
    text = capsys.readouterr().out
    parts = text.split("query: ")[1:]
    assert [part.splitlines()[0] for part in parts] == [
        str(asked / "below" / "two.png"),
        str(asked / "one.png"),
        str(single),
        "image_11",
    ]
    assert all(line.split()[3] == "beach" for part in parts for line in part.splitlines()[2:4])
    main(["search", index, str(asked), str(single), "image_11", "-k", "1"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "  image_" in line]
    assert [line[1] for line in lines] == ["image_07", "image_04", "image_09", "image_11"]
    assert all(float(line[2]) < 1e-3 for line in lines)
    assert page.read_text().count("data:image/jpeg;base64,") == 4 * 3, "each query and its two results"
    Image.new("L", (8, 8)).save(asked / "torn.png")
    (asked / "torn.png").write_bytes((asked / "torn.png").read_bytes()[:40])
    with pytest.raises(SystemExit):
        main(["search", index, str(asked)])
    assert "torn.png" in capsys.readouterr().err
