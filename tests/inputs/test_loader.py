import contextlib
import functools
import multiprocessing
from collections.abc import Callable

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from mlrsnet_hf.errors import ImageError, MLRSNetError
from mlrsnet_hf.inputs.batches import ShuffledBatches
from mlrsnet_hf.inputs.loader import LockstepLoader, ThreadedLoader, make_loader


@pytest.mark.parametrize("factors", [None, np.linspace(1, 4, 32)], ids=["each once", "repeated"])
def test_batches_do_not_depend_on_workers_processes_or_parts(
    data: DatasetDict, make_images: Callable, epoch_batches: Callable, hashes: Callable, factors: np.ndarray | None
) -> None:
    images = make_images(data["train"])
    make_batches = functools.partial(ShuffledBatches, len(images), 8, 0, factors=factors)
    expected = hashes([epoch_batches(images, make_batches())])
    assert len(set(expected)) == (32 if factors is None else 80) // 8
    assert hashes([epoch_batches(images, make_batches(), workers=2)]) == expected
    for processes, accumulation in [(2, 1), (1, 2), (2, 2)]:
        shares = [make_batches(process, processes, accumulation) for process in range(processes)]
        assert hashes([epoch_batches(images, share) for share in shares], accumulation) == expected


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (3, 1), (3, 2), (2, 9)])
def test_batches_do_not_depend_on_threads(
    data: DatasetDict, threads: int, ahead: int, make_images: Callable, epoch_batches: Callable, hashes: Callable
) -> None:
    images, batches = make_images(data["train"]), ShuffledBatches(32, 8, 0)
    expected = hashes([epoch_batches(images, batches)])
    assert hashes([list(ThreadedLoader(images, batches, threads, ahead, pin=False))]) == expected


def test_a_resumed_epoch_is_the_tail_of_the_whole_and_reads_nothing_else(
    data: DatasetDict, damaged: Callable, make_images: Callable, epoch_batches: Callable, hashes: Callable
) -> None:
    batches = ShuffledBatches(32, 8, 0)
    expected = hashes([epoch_batches(make_images(data["train"]), batches)])
    skipped = batches.step_rows(1, 0)[0]
    batches.first_step = 1
    images = make_images(damaged(data["train"], skipped))
    assert hashes([epoch_batches(images, batches)]) == expected[1:]


def test_epoch_and_seed_change_the_pictures(data: DatasetDict, make_images: Callable) -> None:
    images = make_images(data["train"])
    first, again, later = images[(1, 0)], images[(1, 0)], images[(2, 0)]
    other = make_images(data["train"], seed=1)[(1, 0)]
    assert (first.pixels == again.pixels).all()
    assert (first.color == again.color).all()
    for sample in (later, other):
        assert not (sample.pixels == first.pixels).all()
        assert not (sample.color == first.color).all()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_from_anywhere(
    data: DatasetDict, damaged: Callable, workers: int, make_images: Callable, epoch_batches: Callable
) -> None:
    images = make_images(damaged(data["train"], 5))
    with pytest.raises(ImageError, match="train_005"):
        epoch_batches(images, ShuffledBatches(32, 8, 0), workers=workers)


def test_a_reader_may_stop_early(data: DatasetDict, make_images: Callable) -> None:
    batches = iter(ThreadedLoader(make_images(data["train"]), ShuffledBatches(32, 8, 0), 2, ahead=2, pin=False))
    assert next(batches).pixels.shape == (8, 32, 32, 3)
    batches.close()
    assert next(batches, None) is None


@pytest.mark.parametrize("read", [0, 1, 4])
def test_a_closed_loader_leaves_no_process_behind(
    data: DatasetDict, damaged: Callable, make_images: Callable, read: int
) -> None:
    """Whether it was read or not, up to an image that cannot be read, or by a reader that is still there."""
    before = set(multiprocessing.active_children())
    loader = make_loader(make_images(damaged(data["train"], 5)), ShuffledBatches(32, 8, 0), workers=2)
    reader = iter(loader)
    with contextlib.suppress(ImageError):
        for _ in range(read):
            next(reader)
    assert len(set(multiprocessing.active_children()) - before) == (2 if read else 0)
    loader.close()
    assert set(multiprocessing.active_children()) <= before
    assert not read or next(reader, None) is None


def test_processes_go_on_together_or_not_at_all(data: DatasetDict, damaged: Callable, make_images: Callable) -> None:
    """As many rounds as the process with the most batches has; each tells its error before anyone goes on."""
    images = make_images(damaged(data["train"], 5))
    checked: list[MLRSNetError | None] = []
    whole = LockstepLoader(make_loader(images, [[(0, 1)], [(0, 2)]], workers=0), 3, checked.append)
    assert [batch.rows.tolist() for batch in whole] == [[1], [2]]
    assert checked == [None, None, None]
    list(LockstepLoader(make_loader(images, [[(0, 1)], [(0, 5)]], workers=0), 2, checked.append))
    assert checked[3] is None
    assert "train_005" in str(checked[4])


def test_a_batch_keeps_its_parts_on_the_way_to_a_device(data: DatasetDict, make_images: Callable) -> None:
    images = make_images(data["train"])
    batch = images.batch([images[(1, row)] for row in (3, 1)]).to("meta")
    assert batch.rows.device.type == batch.pixels.device.type == batch.color.device.type == "meta"
    assert batch.scenes is None
    assert batch.color.shape == (2, 3, 4)
    assert batch.symmetries.shape == (2,)
    assert batch.targets.dtype == torch.float32
