"""Whatever ids, labels and scenes are called, a filter finds exactly their rows."""

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
from mlrsnet_hf.retrieval.embeddings.files import EmbeddingFolder
from mlrsnet_hf.retrieval.index.build import build_index
from mlrsnet_hf.retrieval.index.index import open_index

pytest.importorskip("milvus_lite")


MakeEmbeddings = Callable[..., EmbeddingFolder]

CONTROL = [chr(code) for code in range(32)] + ["\x7f", "\x80", "\x9f"]
HOSTILE = [*"\"'\\%_[]{}(),|&=!<>$ ", "\u2028", "\u202e", "\ufeff", "\ufffe", "\u0301", "港", "😀", "é"]
NAMES = st.text(st.sampled_from([*CONTROL, *HOSTILE, *"anu0"]), max_size=6)
FIXED = [
    *("".join(CONTROL[start : start + 5]) for start in range(0, 35, 5)),
    *("\x01", "\n", "\\n", "n", "\\", "\\\\", '"', '\\"', "'", "%", "_", "100%", "a%", "港\\z", "\x1b[31m"),
    *('x" or id != "', "x'] or id in ['", "a, b", "a", "b", " a", "a ", "A", "é", "e\u0301", "None", "true", "id"),
    "long " * 150,
]


def assert_all_are_found(place: str, names: Sequence[str], folder: EmbeddingFolder) -> None:
    """Image i is called by name i, shows scene i, and has label i and the one after it."""
    build_index(folder, place, "flat")
    with open_index(place) as index:
        for row, name in enumerate(names):
            hit, vector = index.find(name)
            assert (hit.id, hit.row, hit.scene) == (name, row, name)
            np.testing.assert_array_equal(vector, np.full(2, row, np.float32))
            with_label = {row, (row - 1) % len(names)}
            listing = index.list_images([name], k=len(names))
            assert {image.row for image in listing.images} == with_label and listing.total == len(with_label)
            assert [hit.row for hit in index.search(np.zeros(2), 1, scene=name)[0]] == [row]
        for other in ("absent", "\x02", "ab"):
            if other not in names:
                with pytest.raises(ConfigurationError):
                    index.find(other)
                with pytest.raises(UnknownNameError):
                    index.list_images([other])


def make(names: Sequence[str], make_embeddings: MakeEmbeddings, folder: str) -> EmbeddingFolder:
    count = len(names)
    vectors = np.repeat(np.arange(count, dtype=np.float32)[:, None], 2, axis=1)
    known = {"label_names": tuple(names), "scene_names": tuple(names), "scenes": list(range(count))}
    labels = [[row, (row + 1) % count] if count > 1 else [row] for row in range(count)]
    return make_embeddings(
        rows=count, dimension=2, name=folder, ids=list(names), vectors=vectors, labels=labels, **known
    )


def test_known_pitfalls(place: str, make_embeddings: MakeEmbeddings) -> None:
    names = list(dict.fromkeys(FIXED))
    random.Random(1).shuffle(names)
    assert_all_are_found(place, names, make(names, make_embeddings, "fixed"))


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_any_names(make_embeddings: MakeEmbeddings, tmp_path: Path, names: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    assert_all_are_found(str(folder / "index"), names, make(names, make_embeddings, f"{folder.name}/embeddings"))
