"""Fixtures that build a fake release, and the shared data where it is there."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from datasets import Sequence as ListFeature
from PIL import Image

from mlrsnet_hf.inputs.task import ImageData
from mlrsnet_hf.release import recognition
from mlrsnet_hf.taxonomy import LABELS, find_label, find_scene
from mlrsnet_hf.training.config import TrainingConfig
from mlrsnet_hf.training.results import TrainingResult
from mlrsnet_hf.training.train import train
from tests.curation.label_studio_server import PROGRAM_VARIABLE, LabelStudioServer, label_studio_program
from tests.curation.postgresql import PostgreSQL, why_not

CHECKOUT = Path(__file__).parents[1]
SHARED = CHECKOUT.parent / "shared"
PUBLISHED_LABELS = [label.published for label in LABELS]

# No test asserts a time; in CI a failure must be the code's, not the draw's.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")

MakeRelease = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def datasets_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' datasets, and those of the processes they start, out of the user's cache."""
    import datasets

    folder = tmp_path_factory.mktemp("datasets-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        patch.setenv("HF_DATASETS_CACHE", str(folder))
        yield


@pytest.fixture
def shared() -> Path:
    """The folder with real data that stands beside the developers' checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the developers' folder ../shared")
    return SHARED


def jpeg_bytes(color: tuple[int, int, int], size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "JPEG")
    return buffer.getvalue()


def write_label_file(
    path: Path, rows: Mapping[str, Sequence[str]], columns: Sequence[str] = PUBLISHED_LABELS, **writing: str
) -> None:
    """Write a label file by hand: file name -> names of its labels, columns in the order given."""
    with path.open("w", newline="", encoding=writing.get("encoding", "utf-8")) as file:
        writer = csv.writer(file, lineterminator=writing.get("lineterminator", "\n"))
        writer.writerow(["image", *columns])
        for name, labels in rows.items():
            wanted = {find_label(label).published for label in labels}
            writer.writerow([name, *(int(column in wanted) for column in columns)])


@pytest.fixture
def make_release(tmp_path: Path) -> MakeRelease:
    """Return a function that writes a fake release: scene -> number of images, each labeled with `labels`."""

    def make(
        images: Mapping[str, int] | None = None,
        labels: Sequence[str] = ("water", "buildings"),
        root: str = "release",
        folders: tuple[str, str] = ("Images", "Labels"),
    ) -> Path:
        folder = tmp_path / root
        for scene, count in (images or {"beach": 6, "harbor&port": 6, "swimmimg_pool": 6}).items():
            names = [f"{scene}_{i:05d}.jpg" for i in range(1, count + 1)]
            image_folder = folder / folders[0] / scene
            image_folder.mkdir(parents=True)
            for i, name in enumerate(names):
                (image_folder / name).write_bytes(jpeg_bytes((i, find_scene(scene).id, 7)))
            label_folder = folder / folders[1]
            label_folder.mkdir(exist_ok=True)
            write_label_file(label_folder / f"{scene}.csv", dict.fromkeys(names, labels))
        return folder

    return make


@pytest.fixture
def known_as_mlrsnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any copy pass for MLRSNet, so that the labels of fake releases are repaired by default."""
    monkeypatch.setattr(recognition, "LEAST_SHARE", 0)


@pytest.fixture(scope="session")
def python_with_datasets_3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with datasets 3.6 and no torch, which sees nothing of this one.

    MLRSNET_DATASETS_3_PYTHON may name one that is there already.
    """
    given = os.environ.get("MLRSNET_DATASETS_3_PYTHON")
    if given:
        return given
    folder = tmp_path_factory.mktemp("datasets-3.6")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    packages = ["datasets==3.6.*", "jinja2", "pillow", "tyro"]  # of the base install, what is imported
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    made = subprocess.run([str(part) for part in install], capture_output=True, text=True)
    if made.returncode and "CI" not in os.environ:
        pytest.skip(f"datasets 3.6 cannot be installed: {made.stderr[-300:]}")
    assert made.returncode == 0, made.stderr
    return str(python)


MakeConfig = Callable[..., TrainingConfig]

LABELS = ["red", "green", "blue", "striped", "never"]
FEATURES = Features({"id": Value("string"), "image": ImageFeature(), "labels": ListFeature(ClassLabel(names=LABELS))})
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

MakeData = Callable[..., ImageData]


def draw_picture(labels: list[int], seed: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """Return noise with a colored quarter for each of the first three labels, and stripes for the fourth."""
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

    def make(splits: Mapping[str, Dataset], **source: object) -> ImageData:
        return ImageData(
            splits=dict(splits), label_names=tuple(LABELS), scene_names=(), source={"fingerprint": "a", **source}
        )

    return make


@pytest.fixture(scope="session")
def training_data(data: DatasetDict, as_training_data: MakeData) -> ImageData:
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
def run(training_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A finished run of a network that learns the pictures."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    changes = {"epochs": 4, "learning_rate": 3e-3, "ema": 0.0, "trackers": ("tensorboard",), "output_dir": folder}
    return train(TrainingConfig(**QUICK | changes), training_data)


RunProcesses = Callable[[list[dict]], tuple[list[list[int]], str]]


@pytest.fixture(scope="session")
def run_processes() -> RunProcesses:
    """The function that does runs in processes of their own; see doomed_runs.py. Returns exit codes and outcry."""

    def do(runs: list[dict]) -> tuple[list[list[int]], str]:
        script = [sys.executable, str(CHECKOUT / "tests" / "training" / "doomed_runs.py")]
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


@pytest.fixture(scope="module")  # the loop of a longer one would be in the way of tests that run one of their own
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def label_studio_executable() -> str:
    """The program that starts a Label Studio server."""
    program = label_studio_program()
    if program is None:
        pytest.skip(f"needs the program label-studio, on the path or named by {PROGRAM_VARIABLE}: see CONTRIBUTING.md")
    return program


@pytest.fixture(scope="session")
def label_studio(label_studio_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """A Label Studio server that runs, on SQLite; whoever kills it starts it again."""
    server = LabelStudioServer(label_studio_executable, tmp_path_factory.mktemp("label-studio"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def label_studio_postgresql(
    label_studio_executable: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabelStudioServer]:
    """A Label Studio server that runs, on a PostgreSQL cluster of its own; whoever kills it starts it again."""
    if reason := why_not():
        pytest.skip(reason)
    database = PostgreSQL()
    folder = tmp_path_factory.mktemp("label-studio-postgresql")
    server = LabelStudioServer(label_studio_executable, folder, database.environment)
    try:
        database.start()
        server.start()
        yield server
    finally:
        server.kill()
        database.remove()


@pytest.fixture(params=["label_studio", "label_studio_postgresql"])
def any_label_studio(request: pytest.FixtureRequest) -> LabelStudioServer:
    """A server on SQLite, and one on PostgreSQL."""
    server: LabelStudioServer = request.getfixturevalue(request.param)
    return server
