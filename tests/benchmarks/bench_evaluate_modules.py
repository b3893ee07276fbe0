"""Adding inputs to the evaluate modules against plain evaluate: python tests/benchmarks/bench_evaluate_modules.py.

The peer is a metric of evaluate's own making, with the same columns and nothing before `add_batch`. 10,000 x 60 float32
scores and int64 labels, and 2,000 rankings of 3,126 scenes. Times are the best of three runs, into memory.
"""

import tempfile
import time
from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np

from mlrsnet_hf import metric_path

IMAGES, LABELS = 10_000, 60
QUERIES, DEPTH, SCENES = 2_000, 3_126, 46


class Plain(evaluate.Metric):
    """Columns of numbers without types of their own, as a first draft of a metric has them."""

    def _info(self) -> evaluate.MetricInfo:
        reference = datasets.Value("int64")
        if self.config_name == "rows":
            reference = datasets.Sequence(reference)
        columns = {"predictions": datasets.Sequence(datasets.Value("float64")), "references": reference}
        return evaluate.MetricInfo(description="", citation="", features=datasets.Features(columns))


def best_time(load: Callable[[], evaluate.EvaluationModule], inputs: dict[str, Any]) -> float:
    """Return the shortest of three times to add the inputs to a fresh module, in seconds."""
    times = []
    for _ in range(3):
        module = load()
        start = time.perf_counter()
        module.add_batch(**inputs)
        times.append(time.perf_counter() - start)
    return min(times)


def compare(title: str, name: str, peer_configuration: str, inputs: dict[str, Any], cache: str) -> None:
    path = metric_path(name)
    ours = best_time(lambda: evaluate.load(path, keep_in_memory=True, cache_dir=cache), inputs)
    theirs = best_time(lambda: Plain(peer_configuration, keep_in_memory=True, cache_dir=cache), inputs)
    print(f"{title:<42} {ours:8.3f} s   {'plain evaluate':<28} {theirs:8.3f} s   ratio {theirs / ours:6.1f}")


def main() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random((IMAGES, LABELS), dtype=np.float32)
    labels = (draw.random((IMAGES, LABELS)) < 0.1).astype(np.int64)
    rankings = {
        "predictions": draw.integers(0, SCENES, (QUERIES, DEPTH)),
        "references": draw.integers(0, SCENES, QUERIES),
    }
    with tempfile.TemporaryDirectory() as cache:
        arrays = {"predictions": scores, "references": labels}
        compare("add scores, arrays", "sample_f1", "rows", arrays, cache)
        lists = {name: array.tolist() for name, array in arrays.items()}
        compare("add scores, lists", "sample_f1", "rows", lists, cache)
        compare("add rankings, arrays", "anmrr", "values", rankings, cache)


if __name__ == "__main__":
    main()
