from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from mlrsnet_hf.errors import OutOfMemoryError
from mlrsnet_hf.inputs.loader import ThreadedLoader
from mlrsnet_hf.inputs.split_images import SplitImages
from mlrsnet_hf.inputs.task import ImageData, make_task
from mlrsnet_hf.models.preprocessing import Preprocessing
from mlrsnet_hf.training.components import Loaders, batch_text, make_loaders

PREPROCESSING = Preprocessing(
    image_size=32, crop_pct=1.0, crop_mode="center", interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
)

MakeLoaders = Callable[..., Loaders]


@pytest.fixture
def loaders(training_data: ImageData, make_config: Callable, tmp_path: Path) -> MakeLoaders:
    """The function that opens the pictures with changed settings, the run's own cache in `decoded`."""

    def make(**changes: object) -> Loaders:
        config = make_config(**changes)
        task = make_task(training_data, config.scene_head, config.single_label)
        return make_loaders(config, training_data, task, PREPROCESSING, 32, Accelerator(cpu=True), tmp_path / "decoded")

    return make


def decoded_splits(folder: Path) -> int:
    return len(list(folder.glob("*/pixels.bin")))


def test_processes_of_a_machine_share_one_copy(
    loaders: MakeLoaders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = loaders()
    assert decoded_splits(tmp_path / "decoded") == 0
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    shared = loaders()
    assert decoded_splits(tmp_path / "decoded") == 2  # train and validation
    for one, other in zip(alone.train, shared.train, strict=True):
        assert torch.equal(one.pixels, other.pixels)


def test_a_cache_of_another_place_serves_later_runs(
    loaders: MakeLoaders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaders(cache="disk", cache_dir=tmp_path / "kept")
    assert decoded_splits(tmp_path / "kept") == 2
    assert not (tmp_path / "decoded").exists()
    monkeypatch.setattr(SplitImages, "decode", None)
    loaders(cache="disk", cache_dir=tmp_path / "kept", output_dir=tmp_path / "later")


def test_images_that_do_not_fit_into_memory_are_explained(
    loaders: MakeLoaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(images: SplitImages, row: int) -> None:
        raise MemoryError

    monkeypatch.setattr(SplitImages, "decode", exhausted)
    with pytest.raises(OutOfMemoryError, match=r"reading the images.*cache_megabytes"):
        loaders()


def test_the_cpu_is_fed_as_the_cpu_though_a_gpu_is_there(loaders: MakeLoaders, monkeypatch: pytest.MonkeyPatch) -> None:
    Accelerator(cpu=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    loader = loaders().evaluation["test"]
    assert isinstance(loader, ThreadedLoader)
    assert not loader.pin


def test_the_product_of_a_batch() -> None:
    assert batch_text(24, 1, 3) == "batch of 24 = 1 process x 3 micro-batches x 8 images"
    assert batch_text(8, 8, 1) == "batch of 8 = 8 processes x 1 micro-batch x 1 image"
