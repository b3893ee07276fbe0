"""Images of the pictures' splits, and their batches."""

import hashlib
from collections.abc import Callable, Sequence

import pytest
from datasets import Dataset

from mlrsnet_hf.inputs.batches import Batch, ShuffledBatches
from mlrsnet_hf.inputs.loader import make_loader
from mlrsnet_hf.inputs.pixels.augmentation import Augmentation, StoredTransform
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import Task

AUGMENTATION = Augmentation(32, crop_scale=0.5, crop_ratio=4 / 3, symmetries=8, jitter=0.2)


def training_images(split: Dataset, seed: int = 0) -> SplitImages:
    task = Task(kind="labels", label_names=tuple(split.features["labels"].feature.names))
    return SplitImages(split, task, StoredTransform(32), AUGMENTATION, seed)


def read_epoch(images: SplitImages, batches: ShuffledBatches, epoch: int = 1, workers: int = 0) -> list[Batch]:
    batches.epoch = epoch
    loader = make_loader(images, batches, workers)
    try:
        return list(loader)
    finally:
        loader.close()


def step_hashes(parts: Sequence[Sequence[Batch]], accumulation: int = 1) -> list[str]:
    """Return a hash of each step of an epoch that processes shared, its images in order; none may be there twice."""
    steps = []
    for start in range(0, len(parts[0]), accumulation):
        images = []
        for batch in (batch for share in parts for batch in share[start : start + accumulation]):
            parts_of_rows = (batch.pixels, batch.targets, batch.symmetries, batch.color)
            for row, *tensors in zip(batch.rows.tolist(), *parts_of_rows, strict=True):
                images.append(b"%d:" % row + b"".join(tensor.numpy().tobytes() for tensor in tensors))
        assert len(set(images)) == len(images), "a view twice in a step"
        steps.append(hashlib.sha256(b"".join(sorted(images))).hexdigest())
    return steps


@pytest.fixture(scope="session")
def make_images() -> Callable[..., SplitImages]:
    """The function that makes the training images of a split: split, seed."""
    return training_images


@pytest.fixture(scope="session")
def epoch_batches() -> Callable[..., list[Batch]]:
    """The function that reads an epoch: images, batches, epoch, workers."""
    return read_epoch


@pytest.fixture(scope="session")
def hashes() -> Callable[..., list[str]]:
    """The function that hashes each step of an epoch: batches of each process, accumulation."""
    return step_hashes
