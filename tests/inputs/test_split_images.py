import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets

from mlrsnet_hf.errors import ImageError
from mlrsnet_hf.inputs.pixels.augmentation import StoredTransform
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.inputs.split_images import SplitImages, multi_hot
from mlrsnet_hf.inputs.task import Task
from mlrsnet_hf.models.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(
    image_size=32, crop_pct=1.0, crop_mode="center", interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
)


def whole(pixels: np.ndarray) -> np.ndarray:
    return pixels


def test_targets_and_scenes_are_those_of_the_rows(data: DatasetDict) -> None:
    labels = data["train"].features["labels"].feature.names
    split = data["train"].add_column("scene", [row % 3 for row in range(32)])
    task = Task(kind="labels+scene", label_names=tuple(labels), scene_names=("a", "b", "c"))
    images = SplitImages(split, task, StoredTransform(48))
    batch = images.batch([images[(0, row)] for row in (1, 4, 31)])
    assert images.ids == split["id"][:]
    assert batch.rows.tolist() == [1, 4, 31]
    assert batch.scenes.tolist() == [1, 1, 1]
    assert batch.color is None
    assert [target.nonzero().flatten().tolist() for target in batch.targets] == split[[1, 4, 31]]["labels"]
    alone = SplitImages(split, Task(kind="scene", label_names=(), scene_names=("a", "b", "c")), whole)
    assert alone.targets.shape == (32, 0)
    assert torch.equal(alone.scenes, images.scenes)
    assert [np.flatnonzero(row).tolist() for row in images.present] == split["labels"][:]
    assert [np.flatnonzero(row).tolist() for row in alone.present] == [[row % 3] for row in range(32)]


def test_targets_that_are_not_known(data: DatasetDict) -> None:
    task = Task(kind="labels", label_names=tuple("abcde"))
    split = data["train"].add_column("unknown_labels", [[row % 5] if row < 16 else [] for row in range(32)])
    images, known = SplitImages(split, task, whole), SplitImages(data["train"], task, whole)
    unknown = torch.zeros(32, 5, dtype=torch.bool)
    unknown[range(16), [row % 5 for row in range(16)]] = True
    assert torch.equal(images.targets.isnan(), unknown)
    assert torch.equal(images.targets[~unknown], known.targets[~unknown])
    assert (images.present == (known.present & ~unknown.numpy())).all()
    assert (images.known_share, known.known_share) == (0.9, 1.0)
    assert images.batch([images[(0, 3)]]).targets.isnan().nonzero().tolist() == [[0, 3]]
    scenes = SplitImages(
        split.add_column("scene", [0] * 32), Task(kind="scene", label_names=(), scene_names=("s",)), whole
    )
    assert scenes.known_share == 1.0


@pytest.mark.parametrize("arrange", ["as it is", "shuffled", "selected", "in chunks", "chunks shuffled"])
def test_rows_are_those_of_the_dataset_however_it_lies(data: DatasetDict, arrange: str) -> None:
    split: Dataset = data["train"]
    if "chunks" in arrange:
        split = concatenate_datasets([data["train"], data["test"], data["validation"]])
    if "shuffled" in arrange:
        split = split.shuffle(seed=1)
    if "selected" in arrange:
        split = split.select([7, 3, 30])
    images = SplitImages(split, Task(kind="labels", label_names=tuple("abcde")), whole)
    assert len(images) == len(split)
    for row in range(len(split)):
        assert np.array_equal(images.decode(row), np.asarray(split[row]["image"]))


def test_files_travel_to_processes_that_are_not_forked(data: DatasetDict, make_images: Callable) -> None:
    task = Task(kind="labels", label_names=tuple("abcde"))
    evaluation = SplitImages(data["train"], task, PREPROCESSING.evaluation_transform())
    for images in (make_images(data["train"]), evaluation):
        arrived = pickle.loads(pickle.dumps(images))
        assert np.array_equal(arrived[(1, 2)].pixels, images[(1, 2)].pixels)


def test_batches_of_workers_lie_in_shared_memory(
    data: DatasetDict, make_images: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images(data["train"])
    draws = [(1, 0), (1, 3)]
    alone = images.__getitems__(draws)
    assert not alone.pixels.is_shared()
    # What a process of a `DataLoader` is told.
    monkeypatch.setattr("mlrsnet_hf.inputs.split_images.get_worker_info", object)
    shared = images.__getitems__(draws)
    assert shared.pixels.is_shared()
    assert torch.equal(shared.pixels, alone.pixels)
    assert torch.equal(alone.pixels, images.batch([images[draw] for draw in draws]).pixels)


def test_a_row_without_an_image_is_named(data: DatasetDict) -> None:
    rows = {"id": ["here", "gone"], "image": [data["train"][0]["image"], None], "labels": [[0], [1]]}
    split = Dataset.from_dict(rows, features=data["train"].features)
    images = SplitImages(split, Task(kind="labels", label_names=tuple("abcde")), whole)
    with pytest.raises(ImageError, match="'gone'"):
        images[(0, 1)]


def test_images_by_path_and_without_ids(data: DatasetDict, tmp_path: Path, picture: Callable) -> None:
    picture([0], seed=1).save(tmp_path / "a.png")
    features = data["train"].features.copy()
    del features["id"]
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    split = Dataset.from_dict({"image": paths, "labels": [[0], [1]]}, features=features)
    images = SplitImages(split, Task(kind="labels", label_names=tuple("abcde")), whole)
    assert ImageFiles(split)[0] == {"bytes": None, "path": paths[0]}
    assert np.array_equal(images.decode(0), np.asarray(picture([0], seed=1)))
    with pytest.raises(ImageError, match=r"'row 1' .*b\.png"):
        images.decode(1)


def test_an_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("found", "remedy")))
    assert (error.found, error.remedy) == ("found", "remedy")


def test_multi_hot() -> None:
    # Two labels, none, one: the rows by hand.
    expected = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert np.array_equal(multi_hot([[0, 2], [], [1]], 3), expected)
