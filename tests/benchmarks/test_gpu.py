"""gpu.sh at toy size on the CPU: all its parts run, and what breaks in one stops no other."""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def table(text: str) -> list[list[str]]:
    """Return the cells of the rows of the last table: part, line, seconds, state."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, env=environment, cwd=FOLDER, capture_output=True, text=True, check=False)


def test_every_part_prints_finite_ratios() -> None:
    process = run(FOLDER / "gpu.sh", "--toy")
    assert process.returncode == 0, process.stdout + process.stderr
    rows = table(process.stdout)
    parts = {part for part, *_ in rows}
    for word in ("test_resnet", "test_vit", "compiled", "inputs", "embedding", "Table 9", "resume"):
        assert any(word in part for part in parts)
    assert len(parts) == 6
    assert {state for *_, state in rows} == {"ran"}
    for _, line, *_ in rows:
        assert 0 < float(re.search(r"ratio ([0-9.]+)", line)[1]) < float("inf")
    values = {line.partition(":")[0]: line for _, line, *_ in rows}
    assert "bit, ratio 1.000000000" in values["values beside the processor's"]
    assert "weights equal" in values["loss of the killed and resumed run beside the undisturbed one's"]


def test_a_broken_part_is_told_and_the_next_one_runs() -> None:
    search = "bench_exact_search.py --device cpu --queries 5 --items 600 --dimensions 8 --rounds 1"
    parts = {"broken": "bench_step.py --no-such-option", "without a word": "bench_step.py --help", "search": search}
    process = run(
        sys.executable, "-c", f"import sys, gpu_parts; gpu_parts.TOY_PARTS = {parts}; gpu_parts.main()", "--toy"
    )
    states = {part: state for part, _, _, state in table(process.stdout)}
    assert states == {"broken": "exit code 2", "without a word": "no finite ratio", "search": "ran"}
    assert process.returncode == 1
