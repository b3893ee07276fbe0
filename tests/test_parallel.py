"""The functions that processes apply are the standard library's, because a new process cannot import a test."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrsnet_hf import parallel
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
    with pytest.raises(ProcessDiedError, match="fewer processes"):
        list(in_processes(os._exit, range(1, 50), processes=2))


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000\n", None), ("250000 100000\n", 2), ("50000 100000\n", 0), ("rubbish", None)]
)
def test_quota_of_a_container(tmp_path: Path, content: str, expected: int | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert parallel._quota(tmp_path / "cpu.max") == expected
    assert parallel._quota(tmp_path / "missing") is None


def test_quota_bounds_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("100000 100000")
    assert parallel.available_cores() == 1
    (tmp_path / "cpu.max").write_text("99900000 100000")
    assert parallel.available_cores() == len(os.sched_getaffinity(0))


def test_affinity_is_heeded() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n" + (
        "from mlrsnet_hf.parallel import available_cores; print(available_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
