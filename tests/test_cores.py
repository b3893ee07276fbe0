import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlrsnet_hf import parallel as cores


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000\n", None), ("250000 100000\n", 2), ("50000 100000\n", 0), ("rubbish", None)]
)
def test_quota_of_a_container(tmp_path: Path, content: str, expected: int | None) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert cores._quota(tmp_path / "cpu.max") == expected
    assert cores._quota(tmp_path / "missing") is None


def test_quota_bounds_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("100000 100000")
    assert cores.available_cores() == 1
    (tmp_path / "cpu.max").write_text("99900000 100000")
    assert cores.available_cores() == len(os.sched_getaffinity(0))


def test_affinity_is_heeded() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n" + (
        "from mlrsnet_hf.parallel import available_cores; print(available_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1\n"
