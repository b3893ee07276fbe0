import math
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
from sklearn.metrics import accuracy_score, average_precision_score, f1_score
from torch import nn

from mlrsnet_hf.evaluation.predictions import Predictions, evaluate, is_better, label_scores, predict
from mlrsnet_hf.inputs.loader import evaluation_loader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing, normalize

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
        pixels = [torch.from_numpy(np.ascontiguousarray(view))[None] for view in views(images.read(row))]
        with torch.no_grad():
            rows.append(torch.stack([model(normalize(view, PREPROCESSING))[0] for view in pixels]).mean(0).numpy())
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
from mlrsnet_hf.evaluation.predictions import predict
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


def drawn(task: Task, images: int = 30) -> Predictions:
    """Return predictions in which the last label never occurs and scene 2 neither."""
    draw = np.random.default_rng(0)
    targets = (draw.random((images, task.label_outputs)) < 0.4).astype(np.float32)
    targets[:, -1:] = 0
    scenes = draw.integers(2, size=images) if task.scene_outputs else None
    logits = draw.normal(size=(images, task.outputs)).astype(np.float32)
    return Predictions(
        targets=targets,
        logits=logits[:, : task.label_outputs] + targets,
        scenes=scenes,
        scene_logits=logits[:, task.label_outputs :] if task.scene_outputs else None,
    )


def test_label_metrics_are_scikit_learns() -> None:
    predictions = drawn(TASK)
    thresholds = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    targets, scores = predictions.targets[:, :4].astype(int), predictions.scores[:, :4]
    for given, used in ((None, np.full(5, 0.5)), (thresholds, thresholds)):
        found = evaluate(predictions, TASK, given)
        assert list(found) == ["sample_f1", "f1_of_means", "map", "micro_f1", "macro_f1"]
        decided = predictions.scores > used
        whole = predictions.targets.astype(int)
        assert found["map"] == pytest.approx(average_precision_score(targets, scores, average="macro"))
        assert found["sample_f1"] == pytest.approx(f1_score(whole, decided, average="samples", zero_division=0))
        assert found["micro_f1"] == pytest.approx(f1_score(whole, decided, average="micro"))
        assert found["macro_f1"] == pytest.approx(f1_score(targets, decided[:, :4], average="macro"))


def test_scene_metrics_are_scikit_learns() -> None:
    predictions = drawn(SCENE)
    assert predictions.scene_logits is not None
    predicted = predictions.scene_logits.argmax(axis=1)
    found = evaluate(predictions, SCENE)
    assert list(found) == ["scene_accuracy", "macro_f1"]
    assert found["scene_accuracy"] == pytest.approx(accuracy_score(predictions.scenes, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(predictions.scenes, predicted, labels=[0, 1], average="macro"))


def test_both_tasks_are_measured() -> None:
    predictions = drawn(BOTH)
    found = evaluate(predictions, BOTH)
    labels = evaluate(Predictions(targets=predictions.targets, logits=predictions.logits), TASK)
    scenes = evaluate(
        Predictions(
            targets=np.zeros((30, 0), np.float32),
            logits=np.zeros((30, 0), np.float32),
            scenes=predictions.scenes,
            scene_logits=predictions.scene_logits,
        ),
        SCENE,
    )
    assert found == labels | {"scene_accuracy": scenes["scene_accuracy"]}


def test_metrics_and_labels_by_hand() -> None:
    # Label a is ranked perfectly, b has its positive at rank 2, c does not occur.
    task = Task(kind="labels", label_names=("a", "b", "c"))
    predictions = Predictions(
        targets=np.array([[1, 0, 0], [0, 1, 0]], np.float32), logits=np.array([[4, 2, -9], [-4, 1, -9]], np.float32)
    )
    # F1 of the first image: predicted a and b, true a: 2/3; of the second: 1.
    # Mean precision (1/2 + 1) / 2, mean recall 1: F1 of means 2 * 3/4 / (7/4) = 6/7.
    # In all 2 hits of 3 predicted and 2 true: 4/5. By label: a 1, b 2/3; c does not occur and is left out.
    assert evaluate(predictions, task) == pytest.approx(
        {"sample_f1": 5 / 6, "f1_of_means": 6 / 7, "map": 0.75, "micro_f1": 4 / 5, "macro_f1": 5 / 6}
    )
    a, b, c = label_scores(predictions, task)
    assert (a.label, a.images, a.average_precision, a.f1, a.threshold) == ("a", 1, 1.0, 1.0, 0.5)
    assert (b.label, b.images, b.average_precision, b.threshold) == ("b", 1, 0.5, 0.5)
    assert b.f1 == pytest.approx(2 / 3)
    assert (c.label, c.images) == ("c", 0)
    assert math.isnan(c.average_precision)
    assert math.isnan(c.f1)
    # Above 0.9 b is predicted for no image: sigmoid(2) = 0.88.
    stricter = label_scores(predictions, task, np.array([0.5, 0.9, 0.5]))[1]
    assert (stricter.f1, stricter.threshold) == (0.0, 0.9)


def test_the_table_of_scenes_by_hand() -> None:
    # Scene s: three images, of which two are found; one t is taken for s; u does not occur.
    task = Task(kind="scene", label_names=(), scene_names=("s", "t", "u"))
    empty = np.zeros((5, 0), np.float32)
    logits = np.array([[3, 0, 0], [2, 0, 0], [0, 1, 0], [1, 0, 0], [0, 5, 0]], np.float32)
    predictions = Predictions(targets=empty, logits=empty, scenes=np.array([0, 0, 0, 1, 1]), scene_logits=logits)
    s, t, u = label_scores(predictions, task)
    assert (s.label, s.images, s.threshold) == ("s", 3, None)
    # 2 hits of 3 predicted and 3 true; 1 of 2 and 2.
    assert (s.f1, t.f1) == pytest.approx((2 / 3, 1 / 2))
    # By softmax s ranks its images 1, 2 and 4: (1 + 1 + 3/4) / 3.
    assert s.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (u.images, math.isnan(u.f1)) == (0, True)


def test_scores_are_sigmoids_even_far_out() -> None:
    predictions = Predictions(
        targets=np.zeros((1, 4), np.float32), logits=np.array([[-1e30, -200.0, 0.0, 200.0]], np.float32)
    )
    assert predictions.scores[0].tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_scene_scores_are_a_softmax_even_far_out() -> None:
    empty = np.zeros((1, 0), np.float32)
    predictions = Predictions(
        targets=empty,
        logits=empty,
        scenes=np.array([0]),
        scene_logits=np.array([[1e30, 0.0], [math.log(3.0), 0.0]], np.float32),
    )
    np.testing.assert_allclose(predictions.scene_scores, [[1, 0], [0.75, 0.25]], rtol=1e-6)


def test_better_follows_the_metrics_direction() -> None:
    assert is_better("map", 0.6, 0.5)
    assert not is_better("map", 0.5, 0.6)
    assert is_better("scene_accuracy", 0.6, 0.5)
    assert is_better("hamming_loss", 0.5, 0.6)
    assert not is_better("map", math.nan, math.nan)
