"""The search effort that is found, against exact search with pictures that are not in the index."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.cli import main
from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]


def test_the_effort_that_was_found_reaches_the_recall(
    make_embeddings: MakeEmbeddings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Random vectors of many dimensions are the hardest there are."""
    folder = make_embeddings(rows=3000, dimension=256, shard=3000)
    place = str(tmp_path / "index")
    main(["index", str(folder.path), place, "--recall", "0.99"])
    stored = json.loads((tmp_path / "index" / "index.json").read_text())
    assert stored["ef"] > 128 and 0.99 <= stored["recall"]["value"] < 1, "no more effort than it takes"
    assert f"ef={stored['ef']:,}" in capsys.readouterr().out
    queries = np.random.default_rng(9).normal(size=(100, 256))
    expected = [{hit.id for hit in hits} for hits in EmbeddingTable.load(folder).search(queries, 10)]

    def recall(ef: int | None) -> float:
        with open_index(place, ef=ef) as index:
            answers = index.search(queries, 10)
        found = ({hit.id for hit in hits} for hits in answers)
        return float(np.mean([len(ids & near) / 10 for ids, near in zip(found, expected, strict=True)]))

    assert recall(None) > 0.98 > recall(128) > recall(10)
    main(["search", place, "image_000", "--ef", "3000", "-k", "1"])
    assert capsys.readouterr().out.split()[6] == "image_000"


def test_no_effort_is_found_where_all_are_compared(
    make_embeddings: MakeEmbeddings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, place = make_embeddings(rows=20), tmp_path / "index"
    with pytest.raises(ConfigurationError, match="flat"):
        build_index(folder, place, "flat", recall=0.99)
    assert build_index(folder, place, "flat").recall.value == 1.0
    for options in (["index", str(folder.path), str(place), "--recall", "1.5"], ["search", str(place), "--ef", "0"]):
        with pytest.raises(SystemExit) as ended:
            main(options)
        assert ended.value.code == 2 and options[-2][2:] in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="flat"), open_index(place, ef=10):
        pass
