import os
import signal
from collections.abc import Iterator

import pytest

from mlrsnet_hf.parallel import ProcessDiedError, in_processes


def square(number: int) -> int:
    return number * number


def process_id(_: int) -> int:
    return os.getpid()


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 60])
def test_results_come_in_the_order_of_the_items(processes: int, count: int) -> None:
    assert list(in_processes(square, range(count), processes, batch=7)) == [n * n for n in range(count)]


def test_items_are_read_as_they_are_needed() -> None:
    read = []

    def items() -> Iterator[int]:
        for number in range(10_000):
            read.append(number)
            yield number

    results = in_processes(process_id, items(), processes=2, batch=3)
    assert next(results) != os.getpid()
    results.close()
    assert len(read) <= 3 * 5


def test_a_process_that_dies_is_noticed() -> None:
    with pytest.raises(ProcessDiedError, match="Use fewer processes if memory ran out"):
        list(in_processes(die, range(50), processes=2))
