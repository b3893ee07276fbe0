import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.inputs.batches import Draw, ShuffledBatches, ordered_batches, repeat_factors


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


@given(
    images=st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=30),
    threshold=st.floats(0, 1, exclude_max=True),
)
def test_factors_are_those_of_each_images_rarest_label(images: list[set[int]], threshold: float) -> None:
    present = np.array([[label in labels for label in range(5)] for labels in images])
    counts = Counter(label for labels in images for label in labels)
    shares = {label: count / len(images) for label, count in counts.items()}
    expected = [max([1.0, *(math.sqrt(threshold / shares[label]) for label in labels)]) for labels in images]
    assert repeat_factors(present, threshold).tolist() == pytest.approx(expected)


FACTORS = st.lists(st.floats(1, 4), min_size=1, max_size=25)


@given(factors=FACTORS, size=st.integers(1, 8), epoch=st.integers(0, 50))
def test_each_row_is_drawn_as_often_as_its_factor_rounded(factors: list[float], size: int, epoch: int) -> None:
    batches = ShuffledBatches(len(factors), size, seed=2, factors=np.array(factors))
    batches.epoch = epoch
    assert batches.epoch_rows == pytest.approx(sum(factors), abs=1 + 1e-6)
    assert {len(batch) for batch in batches} == {batches.batch_size}
    assert len(list(batches)) == len(batches) == batches.epoch_rows // batches.batch_size
    drawn = [draw for batch in batches for draw in batch]
    assert len(set(drawn)) == len(drawn), "a view twice in an epoch"
    counts = Counter(row for _, row in drawn)
    assert all(counts[row] <= math.ceil(factor) for row, factor in enumerate(factors))
    missing = sum(max(0, math.floor(factor) - counts[row]) for row, factor in enumerate(factors))
    assert missing <= batches.epoch_rows % batches.batch_size + 1  # what does not fill the last batch
    assert [row for _, row in drawn] == [row for step in range(len(batches)) for row in batches.step_rows(epoch, step)]


@given(factors=FACTORS, process=st.integers(0, 1))
def test_processes_share_what_is_repeated(factors: list[float], process: int) -> None:
    whole = ShuffledBatches(len(factors) + 1, 2, seed=0, factors=np.array([*factors, 2.5]))
    share = ShuffledBatches(len(factors) + 1, 2, 0, process, 2, factors=np.array([*factors, 2.5]))
    assert [batch[process::2] for batch in whole] == list(share)


def test_the_mean_over_epochs_is_the_factor() -> None:
    factors = np.array([1.0, 1.25, 1.9, 3.0, 2.05, 1.0, 1.5, 1.5])
    batches = ShuffledBatches(len(factors), 1, seed=4, factors=factors)
    assert len(batches) == 13
    counts: Counter[int] = Counter()
    epochs = 2000
    for epoch in range(epochs):
        counts.update(row for _, row in batches._order(epoch))
    means = [counts[row] / epochs for row in range(len(factors))]
    # A share of 0.5 over 2,000 draws has a standard deviation of 0.011.
    assert means == pytest.approx(factors.tolist(), abs=0.045)
    assert means[0] == means[5] == 1
    assert means[3] == 3


def test_factors_of_one_leave_the_order_as_it_is() -> None:
    plain, ones = (ShuffledBatches(40, 8, 3, factors=factors) for factors in (None, np.ones(40)))
    for batches in (plain, ones):
        batches.epoch = 3
    assert list(ones) == list(plain)
    assert all(view == 3 for batch in plain for view, _ in batch)


def test_the_sum_of_factors_is_exact_in_any_order() -> None:
    """As floating point numbers ten tenths are less than one."""
    batches = ShuffledBatches(10, 1, seed=0, factors=np.full(10, 1.1))
    assert len(batches) == 11
    assert {len(batches._order(epoch)) for epoch in range(100)} <= {11, 12}


def test_few_rows_that_are_repeated_make_one_batch() -> None:
    batches = ShuffledBatches(3, 32, seed=0, processes=2, factors=np.array([1.0, 1.0, 4.3]))
    assert [len(batch) for batch in batches] == [3]
    with pytest.raises(ConfigurationError, match=r"3 images of the split, 7 with .* one batch, which 2 processes"):
        ShuffledBatches(3, 32, seed=0, processes=2, factors=np.array([1.0, 1.0, 5.0]))


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
