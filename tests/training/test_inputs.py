import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from mlrsnet_hf.errors import ConfigurationError, ImageError
from mlrsnet_hf.training.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.training.inputs import (
    Batch,
    ShuffledBatches,
    SplitImages,
    make_loader,
    multi_hot,
    ordered_batches,
    read_batches,
)
from mlrsnet_hf.training.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(
    image_size=32, crop_pct=1.0, crop_mode="center", interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
)


def training_images(split: Dataset, seed: int = 0) -> SplitImages:
    names = split.features["labels"].feature.names
    return SplitImages(split, names, StoredTransform(PREPROCESSING.image_size), Augmentation(32, 0.5), seed)


def one_epoch(images: SplitImages, epoch: int = 1, workers: int = 0, seed: int = 0) -> list[Batch]:
    batches = ShuffledBatches(len(images), batch_size=8, seed=seed)
    batches.epoch = epoch
    return list(read_batches(make_loader(images, batches, workers)))


def same(left: Sequence[Batch], right: Sequence[Batch]) -> bool:
    return all(
        torch.equal(a.rows, b.rows) and torch.equal(a.pixels, b.pixels) and torch.equal(a.targets, b.targets)
        for a, b in zip(left, right, strict=True)
    )


def test_batches_do_not_depend_on_workers_or_cache(data: DatasetDict) -> None:
    images = training_images(data["train"])
    expected = one_epoch(images)
    assert same(expected, one_epoch(images, workers=2))
    assert images.cache(megabytes=10, progress=False)
    assert same(expected, one_epoch(images))
    assert same(expected, one_epoch(images, workers=2))


def test_epoch_and_seed_change_order_and_pictures(data: DatasetDict) -> None:
    images = training_images(data["train"])
    first = one_epoch(images, epoch=1)
    assert not same(first, one_epoch(images, epoch=2))
    assert not same(first, one_epoch(images, seed=1))
    again = images[(1, 0)]
    assert np.array_equal(images[(1, 0)][1], again[1])
    assert not np.array_equal(images[(2, 0)][1], again[1])
    assert not np.array_equal(training_images(data["train"], seed=1)[(1, 0)][1], again[1])


def test_pixels_stay_bytes_and_targets_are_the_labels(data: DatasetDict) -> None:
    batch = one_epoch(training_images(data["train"]))[0]
    assert batch.pixels.shape == (8, 32, 32, 3)
    assert batch.pixels.dtype == torch.uint8
    for row, target in zip(batch.rows.tolist(), batch.targets, strict=True):
        assert target.nonzero().flatten().tolist() == data["train"][row]["labels"]


def test_no_cache_beyond_the_allowance(data: DatasetDict) -> None:
    images = training_images(data["train"])
    assert not images.cache(megabytes=0, progress=False)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named_from_any_worker(data: DatasetDict, damaged: Callable, workers: int) -> None:
    images = training_images(damaged(data["train"], 5))
    with pytest.raises(ImageError, match="image 'train_005' cannot be read"):
        one_epoch(images, workers=workers)


def test_an_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("found", "remedy")))
    assert (error.found, error.remedy) == ("found", "remedy")


@pytest.mark.parametrize(("rows", "batch_size", "processes"), [(32, 8, 1), (33, 8, 2), (50, 12, 4), (5, 8, 2)])
def test_processes_share_the_batches_of_one(rows: int, batch_size: int, processes: int) -> None:
    whole = ShuffledBatches(rows, batch_size, seed=3)
    shares = [ShuffledBatches(rows, batch_size, 3, process, processes) for process in range(processes)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len({len(part) for part in parts}) == 1
        joined = [draw for part in parts for draw in part]
        assert len(set(joined)) == len(joined), "a row twice in one batch"
        if rows >= batch_size:
            assert sorted(joined) == sorted(batch)


def test_an_epoch_holds_no_row_twice() -> None:
    batches = ShuffledBatches(35, 8, seed=0)
    rows = [row for batch in batches for _, row in batch]
    assert len(rows) == len(set(rows)) == 32
    assert len(batches) == 4


def test_a_batch_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="batch_size=9 cannot be split over 2 processes"):
        ShuffledBatches(100, 9, seed=0, processes=2)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 13, 64])
def test_evaluation_covers_each_row_once(rows: int, processes: int) -> None:
    shares = [ordered_batches(rows, 4, process, processes) for process in range(processes)]
    found = [row for share in shares for batch in share for _, row in batch]
    assert sorted(found) == list(range(rows))


def test_multi_hot() -> None:
    # Two labels, none, one: the rows by hand.
    expected = [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert np.array_equal(multi_hot([[0, 2], [], [1]], 3), expected)


def test_images_travel_to_processes_that_are_not_forked(data: DatasetDict) -> None:
    split = data["train"]
    names = split.features["labels"].feature.names
    for images in (training_images(split), SplitImages(split, names, PREPROCESSING.evaluation_transform())):
        arrived = pickle.loads(pickle.dumps(images))
        assert np.array_equal(arrived[(1, 2)][1], images[(1, 2)][1])
