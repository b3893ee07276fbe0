import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from datasets import Dataset, DatasetDict
from torch import nn

from mlrsnet_hf.evaluation.predict import predict
from mlrsnet_hf.evaluation.scores import Predictions
from mlrsnet_hf.inputs.loader import evaluation_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing, normalize_pixels

LABELS = ("red", "green", "blue", "striped", "never")
TASK = Task(kind="labels", label_names=LABELS)
BOTH = Task(kind="labels+scene", label_names=LABELS, scene_names=("s", "t", "u"))
SCENE = Task(kind="scene", label_names=LABELS, scene_names=("s", "t", "u"))
PREPROCESSING = Preprocessing(
    image_size=32, crop_pct=1.0, crop_mode="center", interpolation="bilinear", mean=(0.5,) * 3, std=(0.4, 0.5, 0.6)
)


def network(outputs: int, name: str = "test_resnet") -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=outputs).eval()


def images_of(split: Dataset, task: Task) -> SplitImages:
    if task.scene_outputs:
        split = split.add_column("scene", [row % 3 for row in range(len(split))])
    return SplitImages(split, task, PREPROCESSING.evaluation_transform())


def predictions_of(split: Dataset, task: Task, batch_size: int = 4, symmetries: int = 1, **more: str) -> Predictions:
    accelerator = Accelerator(cpu=True, **more)
    loader = evaluation_loader(images_of(split, task), batch_size, 0, accelerator)
    return predict(network(task.outputs), loader, PREPROCESSING, accelerator, symmetries=symmetries)


def one_by_one(split: Dataset, task: Task, views: Callable[[np.ndarray], list[np.ndarray]]) -> np.ndarray:
    """Return the mean logits over an image's views by a plain loop, one view at a time."""
    model, images = network(task.outputs), images_of(split, task)
    rows = []
    for row in range(len(images)):
        pixels = [torch.from_numpy(np.ascontiguousarray(view))[None] for view in views(images.decode(row))]
        with torch.no_grad():
            logits = [model(normalize_pixels(view, PREPROCESSING))[0] for view in pixels]
            rows.append(torch.stack(logits).mean(0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("batch_size", [1, 4, 13, 100])
def test_rows_stand_in_the_splits_order(data: DatasetDict, batch_size: int) -> None:
    predictions = predictions_of(data["test"], TASK, batch_size)
    np.testing.assert_allclose(predictions.logits, one_by_one(data["test"], TASK, lambda image: [image]), atol=1e-5)
    assert [np.flatnonzero(row).tolist() for row in predictions.targets] == data["test"]["labels"][:]
    assert predictions.scenes is predictions.scene_logits is None


@pytest.mark.parametrize("task", [BOTH, SCENE], ids=lambda task: task.kind)
def test_scenes_follow_the_labels(data: DatasetDict, task: Task) -> None:
    predictions = predictions_of(data["test"], task)
    whole = one_by_one(data["test"], task, lambda image: [image])
    assert predictions.scenes is not None
    assert predictions.scene_logits is not None
    np.testing.assert_allclose(np.hstack([predictions.logits, predictions.scene_logits]), whole, atol=1e-5)
    assert predictions.scenes.tolist() == [row % 3 for row in range(13)]
    assert predictions.targets.shape == predictions.logits.shape == (13, task.label_outputs)


VIEWS = {
    2: lambda image: [image, image[:, ::-1]],
    4: lambda image: [image, image[:, ::-1], image[::-1], image[::-1, ::-1]],
    8: lambda image: [np.rot90(mirrored, turns) for mirrored in (image, image[:, ::-1]) for turns in range(4)],
}


@pytest.mark.parametrize("symmetries", VIEWS)
def test_symmetries_are_averaged_as_by_a_loop_over_them(data: DatasetDict, symmetries: int) -> None:
    split = data["test"].select(range(5))
    predictions = predictions_of(split, TASK, symmetries=symmetries)
    np.testing.assert_allclose(predictions.logits, one_by_one(split, TASK, VIEWS[symmetries]), atol=1e-5)


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps one precision for a whole process."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.mark.usefixtures("fresh_accelerate")
def test_mixed_precision_reaches_a_model_that_is_not_wrapped(data: DatasetDict) -> None:
    plain = one_by_one(data["test"], TASK, lambda image: [image])
    mixed = predictions_of(data["test"], TASK, mixed_precision="bf16")
    assert mixed.logits.dtype == np.float32
    difference = np.abs(mixed.logits - plain).max()
    # bfloat16 has 8 bits of mantissa: the values differ, but not by much.
    assert 0 < difference < 0.05 * np.abs(plain).max()


PROCESS = """
import sys

import numpy as np
import timm
import torch
from accelerate import Accelerator
from datasets import load_from_disk

from mlrsnet_hf.inputs.loader import evaluation_loader
from mlrsnet_hf.evaluation.predict import predict
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.inputs.task import Task

folder, labels = sys.argv[1], tuple(sys.argv[2:])
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
torch.set_num_threads(1)
torch.manual_seed(0)
model = timm.create_model("test_resnet", num_classes=len(labels)).eval()
preprocessing = Preprocessing(
    image_size=32, crop_pct=1.0, crop_mode="center", interpolation="bilinear", mean=(0.5,) * 3, std=(0.4, 0.5, 0.6)
)
split = load_from_disk(folder)
for rows in (13, 1):
    images = SplitImages(
        split.select(range(rows)), Task(kind="labels", label_names=labels), preprocessing.evaluation_transform()
    )
    loader = evaluation_loader(images, 4, 0, accelerator)
    logits = predict(model, loader, preprocessing, accelerator).logits
    np.save(f"{folder}/{rows}_of_{accelerator.process_index}.npy", logits)
accelerator.end_training()
"""


@pytest.mark.slow
def test_two_processes_find_what_one_finds(data: DatasetDict, tmp_path: Path) -> None:
    data["test"].save_to_disk(tmp_path / "split")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / "split"), *LABELS],
            env={**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank, "ACCELERATE_USE_CPU": "true"},
        )
        for rank in ("0", "1")
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    # 13 images: one process has one more than the other; a single image: one process has none at all.
    for rows in (13, 1):
        alone = predictions_of(data["test"].select(range(rows)), TASK).logits
        for rank in (0, 1):
            np.testing.assert_allclose(np.load(tmp_path / "split" / f"{rows}_of_{rank}.npy"), alone, atol=1e-6)
