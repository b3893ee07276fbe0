"""A benchmark of a tiny network on a fake copy of the release."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf.benchmark import folder as folders
from mlrsnet_hf.benchmark.folder import Benchmark
from mlrsnet_hf.benchmark.grid import make_grid

MakeBenchmark = Callable[..., Benchmark]
TRAINING = {"epochs": 2, "checkpoint_steps": 1, "batch_size": 4}


@pytest.fixture
def copy(make_release: Callable[..., Path]) -> Path:
    """30 images of three scenes: 6 train by ratio20."""
    return make_release({"beach": 10, "forest": 10, "wetland": 10}, labels=("water", "trees"))


@pytest.fixture
def make_benchmark(tmp_path: Path, copy: Path) -> MakeBenchmark:
    """Return a function that writes the jobs of a grid down: `name` of the folder, and what the grid says."""

    def make(name: str = "benchmark", training: dict[str, Any] | None = None, **values: object) -> Benchmark:
        benchmark = Benchmark(tmp_path / name)
        grid = {"networks": ["test_resnet"], "recipes": ["debug_cpu"], "training": TRAINING | (training or {})}
        benchmark.begin(make_grid("mine", grid | values), str(copy))
        return benchmark

    return make


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Let each test look at its images anew."""
    folders.fingerprint_of.cache_clear()
    folders.code_fingerprint.cache_clear()
