"""Small pictures, a saved model of random weights, and embeddings made of numbers."""

from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import model_preprocessing
from mlrsnet_hf.models.saved_model import save_model
from mlrsnet_hf.retrieval.embeddings.files import (
    DATA,
    EmbeddingFolder,
    EmbeddingRows,
    open_embeddings,
    write_json,
    write_rows,
)
from mlrsnet_hf.retrieval.embeddings.info import INFO_FILE, EmbeddingInfo
from mlrsnet_hf.runtime.shards import plan_shards

LABELS = ("water", "ships", "trees", "sand")
SCENES = ("beach", "forest", "harbor")
IMAGES = 22
SIDE = 32

MakeEmbeddings = Callable[..., EmbeddingFolder]
SquaredDistances = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noise, in two folders below it, one file in capitals and one that is no image."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(IMAGES):
        path = folder / ("a" if number % 2 else "b/c") / f"{number:02d}{'.PNG' if number == 3 else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def dataset(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures as a dataset with ids, labels and scenes; 22 rows in the split `test`."""
    folder = tmp_path_factory.mktemp("dataset")
    paths = sorted(path for path in pictures.rglob("*") if path.suffix.lower() == ".png")
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "image": datasets.Image(),
            "labels": datasets.Sequence(datasets.ClassLabel(names=list(LABELS))),
            "scene": datasets.ClassLabel(names=list(SCENES)),
        }
    )
    rows = {
        "id": [f"image_{path.stem}" for path in paths],
        "image": [{"bytes": path.read_bytes(), "path": None} for path in paths],
        "labels": [[label for label in range(4) if i >> label & 1] for i in range(len(paths))],
        "scene": [i % 3 for i in range(len(paths))],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights with an output for each label, as a run saves it."""
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=len(LABELS)).eval()
    folder = tmp_path_factory.mktemp("run") / "model"
    save_model(model, folder, model_preprocessing(model, SIDE, 1.0), Task(kind="labels", label_names=LABELS))
    return folder.parent


@pytest.fixture
def make_embeddings(tmp_path: Path) -> MakeEmbeddings:
    """Return a function that writes an embeddings folder of random numbers, without a network."""

    def make(
        rows: int = 60, dimension: int = 8, shard: int = 25, name: str = "numbers", seed: int = 0, **changes: object
    ) -> EmbeddingFolder:
        draw = np.random.default_rng(seed)
        vectors = changes.pop("vectors", draw.normal(size=(rows, dimension)).astype(np.float32))
        given = {column: changes.pop(column, None) for column in ("labels", "scenes")}
        ids = changes.pop("ids", [f"image_{i:03d}" for i in range(rows)])
        known = {
            "model": "net",
            "architecture": "test_resnet",
            "model_fingerprint": "f" * 64,
            "layer": "pre_logits",
            "dtype": "float32",
            "normalized": False,
            "dataset": {"name": "made up", "split": "test"},
            "dataset_fingerprint": "0",
            "label_names": LABELS,
            "scene_names": SCENES,
        }
        info = EmbeddingInfo(**known | {"rows": rows, "dimension": dimension} | changes)
        folder = tmp_path / name
        (folder / DATA).mkdir(parents=True)
        labels = given.pop("labels") or [[label for label in range(4) if draw.random() < 0.4] for _ in range(rows)]
        scenes = given.pop("scenes")
        scenes = draw.integers(0, len(SCENES), rows) if scenes is None else np.array(scenes)
        for part in plan_shards(info.split_name, rows, shard):
            of_part = slice(part.rows.start, part.rows.stop)
            rows_of_part = EmbeddingRows(ids[of_part], vectors[of_part], scenes[of_part], labels[of_part])
            write_rows(rows_of_part, info, folder / DATA / part.name)
        write_json(folder / INFO_FILE, info.to_json())
        return open_embeddings(folder)

    return make


@pytest.fixture
def squared_distances() -> SquaredDistances:
    """(Q, N) squared distances in float64, by differences: no cancellation."""

    def measure(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.stack([((items.astype(float) - query.astype(float)) ** 2).sum(axis=1) for query in queries])

    return measure
