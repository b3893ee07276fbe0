"""The principal components of an index on a server."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.pca import fit_pca, load_pca
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


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
        pca = index.pca()
        assert pca is not None
        np.testing.assert_array_equal(pca.components, expected.components)
        index._collection.client.drop_collection("mlrsnet_images_projection")
    with pytest.raises(SystemExit):
        main(asked)
    assert "principal components" in capsys.readouterr().err
    main(["search", server, "image_05", "-k", "1"])  # which needs none
    assert capsys.readouterr().out.split()[6] == "image_05"


def test_a_projection_of_many_pieces_and_of_others(
    lite: str, make_embeddings: MakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.stored_pca._PIECE", 50)  # 40 to 60 pieces
    monkeypatch.setattr("mlrsnet_hf.retrieval.index.stored_pca._PIECES_AT_ONCE", 7)
    draw = np.random.default_rng(1)
    pca, other = (fit_pca([draw.normal(size=(99, 12)).astype(np.float32)], 8, whiten) for whiten in (False, True))
    folder = make_embeddings(pca=pca.to_json())
    pca.save(folder.path / "pca.npz")
    build_index(folder, lite, collection="first")
    with open_index(lite, "first") as index:
        stored = index.pca()
        assert stored is not None
        np.testing.assert_array_equal(stored.mean, pca.mean)
    other.save(folder.path / "pca.npz")
    build_index(folder, lite, collection="second")
    with (
        open_index(lite, "second") as index,
        pytest.raises(ConfigurationError, match=r"principal components.*other embeddings"),
    ):
        index.pca()
    build_index(folder, lite, collection="third_projection")
    with pytest.raises(ConfigurationError, match="'third_projection'"):
        build_index(folder, lite, collection="third")
    with open_index(lite, "third_projection") as index:
        assert len(index.search(np.zeros(8), 60)[0]) == 60, "what stood there is untouched"
