"""Exact search against the matrix product that it needs, and against FAISS, in one process.

    python tests/benchmarks/bench_exact_search.py [--rounds 3] [--growth] [--faiss] [--device cuda]

The size is the paper's: 6,550 queries (Table 8) of 58,947 images, 1,920 dimensions (densenet201), 46 scenes; the values
are random, in classes, none below zero like pooled features. `--growth` times a quarter, a half and the whole of the
queries, of the items and of the dimensions, and fits by which power of each the time grows.

Wall times need an idle machine; the processor time beside them (of all threads) bears other work better, and the parts
of a round are timed in turns, in both orders.

`--device` measures Table 9 on a device of torch instead, beside the product there, and compares its values with those
of the processor.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlrsnet_hf.metrics import RelevantRanks, metrics_of, precision_recall_curve
from mlrsnet_hf.retrieval import SameClass, Search, table9_depth

SCENES = 46
ROWS = 1024
SPREAD = 0.1
"""Of the classes' centers, for a task that is neither solved nor hopeless."""


@dataclass(frozen=True)
class Task:
    queries: np.ndarray
    query_scenes: np.ndarray
    items: np.ndarray
    scenes: np.ndarray

    @classmethod
    def random(cls, queries: int, items: int, dimensions: int) -> "Task":
        draw = np.random.default_rng(0)
        centers = SPREAD * draw.standard_normal((SCENES, dimensions), dtype=np.float32)

        def some(number: int) -> tuple[np.ndarray, np.ndarray]:
            scenes = draw.integers(SCENES, size=number)
            vectors = draw.standard_normal((number, dimensions), dtype=np.float32)
            for start in range(0, number, ROWS):
                vectors[start : start + ROWS] += centers[scenes[start : start + ROWS]]
            return np.maximum(vectors, 0, out=vectors), scenes

        return cls(*some(queries), *some(items))


def product_numpy(task: Task, rows: int = ROWS) -> None:
    out = np.empty((rows, len(task.items)), dtype=np.float32)
    for start in range(0, len(task.queries), rows):
        block = task.queries[start : start + rows]
        np.matmul(block, task.items.T, out=out[: len(block)])


def product_torch(task: Task, rows: int = ROWS) -> None:
    import torch

    queries, items = torch.from_numpy(task.queries), torch.from_numpy(task.items)
    out = torch.empty(rows, len(items))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        torch.mm(block, items.T, out=out[: len(block)])


def table9(ranks: RelevantRanks) -> dict[str, float]:
    return {name: float(m.function(ranks)) for name, m in metrics_of("retrieval", headline_only=True).items()}


def engine_table9(task: Task) -> dict[str, float]:
    relevance = SameClass(task.query_scenes, task.scenes)
    return table9(
        Search(task.items).relevant_ranks(task.queries, relevance, depth=table9_depth(relevance)),
    )


def engine_curves(task: Task) -> dict[str, float]:
    """Table 9, the curve of all queries and the curves per scene, from whole rankings."""
    ranks = Search(task.items).relevant_ranks(task.queries, SameClass(task.query_scenes, task.scenes))
    curve = precision_recall_curve(ranks)
    curve.by(task.query_scenes)
    return table9(ranks)


def faiss_table9(task: Task) -> dict[str, float]:
    import faiss

    index = faiss.IndexFlatL2(task.items.shape[1])
    index.add(task.items)
    _, found = index.search(task.queries, table9_depth(SameClass(task.query_scenes, task.scenes)))
    relevant = np.bincount(task.scenes, minlength=SCENES)[task.query_scenes]
    return table9(RelevantRanks.from_scenes(task.scenes[found], task.query_scenes, relevant))


def timed(function: Callable[[Task], object], task: Task) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    function(task)
    return time.perf_counter() - wall, time.process_time() - processor


def timed_in_turns(
    task: Task, functions: list[Callable[[Task], object]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return for each function the least wall and processor seconds of all rounds."""
    times: dict[str, list[tuple[float, float]]] = {function.__name__: [] for function in functions}
    for number in range(rounds):
        for function in functions if number % 2 == 0 else functions[::-1]:
            times[function.__name__].append(timed(function, task))
    return {name: tuple(np.min(values, axis=0)) for name, values in times.items()}


class OnDevice:
    """Table 9 and the product that it needs on a device, both from vectors in the processor's memory."""

    def __init__(self, device: str) -> None:
        self.device = device

    def product(self, task: Task, rows: int = ROWS) -> None:
        """Multiply in full float32, as the search does."""
        import torch

        items = torch.from_numpy(task.items).to(self.device)
        for start in range(0, len(task.queries), rows):
            torch.mm(torch.from_numpy(task.queries[start : start + rows]).to(self.device), items.T)
        if items.is_cuda:
            torch.cuda.synchronize()

    def table9(self, task: Task) -> dict[str, float]:
        """Return the values of Table 9; the search ends on the processor, so that there is nothing to wait for."""
        relevance = SameClass(task.query_scenes, task.scenes)
        search = Search(task.items, device=self.device, memory_megabytes=8192)
        return table9(search.relevant_ranks(task.queries, relevance, depth=table9_depth(relevance)))


def compare_on_device(task: Task, device: str, rounds: int) -> None:
    """Print the ratio of Table 9 to the product on a device, and how its values differ from the processor's."""
    on_device = OnDevice(device)
    on_device.product(task)  # the libraries' first calls
    best = timed_in_turns(task, [on_device.product, on_device.table9], rounds)
    product, whole = best["product"][0], best["table9"][0]
    print(f"Table 9 on {device}: product {product:.3f} s, all {whole:.3f} s, ratio {whole / product:.2f}")
    values, expected = on_device.table9(task), engine_table9(task)
    worst = max(expected, key=lambda name: abs(values[name] - expected[name]))
    equal = values == expected
    print(
        f"values beside the processor's: {'equal to the last bit' if equal else f'{worst} differs most'}, "
        f"ratio {values[worst] / expected[worst]:.9f}"
    )
    if not equal:
        raise SystemExit(1)


def grow(size: tuple[int, int, int], rounds: int) -> None:
    """Print seconds at a quarter, a half and the whole of each size, and the powers by which they grow."""
    functions: list[Callable[[Task], object]] = [product_numpy, engine_table9, engine_curves]
    whole = timed_in_turns(Task.random(*size), functions, rounds)
    print("| size | of | wall seconds | power | processor seconds | power |")
    print("| --- | --- | --- | ---: | --- | ---: |")
    for axis, name in enumerate(("queries", "items", "dimensions")):
        numbers = [size[axis] // 4, size[axis] // 2, size[axis]]
        parts = [tuple(number if i == axis else other for i, other in enumerate(size)) for number in numbers[:2]]
        times = [timed_in_turns(Task.random(*part), functions, rounds) for part in parts] + [whole]
        for function in functions:
            cells = [name + " " + ", ".join(f"{number:,}" for number in numbers), function.__name__]
            for clock in range(2):
                seconds = [time[function.__name__][clock] for time in times]
                cells.append(", ".join(f"{value:.3g}" for value in seconds))
                cells.append(f"{np.polyfit(np.log(numbers), np.log(seconds), 1)[0]:.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)


def compare(task: Task, functions: list[Callable[[Task], object]], rounds: int) -> None:
    """Time functions in turns, and print them beside the fastest product."""
    best = timed_in_turns(task, functions, rounds)
    product = np.min([values for name, values in best.items() if name.startswith("product")], axis=0)
    for name, (wall, processor) in best.items():
        ratios = f"{wall / product[0]:5.2f} x the fastest product, processor {processor / product[1]:5.2f} x"
        print(f"  {name:<16} {wall:7.2f} s wall {processor:7.2f} s processor   {ratios}", flush=True)


def peak(function: Callable[[Task], object], size: tuple[int, int, int]) -> tuple[float, float]:
    """Return the MB of this process with the data alone, and at its peak."""
    task = Task.random(*size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    function(task)
    return before / 1000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("queries", 6550), ("items", 58_947), ("dimensions", 1920), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--growth", action="store_true", help="only by which power of each size the time grows")
    parser.add_argument("--faiss", action="store_true", help="also IndexFlatL2 (pip install faiss-cpu)")
    parser.add_argument("--device", help="only Table 9 on this device of torch, such as cuda")
    arguments = parser.parse_args()
    size = (arguments.queries, arguments.items, arguments.dimensions)
    if arguments.growth:
        grow(size, arguments.rounds)
        return

    if arguments.device:
        compare_on_device(Task.random(*size), arguments.device, arguments.rounds)
        return

    for function in (engine_table9, engine_curves):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            before, highest = pool.apply(peak, (function, size))
        print(f"{function.__name__}: peak {highest:,.0f} MB, of which {before:,.0f} MB are Python and the data")

    engines: list[Callable[[Task], object]] = [engine_table9, engine_curves]
    products: list[Callable[[Task], object]] = [product_numpy, product_torch]
    others: list[Callable[[Task], object]] = [faiss_table9] if arguments.faiss else []
    task = Task.random(*size)
    print("{:,} queries, {:,} items, {:,} dimensions".format(*size))
    compare(task, products + engines + others, arguments.rounds)
    values = {function.__name__: function(task) for function in [engine_table9, *others]}
    for name, columns in values.items():
        print(f"  {name}:", ", ".join(f"{column} {value:.5f}" for column, value in columns.items()))


if __name__ == "__main__":
    main()
