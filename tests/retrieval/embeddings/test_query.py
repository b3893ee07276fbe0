"""The names by which a search is filtered."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.errors import UnknownNameError
from mlrsnet_hf.retrieval.embeddings.files import (
    EmbeddingFolder,
)
from mlrsnet_hf.retrieval.embeddings.table import EmbeddingTable

MakeEmbeddings = Callable[..., EmbeddingFolder]


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
    with pytest.raises(UnknownNameError, match=r"'wind turbin'.*'wind turbine'"):
        table.search(query, 7, ["wind turbin"])
    with pytest.raises(UnknownNameError, match=r"'water'.*harbor"):
        table.search(query, 7, ["water"])  # one of MLRSNet's, but none of these images' names
    with pytest.raises(UnknownNameError, match="label 1 "):
        table.search(query, 7, [1])
    own = make_embeddings(rows=7, name="own", label_names=("habor", "quay", "sea"), labels=rows["labels"])
    table = EmbeddingTable.load(own)
    assert len(table.search(query, 7, ["habor"])[0]) == 4
    with pytest.raises(UnknownNameError, match=r"'harbor'.*'habor'"):
        table.search(query, 7, ["harbor"])
