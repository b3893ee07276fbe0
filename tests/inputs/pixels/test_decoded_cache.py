import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.pixels.augmentation import StoredTransform
from mlrsnet_hf.inputs.pixels.decoded_cache import decode_to_disk
from mlrsnet_hf.inputs.pixels.decoding import ImageFiles
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task

TASK = Task(kind="labels", label_names=tuple("abcde"))


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_batches_do_not_depend_on_the_cache(
    mode: str, data: DatasetDict, tmp_path: Path, make_images: Callable, epoch_batches: Callable, hashes: Callable
) -> None:
    images, batches = make_images(data["train"]), ShuffledBatches(32, 8, 0)
    expected = hashes([epoch_batches(images, batches)])
    assert images.cache(mode, 10, tmp_path)
    images.files = None  # what is cached is not read again
    assert hashes([epoch_batches(images, batches)]) == expected


def test_images_of_different_sizes_come_back_whole(data: DatasetDict, tmp_path: Path) -> None:
    images = SplitImages(data["train"], TASK, StoredTransform(64))
    expected = [np.asarray(row["image"]) for row in data["train"]]
    assert len({image.shape for image in expected}) == 2
    assert images.cache("disk", 10, tmp_path)
    arrived = pickle.loads(pickle.dumps(images))
    for row, image in enumerate(expected):
        assert np.array_equal(images[(0, row)].pixels, image)
        assert np.array_equal(arrived[(0, row)].pixels, image)


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_no_cache_beyond_the_allowance(
    mode: str, data: DatasetDict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = SplitImages(data["train"], TASK, StoredTransform(64))
    assert not images.cache(mode, 0, tmp_path)
    told = capsys.readouterr().out
    assert "32 decoded images" in told
    assert "cache_megabytes=0" in told
    assert images[(0, 0)].pixels.shape == (50, 70, 3)
    assert not images.cache("off", 100, tmp_path)


def failing(row: int) -> np.ndarray:
    raise AssertionError("decoded again")


def test_a_file_serves_later_runs_and_no_other_images(data: DatasetDict, tmp_path: Path) -> None:
    def cached(split: str, kind: str, read: Callable = failing) -> None:
        decode_to_disk(read, ImageFiles(data[split]), kind, tmp_path, 10)

    def black(row: int) -> np.ndarray:
        return np.zeros((4, 5, 3), np.uint8)

    cached("train", "kind", black)
    cached("train", "kind")
    for split, kind in [("test", "kind"), ("train", "other kind")]:
        with pytest.raises(AssertionError, match="decoded again"):
            cached(split, kind)


def test_changed_order_or_file_is_noticed(tmp_path: Path, data: DatasetDict, picture: Callable) -> None:
    path = tmp_path / "a.png"
    picture([0], seed=1).save(path)
    split = data["train"].select([0, 1, 2])
    paths = split.remove_columns("image").add_column("image", [{"bytes": None, "path": str(path)}] * 3)
    folders = []
    for changed in (split, split.select([1, 0, 2]), paths, paths):
        SplitImages(changed, TASK, StoredTransform(64)).cache("disk", 10, tmp_path / "decoded")
        folders.append(len([folder for folder in (tmp_path / "decoded").iterdir() if folder.is_dir()]))
    assert folders == [1, 2, 3, 3]
    picture([1, 2], seed=2, size=(40, 40)).save(path)
    images = SplitImages(paths, TASK, StoredTransform(64))
    assert images.cache("disk", 10, tmp_path / "decoded")
    assert np.array_equal(images[(0, 0)].pixels, np.asarray(picture([1, 2], seed=2, size=(40, 40))))


@pytest.mark.parametrize("damage", ["cut", "no sizes", "empty sizes", "empty"])
def test_a_damaged_file_is_made_anew(damage: str, data: DatasetDict, tmp_path: Path) -> None:
    images = SplitImages(data["test"], TASK, StoredTransform(64))
    images.cache("disk", 10, tmp_path)
    expected = images[(0, 12)].pixels.copy()
    (folder,) = (folder for folder in tmp_path.iterdir() if folder.is_dir())
    pixels = folder / "pixels.bin"
    if damage == "no sizes":
        (folder / "sizes.npy").unlink()
    elif damage == "empty sizes":
        (folder / "sizes.npy").write_bytes(b"")
    else:
        pixels.write_bytes(pixels.read_bytes()[:-1] if damage == "cut" else b"")
    again = SplitImages(data["test"], TASK, StoredTransform(64))
    assert again.cache("disk", 10, tmp_path)
    assert np.array_equal(again[(0, 12)].pixels, expected)


def test_several_at_once_make_one_file(data: DatasetDict, tmp_path: Path) -> None:
    read_rows = []

    def read(row: int) -> np.ndarray:
        read_rows.append(row)
        return np.full((4, 4, 3), row, np.uint8)

    def cached(_: int) -> np.ndarray:
        return decode_to_disk(read, ImageFiles(data["train"]), "kind", tmp_path, 10)[7]

    with ThreadPoolExecutor(3) as pool:
        assert all((image == 7).all() for image in pool.map(cached, range(3)))
    # The 16 that tell how much room is needed, then all.
    assert len(read_rows) == 16 + 32


def test_a_damaged_image_leaves_nothing_behind(data: DatasetDict, damaged: Callable, tmp_path: Path) -> None:
    images = SplitImages(damaged(data["train"], 5), TASK, StoredTransform(64))
    with pytest.raises(ImageError, match="train_005"):
        images.cache("disk", 10, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_that_cannot_be_made_is_refused(data: DatasetDict, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=str(tmp_path / "file")):
        SplitImages(data["test"], TASK, StoredTransform(64)).cache("disk", 10, tmp_path / "file")
