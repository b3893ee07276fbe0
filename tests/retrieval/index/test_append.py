"""An index that grows: what it finds then, killed, and embeddings that do not belong to it."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder, EmbeddingRows
from mlrsnet_hf.retrieval.embeddings.pca import fit_pca
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index import append
from mlrsnet_hf.retrieval.index.append import append_to_index
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.collection import ImageCollection
from mlrsnet_hf.retrieval.index.index import open_index
from mlrsnet_hf.retrieval.index.sources import read_sources

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]
WRITTEN = Path(__file__).parents[2] / "fixtures" / "written_at_3f65ed4"

FIRST = [f"image_{i:03d}" for i in range(60)]
SECOND = [*(f"new_{i:03d}" for i in range(0, 30, 2)), *FIRST[40:55], *(f"new_{i:03d}" for i in range(1, 30, 2))]
"""30 new images, and 15 that are there, in the middle."""


@pytest.fixture
def two(make_embeddings: MakeEmbeddings) -> tuple[EmbeddingFolder, EmbeddingFolder]:
    """What is indexed first, and what is appended, which knows other labels."""
    more = {"label_names": ("sand", "snow", "water"), "scene_names": ("glacier", "harbor")}
    scenes = [i % 2 for i in range(45)]
    labels = [[label for label in range(3) if i >> label & 1] for i in range(45)]
    return make_embeddings(ids=FIRST), make_embeddings(
        rows=45, ids=SECOND, name="more", seed=1, shard=20, scenes=scenes, labels=labels, **more
    )


def merged(first: EmbeddingFolder, second: EmbeddingFolder, make_embeddings: MakeEmbeddings) -> EmbeddingTable:
    """What an index is built of at once: images of the first in their order, as the second has them, then new ones."""
    tables = [EmbeddingTable.load(folder) for folder in (first, second)]
    known = {
        name: (table.embeddings[i], table.info.scene_names[table.scenes[i]], [table.info.label_names[n] for n in ids])
        for table in tables
        for i, (name, ids) in enumerate(zip(table.ids, table.labels, strict=True))
    }
    label_names, scene_names = ("water", "ships", "trees", "sand", "snow"), ("beach", "forest", "harbor", "glacier")
    return EmbeddingTable.load(
        make_embeddings(
            rows=90,
            ids=list(known),
            name="merged",
            vectors=np.stack([vector for vector, _, _ in known.values()]),
            scenes=[scene_names.index(scene) for _, scene, _ in known.values()],
            labels=[[label_names.index(name) for name in names] for _, _, names in known.values()],
            label_names=label_names,
            scene_names=scene_names,
        )
    )


def assert_finds_the_same(place: str, table: EmbeddingTable) -> None:
    queries = np.random.default_rng(3).normal(size=(3, 8))
    with open_index(place) as index:
        assert len(index) == len(table) and index.info.label_names == table.info.label_names
        for filters in ({}, {"labels": ["snow", "water"]}, {"scene": "harbor"}):
            expected, found = table.search(queries, 20, **filters), index.search(queries, 20, **filters)
            known = [[(hit.row, hit.id, hit.scene, sorted(hit.labels)) for hit in hits] for hits in found]
            assert known == [[(hit.row, hit.id, hit.scene, sorted(hit.labels)) for hit in hits] for hits in expected]
        listed = index.list_images(["sand"], k=90)
        assert [image.id for image in listed.images] == [i.id for i in table.list_images(["sand"], k=90).images]
        np.testing.assert_array_equal(index.find("image_045")[1], table.vector("image_045"))


DOOMED = """
import os, signal, sys
from mlrsnet_hf.retrieval.index import append as module
from mlrsnet_hf.retrieval.index.collection import ImageCollection
module.batch_rows = lambda dimension: 10
put = ImageCollection.put_at
def killed_at_the_third(self, rows, numbers, info):
    put(self, rows, numbers, info)
    if SECOND.index(rows.ids[0]) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
ImageCollection.put_at = killed_at_the_third
module.append_to_index(*sys.argv[1:])
"""


def test_a_killed_append_is_completed_by_the_next(
    place: str,
    two: tuple[EmbeddingFolder, EmbeddingFolder],
    make_embeddings: MakeEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    """On a server that is killed meanwhile, and started again."""
    first, second = two
    build_index(first, place, recall=0.9)
    monkeypatch.setattr(append, "batch_rows", lambda dimension: 10)
    code = f"SECOND = {SECOND!r}\n{DOOMED}"
    run = subprocess.run([sys.executable, "-c", code, str(second.path), place], capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    if "://" in place:
        server = request.getfixturevalue("milvus")
        server.kill()
        server.start()
    with open_index(place) as index:
        assert "20 of its 45 images are in" in capsys.readouterr().out
        # The batch that was killed is stored and not noted: ten images that were there, and five that were not.
        expected = [*FIRST, *SECOND[:15], *SECOND[30:30]]
        found = index.search(np.zeros(8), 60)[0]
        assert len({hit.id for hit in found}) == 60 and {hit.id for hit in found} <= {*expected, *SECOND[:30]}
        assert index.find(SECOND[3])[0].scene == "harbor"
    with pytest.raises(ConfigurationError, match=r"append of other embeddings \(made up, 45 images\) was cut short"):
        append_to_index(first, place)
    grown = append_to_index(second, place)
    assert (grown.rows, grown.added, grown.replaced, grown.resumed) == (90, 30, 15, 20)
    assert grown.recall.value == 1.0 and grown.recall.ef == 128, "the recall that was asked for is found anew"
    table = merged(first, second, make_embeddings)
    assert_finds_the_same(place, table)
    if "://" in place:
        return
    again = append_to_index(second, place)
    assert (again.rows, again.added, again.replaced, again.resumed) == (90, 0, 45, 0)
    assert_finds_the_same(place, table)


def test_an_append_that_is_stopped_says_what_is_kept(
    two: tuple[EmbeddingFolder, EmbeddingFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    first, second = two
    place = str(tmp_path / "index")
    build_index(first, place, "flat")
    monkeypatch.setattr(append, "batch_rows", lambda dimension: 10)
    put = ImageCollection.put_at

    def stopped_at_the_third(self: ImageCollection, rows: EmbeddingRows, *rest: object) -> None:
        if rows.ids[0] == SECOND[20]:
            signal.raise_signal(signal.SIGINT)
        put(self, rows, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ImageCollection, "put_at", stopped_at_the_third)
        with pytest.raises(SystemExit) as error:
            main(["index", str(second.path), place, "--append"])
    assert error.value.code == 130
    said = "The index can be searched, with the images that are in; give the same command again to go on."
    assert f"stopped: SIGINT came. {said}\n" in capsys.readouterr().err
    with open_index(place) as index:
        assert index.find(SECOND[3])[0].scene == "harbor"
    main(["index", str(second.path), place, "--append"])
    assert "30 images added, 15 replaced, 20 of them by an earlier run" in capsys.readouterr().out


def test_others_are_refused_and_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    place = tmp_path / "index"
    build_index(make_embeddings(rows=20), place, "flat")
    for number, (changes, words) in enumerate(
        {
            (
                "model_fingerprint",
                "e" * 64,
            ): r"another model \(net \(eeeeeeee\), where the index has net \(f+\)\)",
            ("layer", "pooled"): r"another layer \(pooled, where the index has pre_logits\)",
            ("dtype", "float16"): r"another dtype \(float16, where the index has float32\)",
            ("dimension", 9): r"another dimensions \(9, where the index has 8\)",
            ("normalized", True): r"another normalization",
        }.items()
    ):
        with pytest.raises(ConfigurationError, match=f": {words}"):
            append_to_index(make_embeddings(rows=5, name=f"other_{number}", **dict([changes])), place)
    pca = {"components": 8, "whitened": False, "fitted_on": 99, "explained": 0.5}
    with pytest.raises(
        ConfigurationError,
        match=r"projection \(8 components of 99 images, 50.000000% explained, where the index has none\)",
    ):
        append_to_index(make_embeddings(rows=5, name="projected", pca=pca), place)
    with pytest.raises(ConfigurationError, match="'image_003' occurs more than once"):
        append_to_index(make_embeddings(rows=5, name="twice", ids=[f"image_{i % 4:03d}" for i in range(3, 8)]), place)
    with pytest.raises(ConfigurationError, match="no_index"):
        append_to_index(make_embeddings(rows=5, name="x"), tmp_path / "no_index")
    with open_index(place) as index:
        assert len(index.search(np.zeros(8), 20)[0]) == len(index) == 20, "nothing was changed"


def test_projections_are_compared_by_their_numbers(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    pcas = [fit_pca([draw.normal(size=(99, 12)).astype(np.float32)], 8, whiten=False) for _ in range(2)]
    folders = [
        make_embeddings(rows=12, name=f"p{i}", pca=pcas[0].to_json(), ids=[f"{i}_{n}" for n in range(12)])
        for i in range(3)
    ]
    for folder, pca in zip(folders, (pcas[0], pcas[0], pcas[1]), strict=True):
        pca.save(folder.path / "pca.npz")
    build_index(folders[0], tmp_path / "index", "flat")
    assert append_to_index(folders[1], tmp_path / "index").rows == 24
    with pytest.raises(ConfigurationError, match="another projection"):
        append_to_index(folders[2], tmp_path / "index")


def test_appended_pictures_are_found_and_shown(
    saved_model: Path, dataset: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """From the command line: a folder of pictures, without labels, beside the same ones of a dataset that has some."""
    index, model = str(tmp_path / "index"), ["--model", str(saved_model)]
    main(["embed", *model, "--dataset", str(dataset), "--split", "test", "--output-dir", str(tmp_path / "labeled")])
    main(["index", str(tmp_path / "labeled"), index, "--kind", "flat"])
    main(["embed", *model, "--images", str(pictures), "--output-dir", str(tmp_path / "plain")])
    main(["index", str(tmp_path / "plain"), index, "--append"])
    assert "22 images added, 0 replaced\n44 images\n" in capsys.readouterr().out
    page = tmp_path / "found.html"
    main(["search", index, str(pictures / "a" / "05.png"), "-k", "2", "--html", str(page)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    assert [line[1] for line in lines] == ["image_05", "a/05.png"]
    assert lines[1][3:] == [], "no scene and no labels"
    assert page.read_text().count("data:image/jpeg;base64,") == 3, "the query and both results"
    main(["search", index, "--labels", "water", "-k", "44"])
    assert "11 of 11 images" in capsys.readouterr().out, "as many as in the dataset: labels are digits of the row"
    told = (tmp_path / "index" / "index.json").read_text()
    assert str(tmp_path) not in told, "what is passed on holds no path"
    built, appended = read_sources(tmp_path / "index")
    assert (built and built.images.dataset, [one.images.images for one in appended]) == (str(dataset), [str(pictures)])


def test_sources_of_an_earlier_version_move_out_of_what_is_passed_on(tmp_path: Path) -> None:
    for name in ("index-flat", "embeddings"):
        shutil.copytree(WRITTEN / name, tmp_path / name)
    index = tmp_path / "index-flat"
    before, appended = read_sources(index)
    assert before is not None and before.images.data_dir == "data/release" and appended == ()
    for _ in range(2):
        assert append_to_index(tmp_path / "embeddings", index).replaced == 30
        assert "data/release" not in (index / "index.json").read_text()
        built, appended = read_sources(index)
        assert built is not None and built.images.protocol == before.images.protocol and len(appended) == 1
    (index / ".local.json").write_text('{"appended": [5], "model": []}')
    assert read_sources(index) == (None, ())
    (index / ".local.json").unlink()
    with open_index(index) as copied:
        assert copied.local is None and copied.appended == () and copied.find("airplane_00008")
