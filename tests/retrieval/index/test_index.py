"""The index on Milvus Lite: against exact search, killed while it is built, opened twice, and asked wrongly."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.retrieval.embeddings.config import ModelChoice
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingError, EmbeddingFolder, Rows
from mlrsnet_hf.retrieval.embeddings.info import EmbeddingInfo
from mlrsnet_hf.retrieval.embeddings.pca import fit_pca, load_pca
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index import index as index_module
from mlrsnet_hf.retrieval.index.collection import ImageCollection
from mlrsnet_hf.retrieval.index.index import build_index, embed_queries, open_index

pytest.importorskip("milvus_lite")

MakeEmbeddings = Callable[..., EmbeddingFolder]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_search_equals_exact_search(kind: str, make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    table = EmbeddingTable.load(make_embeddings())
    built = build_index(tmp_path / "numbers", tmp_path / "index", kind)
    assert (built.rows, built.taken_up, built.recall.value) == (60, 0, 1.0)
    queries = np.random.default_rng(3).normal(size=(4, 8))
    with open_index(tmp_path / "index") as index:
        for filters in (
            {},
            {"labels": ["water"]},
            {"scene": "harbor"},
            {"labels": ["sand", "trees"], "scene": "beach"},
        ):
            expected, found = table.search(queries, 10, **filters), index.search(queries, 10, **filters)
            assert [[hit.id for hit in hits] for hits in found] == [[hit.id for hit in hits] for hits in expected]
            assert [hit.labels for hit in found[0]] == [hit.labels for hit in expected[0]]
            assert [hit.scene for hit in found[0]] == [hit.scene for hit in expected[0]]
            distances = [[hit.distance for hit in hits] for hits in found]
            np.testing.assert_allclose(distances, [[h.distance for h in hits] for hits in expected], rtol=1e-4)
        np.testing.assert_array_equal(index.find("image_017")[1], table.vector("image_017"))
        assert index.find("image_017")[0] == table.search(table.vector("image_017"), 1)[0][0]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_filter_alone_lists_the_first_images_that_pass(
    kind: str, make_embeddings: MakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.collection._MOST_ROWS", 16)  # several rounds
    folder = make_embeddings()
    table = EmbeddingTable.load(folder)
    build_index(folder, tmp_path / "index", kind)
    assert table.labels is not None and table.scenes is not None
    wet = [row for row in range(60) if 0 in table.labels[row]]  # label 0 is water
    sandy = [row for row in range(60) if {2, 3} <= set(table.labels[row]) and table.scenes[row] == 0]
    with open_index(tmp_path / "index") as index:
        for source in (index, table):
            listing = source.list_images(["water"], k=7)
            assert ([image.row for image in listing.images], listing.total) == (wet[:7], len(wet))
            assert all(image.id == f"image_{image.row:03d}" for image in listing.images)
            listing = source.list_images(["sand", "trees"], "beach", k=1000)
            assert [image.row for image in listing.images] == sandy and listing.total == len(sandy)
            with pytest.raises(ConfigurationError, match="neither a query nor a filter"):
                source.list_images()
            with pytest.raises(ConfigurationError, match="k=0 cannot be used"):
                source.list_images(["water"], k=0)
            with pytest.raises(UnknownNameError, match="Did you mean 'harbor'"):
                source.list_images(scene="habor")
        assert index.list_images(["water"], k=60).images == table.list_images(["water"], k=60).images


def test_every_spelling_of_mlrsnet_is_accepted(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    names = {"label_names": ("harbor", "swimming pool", "wind turbine"), "scene_names": ("harbor_port", "airplane")}
    rows = {"labels": [[0, 1]] * 4 + [[2]] * 3, "scenes": [0] * 5 + [1] * 2}
    folder = make_embeddings(rows=7, **rows, **names)
    table, query = EmbeddingTable.load(folder), np.zeros(8)
    for labels, scene, found in (
        (["habor"], None, 4),
        (["Swimmimg_Pool", "harbor"], "harbor&port", 4),
        ([], "habor&port", 5),
        ("wind-turbine", None, 3),
    ):
        assert len(table.search(query, 7, labels, scene)[0]) == found
    with pytest.raises(UnknownNameError, match=r"label 'wind turbin' is not known.*Did you mean 'wind turbine'"):
        table.search(query, 7, ["wind turbin"])
    with pytest.raises(UnknownNameError, match=r"label 'water' is not known to these embeddings\. Known names: harbor"):
        table.search(query, 7, ["water"])  # one of MLRSNet's, but none of these images' names
    with pytest.raises(UnknownNameError, match=r"label 1 is no name\. Give the label by its name"):
        table.search(query, 7, [1])
    own = make_embeddings(rows=7, name="own", label_names=("habor", "quay", "sea"), labels=rows["labels"])
    table = EmbeddingTable.load(own)
    assert len(table.search(query, 7, ["habor"])[0]) == 4
    with pytest.raises(UnknownNameError, match="Did you mean 'habor'"):
        table.search(query, 7, ["harbor"])


def test_wrong_questions(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    build_index(make_embeddings(rows=20), tmp_path / "index", "flat")
    query = np.zeros(8)
    with open_index(tmp_path / "index") as index:
        with pytest.raises(EmbeddingError, match=r"queries of shape \(1, 9\) for embeddings of 8 dimensions"):
            index.search(np.zeros(9))
        with pytest.raises(EmbeddingError, match="queries have dtype <U1"):
            index.search([["x"]])
        with pytest.raises(ConfigurationError, match=r"k=2\.5 cannot be used"):
            index.search(query, k=2.5)
        with pytest.raises(ConfigurationError, match="k=21 where the index holds 20 images"):
            index.search(query, k=21)
        with pytest.raises(UnknownNameError, match="Did you mean 'ships'"):
            index.search(query, labels=["ship"])
        with pytest.raises(ConfigurationError, match="no image has labels water, ships, trees, sand and scene beach"):
            index.search(query, labels=["water", "ships", "trees", "sand"], scene="beach")
        with pytest.raises(ConfigurationError, match="no image 'x' in this index"):
            index.find("x")
        second = subprocess.run(
            [Path(sys.executable).with_name("mlrsnet"), "search", tmp_path / "index", "image_001"],
            capture_output=True,
            text=True,
        )
    assert second.returncode == 2
    assert second.stderr == (
        f"error: {tmp_path / 'index'}: another process has this index open. Wait until it has ended; a Milvus server "
        "(by URI) serves many at a time.\n"
    )


def test_a_filter_that_few_pass_finds_them_all(
    make_embeddings: MakeEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph alone would find 1 to 3 of these 7 images among 6,000."""
    rare = [row % 857 == 5 for row in range(6000)]
    labels = [[0, 3] if few else [0] if row % 2 else [1] for row, few in enumerate(rare)]
    folder = make_embeddings(rows=6000, shard=6000, labels=labels)
    build_index(folder, tmp_path / "index")
    table = EmbeddingTable.load(folder)
    queries = np.random.default_rng(3).normal(size=(3, 8))
    with open_index(tmp_path / "index") as index:
        for k, names in ((5, ["sand"]), (20, ["sand"]), (4, ["sand", "water"]), (3000, ["ships"])):
            expected, found = table.search(queries, k, names), index.search(queries, k, names)
            assert [[hit.id for hit in hits] for hits in found] == [[hit.id for hit in hits] for hits in expected]
        monkeypatch.setattr("mlrsnet_hf.retrieval.index.collection._FEW", 0)  # the graph, then what it missed
        assert [len(hits) for hits in index.search(queries, 20, ["sand"])] == [7, 7, 7]


def test_names_in_any_script_and_with_any_sign(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    ids = ["St. John's_01.jpg", 'a "quoted" one', "back\\slash", "two\nlines", "港.png", "no'] or id in ['x", "x"]
    names = {"label_names": ("café", "the 'old' town", 'a "b"', "c\\d"), "scene_names": ("港", "b", "c")}
    folder = make_embeddings(rows=7, ids=ids, labels=[[0, 1, 2, 3]] * 7, scenes=[0] * 7, **names)
    build_index(folder, tmp_path / "index")
    with open_index(tmp_path / "index") as index:
        assert [index.find(image_id)[0].id for image_id in ids] == ids
        with pytest.raises(ConfigurationError, match="no image"):
            index.find("y'] or id in ['x")
        assert len(index.search(np.zeros(8), 7, labels=names["label_names"], scene="港")[0]) == 7
        with pytest.raises(UnknownNameError, match="scene '' is not known"):
            index.search(np.zeros(8), 7, scene="")


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
    assert build_index(folder, tmp_path / "index").taken_up == 0
    assert "is built anew" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', "torn"])
def test_a_damaged_index_file_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    (tmp_path / "milvus.db").mkdir()
    with pytest.raises(ConfigurationError, match=r"not an index|incomplete"), open_index(tmp_path):
        pass


def test_an_index_that_lost_images_is_refused(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    build_index(make_embeddings(), tmp_path / "index")
    [manifest] = (tmp_path / "index").rglob("manifest.json")
    manifest.unlink()  # the one before it speaks of an empty collection
    with (
        pytest.raises(ConfigurationError, match="index: 0 images where 60 are said to be"),
        open_index(tmp_path / "index"),
    ):
        pass


DOOMED = """
import os, signal, sys
from mlrsnet_hf.retrieval.index import index as module
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


def test_a_killed_build_is_completed_by_the_next(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder, target = make_embeddings(), tmp_path / "index"
    run = subprocess.run([sys.executable, "-c", DOOMED, str(folder.path), str(target)], capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not target.exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "batch_rows", lambda dimension: 10)
        built = build_index(folder, target)
    assert built.taken_up == 25, "all that was stored but the last batch, which may have gone in by half"
    table = EmbeddingTable.load(folder)
    with open_index(target) as index:
        hits = index.search(table.embeddings[:1], k=60)[0]
    assert [hit.id for hit in hits] == [hit.id for hit in table.search(table.embeddings[0], k=60)[0]]
    assert not list(tmp_path.glob(".index.*"))


def test_ids_that_occur_twice_are_refused(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    ids = [f"image_{min(i, 18)}" for i in range(20)]
    with pytest.raises(ConfigurationError, match="20 rows, but 19 ids: some occur more than once"):
        build_index(make_embeddings(rows=20, ids=ids), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_what_is_no_index(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    folder = make_embeddings(rows=20)
    build_index(folder, tmp_path / "index", "flat")
    with pytest.raises(ConfigurationError, match="index: exists already"):
        build_index(folder, tmp_path / "index")
    with pytest.raises(UnknownNameError, match="kind 'ivf' is not known"):
        build_index(folder, tmp_path / "new", "ivf")
    with pytest.raises(ConfigurationError, match="numbers: not an index"), open_index(folder.path):
        pass
    description = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps(description | {"format": 0}))
    with (
        pytest.raises(ConfigurationError, match="an index of format 0, this version of mlrsnet-hf reads format 1"),
        open_index(tmp_path / "index"),
    ):
        pass


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "http://"])
def test_an_unreachable_server_is_one_sentence(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.milvus._CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(ConfigurationError, match=f"^{re.escape(uri)}: no Milvus server answers within .* seconds"),
        open_index(uri),
    ):
        pass


SMALL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a write beyond fails as on a full disk
from mlrsnet_hf.cli import main
main(["index", *sys.argv[1:]])
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """URI of Milvus Lite's own server; it speaks the protocol of a full one."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    running, database, port = start_server_in_thread(data_dir=str(tmp_path / "server.db"), host="127.0.0.1", port=0)
    yield f"http://127.0.0.1:{port}"
    running.stop(0)
    database.close()


def test_the_same_by_uri(server: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_embeddings()
    table = EmbeddingTable.load(folder)
    put = ImageCollection.put

    def lost_at_the_fourth(self: ImageCollection, rows: Rows, first: int, info: EmbeddingInfo) -> None:
        if first == 25:
            raise KeyboardInterrupt
        put(self, rows, first, info)

    monkeypatch.setattr(index_module, "batch_rows", lambda dimension: 10)
    monkeypatch.setattr(ImageCollection, "put", lost_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        build_index(folder, server)
    with pytest.raises(ConfigurationError, match="no collection 'mlrsnet_images'"), open_index(server):
        pass
    monkeypatch.setattr(ImageCollection, "put", put)
    built = build_index(folder, server)
    assert (built.rows, built.taken_up, built.recall.value) == (60, 15, 1.0)
    with open_index(server) as index:
        assert index.info == folder.info
        found = index.search(table.embeddings[5], 9, labels=["trees"])
    assert [hit.id for hit in found[0]] == [hit.id for hit in table.search(table.embeddings[5], 9, ["trees"])[0]]
    with pytest.raises(ConfigurationError, match="collection 'mlrsnet_images' exists already"):
        build_index(folder, server)


def test_pictures_are_projected_on_a_server_too(
    server: str, searched: Path, pictures: Path, saved_model: Path, capsys: pytest.CaptureFixture
) -> None:
    embeddings, picture = searched.with_name("embeddings"), str(pictures / "a" / "05.png")
    main(["index", str(embeddings), server])
    asked = ["search", server, picture, "-k", "3", "--model", str(saved_model)]
    main(asked)
    by_uri = capsys.readouterr().out.splitlines()[-3:]
    main(["search", str(searched), picture, "-k", "3"])
    assert by_uri == capsys.readouterr().out.splitlines()[-3:]
    expected = load_pca(embeddings / "pca.npz")
    with open_index(server) as index:
        pca = index.projection()
        assert pca is not None
        np.testing.assert_array_equal(pca.components, expected.components)
        index._collection.client.drop_collection("mlrsnet_images_projection")
    with pytest.raises(SystemExit):
        main(asked)
    assert "the principal components of its embeddings are not there. Search by id" in capsys.readouterr().err
    main(["search", server, "image_05", "-k", "1"])  # which needs none
    assert capsys.readouterr().out.split()[6] == "image_05"


def test_a_projection_of_many_pieces_and_of_others(
    server: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.stored_pca._PIECE", 50)  # 40 to 60 pieces
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.stored_pca._PIECES_AT_ONCE", 7)
    draw = np.random.default_rng(1)
    pca, other = (fit_pca([draw.normal(size=(99, 12)).astype(np.float32)], 8, whiten) for whiten in (False, True))
    folder = make_embeddings(pca=pca.to_json())
    pca.save(folder.path / "pca.npz")
    build_index(folder, server, collection="first")
    with open_index(server, "first") as index:
        stored = index.projection()
        assert stored is not None
        np.testing.assert_array_equal(stored.mean, pca.mean)
    other.save(folder.path / "pca.npz")
    build_index(folder, server, collection="second")
    with (
        open_index(server, "second") as index,
        pytest.raises(ConfigurationError, match="are those of other embeddings"),
    ):
        index.projection()
    build_index(folder, server, collection="third_projection")
    with pytest.raises(ConfigurationError, match="need the name 'third_projection', which another collection has"):
        build_index(folder, server, collection="third")
    with open_index(server, "third_projection") as index:
        assert len(index.search(np.zeros(8), 60)[0]) == 60, "what stood there is untouched"


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


@pytest.fixture
def searched(saved_model: Path, dataset: Path, tmp_path: Path) -> Path:
    """An index of the pictures, embedded by the saved model with principal components."""
    embeddings = str(tmp_path / "embeddings")
    options = ["--pca", "6", "--normalize", "--dataset", str(dataset), "--split", "test", "--output-dir", embeddings]
    main(["embed", "--model", str(saved_model), *options])
    assert (tmp_path / "embeddings" / "README.md").read_text().count("6 principal components") == 1
    main(["index", embeddings, str(tmp_path / "index")])
    return tmp_path / "index"


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
    assert "test_resnet is not the model that made the index" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["search", str(searched), "z" * 300])
    assert "no image 'zzz" in capsys.readouterr().err
    with open_index(searched) as index, pytest.raises(EmbeddingError, match="is not the model that made the index"):
        embed_queries([pictures / "a" / "05.png"], index, ModelChoice(model="test_resnet", weights="random"))
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
    for options, said in (([], "neither a query nor a filter"), (["--labels", " ,"], "' ,' names nothing")):
        with pytest.raises(SystemExit) as ended:
            main(["search", str(searched), *options])
        assert ended.value.code == 2 and said in capsys.readouterr().err
    shutil.rmtree(tmp_path / "embeddings")  # the index does not need it
    main(["search", str(searched), "image_07", "-k", "1"])
    assert capsys.readouterr().out.split()[6] == "image_07"
