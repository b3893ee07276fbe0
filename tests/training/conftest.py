"""Small pictures whose labels can be seen in them, settings of a run that takes a second, and one finished run."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from datasets import Image as ImageFeature
from PIL import Image

from mlrsnet_hf.training import TrainingConfig, TrainingResult, train

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
}


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
def run(data: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A finished run of a network that learns the pictures."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return train(TrainingConfig(**QUICK | {"epochs": 4, "learning_rate": 3e-3, "output_dir": folder}), data)
