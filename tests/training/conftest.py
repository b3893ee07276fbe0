"""Small pictures whose labels can be seen in them, settings of a run that takes a second, and one finished run."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.training import TrainingConfig, TrainingResult, train
from mlrsnet_hf.training.task import TrainingData

MakeConfig = Callable[..., TrainingConfig]

LABELS = ["red", "green", "blue", "striped", "never"]
FEATURES = Features({"id": Value("string"), "image": ImageFeature(), "labels": Sequence(ClassLabel(names=LABELS))})
QUICK = {
    "model": "test_resnet",
    "weights": "random",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 8,
    "eval_batch_size": 4,
    "log_every": 2,
    "cpu_threads": 1,
    "trackers": (),
}

MakeData = Callable[..., TrainingData]


def draw_picture(labels: list[int], seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """Return noise with a coloured quarter for each of the first three labels, and stripes for the fourth."""
    draw = np.random.default_rng(seed)
    width, height = size
    pixels = draw.integers(60, 120, (height, width, 3))
    for label in labels:
        if label < 3:
            top, left = draw.integers(0, height // 2), draw.integers(0, width // 2)
            pixels[top : top + height // 2, left : left + width // 2, label] = 240
        elif label == 3:
            pixels[::4] = 0
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def make_split(name: str, images: int, seed: int) -> Dataset:
    draw = np.random.default_rng(seed)
    rows: dict[str, list] = {"id": [], "image": [], "labels": []}
    for number in range(images):
        labels = np.flatnonzero(draw.random(4) < 0.4).tolist()
        size = (48, 48) if number % 3 else (70, 50)
        rows["id"].append(f"{name}_{number:03d}")
        rows["image"].append({"bytes": encode(draw_picture(labels, seed * 1000 + number, size)), "path": None})
        rows["labels"].append(labels)
    return Dataset.from_dict(rows, features=FEATURES)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Networks this small lose more time waiting for a second thread than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    """The function that draws a picture: labels, seed, size."""
    return draw_picture


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """The function that gives an image's file: image, format."""
    return encode


@pytest.fixture(scope="session")
def data() -> DatasetDict:
    """32 images to train on, 11 to validate and 13 to test, two sizes, a label that never occurs."""
    return DatasetDict(
        train=make_split("train", 32, 1), validation=make_split("validation", 11, 2), test=make_split("test", 13, 3)
    )


@pytest.fixture(scope="session")
def as_training_data() -> MakeData:
    """The function that makes the trainer's data of splits."""

    def make(splits: Mapping[str, Dataset], **source: object) -> TrainingData:
        return TrainingData(
            splits=dict(splits), label_names=tuple(LABELS), scene_names=(), source={"fingerprint": "a", **source}
        )

    return make


@pytest.fixture(scope="session")
def training_data(data: DatasetDict, as_training_data: MakeData) -> TrainingData:
    """The pictures as the trainer takes them."""
    return as_training_data(data)


def damage(split: Dataset, position: int) -> Dataset:
    """Return the split with one image file cut short."""
    rows = split.cast_column("image", ImageFeature(decode=False)).to_list()
    rows[position]["image"]["bytes"] = rows[position]["image"]["bytes"][:60]
    return Dataset.from_list(rows, features=split.features)


@pytest.fixture(scope="session")
def damaged() -> Callable[[Dataset, int], Dataset]:
    """The function that cuts one image file of a split short."""
    return damage


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """Return a function that makes settings of a run that takes a second."""

    def make(**changes: object) -> TrainingConfig:
        return TrainingConfig(**QUICK | {"output_dir": tmp_path / "run"} | changes)

    return make


@pytest.fixture(scope="session")
def run(training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A finished run of a network that learns the pictures."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    changes = {"epochs": 4, "learning_rate": 3e-3, "ema": 0.0, "trackers": ("tensorboard",), "output_dir": folder}
    return train(TrainingConfig(**QUICK | changes), training_data)


RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]


@pytest.fixture(scope="session")
def run_processes() -> RunProcesses:
    """The function that does runs in processes of their own; see doomed_runs.py. Returns exit codes and outcry."""

    def do(runs: list[dict]) -> tuple[list[list[int]], str]:
        script = [sys.executable, str(Path(__file__).with_name("doomed_runs.py"))]
        done = subprocess.run(script, input=json.dumps(runs), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return do


@pytest.fixture(scope="session")
def saved_data(data: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures in a folder, one saved dataset per split."""
    folder = tmp_path_factory.mktemp("saved") / "pictures"
    for name, split in data.items():
        split.save_to_disk(str(folder / name))
    return folder
