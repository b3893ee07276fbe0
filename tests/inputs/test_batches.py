import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import Draw, ShuffledBatches, ordered_batches


@given(
    share=st.integers(1, 5),
    processes=st.integers(1, 4),
    accumulation=st.integers(1, 3),
    extra=st.integers(0, 40),
    epoch=st.integers(0, 3),
)
def test_processes_and_parts_share_the_batches_of_one(
    share: int, processes: int, accumulation: int, extra: int, epoch: int
) -> None:
    size = share * processes * accumulation
    rows = size + extra
    whole = ShuffledBatches(rows, size, seed=3)
    shares = [ShuffledBatches(rows, size, 3, process, processes, accumulation) for process in range(processes)]
    for batches in (whole, *shares):
        batches.epoch = epoch
    steps: list[list[Draw]] = [[] for _ in range(len(whole))]
    for batches in shares:
        for number, part in enumerate(batches):
            assert len(part) == share
            steps[number // accumulation] += part
    assert [sorted(step) for step in steps] == [sorted(batch) for batch in whole]
    assert [[row for _, row in batch] for batch in whole] == [whole.step_rows(epoch, n) for n in range(len(whole))]
    seen = [row for batch in whole for _, row in batch]
    assert len(seen) == len(set(seen)) == rows - rows % size
    assert set(seen) <= set(range(rows))


@given(rows=st.integers(4, 50), skipped=st.integers(0, 15), accumulation=st.sampled_from([1, 2, 4]))
def test_first_step_leaves_the_tail_of_the_epoch(rows: int, skipped: int, accumulation: int) -> None:
    batches = ShuffledBatches(rows, 4, seed=1, accumulation=accumulation)
    batches.epoch = 2
    whole = list(batches)
    batches.first_step = skipped
    assert list(batches) == whole[skipped * accumulation :]
    assert len(batches) == rows // 4


def test_epoch_and_seed_change_the_order() -> None:
    orders = []
    for seed, epoch in itertools.product((0, 1), (1, 2)):
        batches = ShuffledBatches(40, 8, seed)
        batches.epoch = epoch
        orders.append([row for batch in batches for _, row in batch])
    assert all(left != right for left, right in itertools.combinations(orders, 2))


def test_a_split_smaller_than_a_batch_makes_one() -> None:
    batches = ShuffledBatches(6, 32, seed=0, processes=2)
    assert len(batches) == 1
    assert [len(batch) for batch in batches] == [3]


@pytest.mark.parametrize(
    ("rows", "size", "processes", "accumulation", "message"),
    [
        (100, 9, 2, 1, "batch_size=9 .*2 processes.* of 2, such as 8"),
        (100, 32, 2, 3, "batch_size=32 .*2 processes x 3 parts.* of 6, such as 30"),
        (100, 2, 1, 3, "batch_size=2 .*at least 3"),
        (5, 8, 2, 1, "5 images .*2 processes .* such as 4"),
        (1, 8, 2, 1, "1 images .*more images"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(
    rows: int, size: int, processes: int, accumulation: int, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ShuffledBatches(rows, size, seed=0, processes=processes, accumulation=accumulation)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 13, 64])
def test_evaluation_covers_each_row_once(rows: int, processes: int) -> None:
    shares = [ordered_batches(rows, 4, process, processes) for process in range(processes)]
    found = [row for share in shares for batch in share for _, row in batch]
    assert sorted(found) == list(range(rows))
