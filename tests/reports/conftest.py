"""Embeddings folders made of numbers, and retrieval measured by brute force in float64."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mlrsnet_hf.retrieval.embeddings.files import DATA, EmbeddingRows, write_json, write_rows
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.runtime.shards import plan_shards

WriteEmbeddings = Callable[..., Path]
LABELS = ("water", "ships", "trees", "sand")
SCENES = ("airplane", "beach", "stadium")


@pytest.fixture(scope="session")
def write_embeddings() -> WriteEmbeddings:
    """Return a function that writes an embeddings folder."""

    def write(
        where: Path,
        name: str,
        vectors: np.ndarray,
        scenes: Sequence[int],
        labels: Sequence[list[int]],
        **changes: object,
    ) -> Path:
        ids = changes.pop("ids", [f"{name}_{row:03d}" for row in range(len(vectors))])
        known = {
            "model": "net",
            "architecture": "densenet201",
            "model_fingerprint": "f" * 64,
            "layer": "pre_logits",
            "dtype": "float32",
            "normalized": False,
            "dataset": {"name": "made up", "split": name},
            "dataset_fingerprint": "0" * 64,
            "label_names": LABELS,
            "scene_names": SCENES,
        }
        info = EmbeddingInfo(**known | {"rows": len(vectors), "dimension": vectors.shape[1]} | changes)
        folder = where / f"embeddings-{name}-{info.model}"
        (folder / DATA).mkdir(parents=True)
        rows = EmbeddingRows(ids, vectors.astype(np.float32), np.array(scenes), list(labels))
        [shard] = plan_shards(info.split_name, info.rows, info.rows)
        write_rows(rows, info, folder / DATA / shard.name)
        write_json(folder / INFO_FILE, info.to_json())
        return folder

    return write
