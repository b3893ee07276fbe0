"""The functions are the standard library's, because a new process cannot import a test."""

import math
import os
from collections.abc import Iterator

import pytest

from mlrsnet_hf.parallel import ProcessDiedError, in_processes


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 60])
def test_results_come_in_the_order_of_the_items(processes: int, count: int) -> None:
    assert list(in_processes(math.isqrt, (n * n for n in range(count)), processes, batch=7)) == list(range(count))


def test_items_are_read_as_they_are_needed() -> None:
    read = []

    def items() -> Iterator[str]:
        for number in range(10_000):
            read.append(number)
            yield "__import__('os').getpid()"

    results = in_processes(eval, items(), processes=2, batch=3)
    assert next(results) != os.getpid()
    results.close()
    assert len(read) <= 3 * 5


def test_a_process_that_dies_is_noticed() -> None:
    with pytest.raises(ProcessDiedError, match="Use fewer processes if memory ran out"):
        list(in_processes(os._exit, range(1, 50), processes=2))
