"""Speed of the metrics against scikit-learn and torchmetrics, in one process: python tests/benchmarks/bench_metrics.py.

Sizes are the paper's: 54,581 images of the 40% protocol's test split by 60 labels; 6,550 queries of Table 8, ranked as
deep as ANMRR needs. Times are the best of several runs; peak memory is the process's.
"""

import resource
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn import metrics as sk

from mlrsnet_hf.metrics import (
    RelevantRanks,
    classification_report,
    mean_average_precision,
    metrics_of,
)

IMAGES, LABELS = 54_581, 60
QUERIES, LARGEST_SCENE = 6_550, 1_563
TORCHMETRICS_QUERIES = 200


def best_time(function: Callable[[], object], runs: int = 5) -> float:
    """Return the shortest of several times, in seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(name: str, ours: float, peer: str, theirs: float) -> None:
    print(f"{name:<42} {ours:8.3f} s   {peer:<28} {theirs:8.3f} s   ratio {theirs / ours:6.1f}")


def classification_scores(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    targets = draw.random((IMAGES, LABELS)) < 0.08
    logits = draw.normal(-3, 1.5, targets.shape) + 4 * targets
    return targets, (1 / (1 + np.exp(-logits))).astype(np.float32)


def bench_classification() -> None:
    targets, scores = classification_scores(np.random.default_rng(0))
    for dtype in (np.float32, np.float64):
        values = scores.astype(dtype)
        ours = best_time(lambda values=values: mean_average_precision(targets, values))
        theirs = best_time(lambda values=values: sk.average_precision_score(targets, values, average="macro"), runs=3)
        difference = abs(mean_average_precision(targets, values) - sk.average_precision_score(targets, values))
        assert difference < 1e-9
        compare(f"macro mAP, {dtype.__name__}", ours, "scikit-learn", theirs)

    def peer_report() -> None:
        predictions = scores > 0.5
        sk.precision_recall_fscore_support(targets, predictions, average="samples", zero_division=0)
        sk.precision_recall_fscore_support(targets, predictions, average="micro", zero_division=0)
        sk.precision_recall_fscore_support(targets, predictions, average="macro", zero_division=0)
        sk.accuracy_score(targets, predictions)
        sk.hamming_loss(targets, predictions)

    ours = best_time(lambda: classification_report(targets, scores, threshold=0.5))
    compare("classification report", ours, "scikit-learn", best_time(peer_report, runs=2))


def retrieval_rankings(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rankings 2 GTM deep, most relevant items near the top."""
    relevant = draw.integers(LARGEST_SCENE // 2, LARGEST_SCENE + 1, QUERIES)
    relevant[0] = LARGEST_SCENE
    depth = 2 * LARGEST_SCENE
    relevance = draw.random((QUERIES, depth)) < np.linspace(0.95, 0.05, depth)
    relevance &= np.cumsum(relevance, axis=1) <= relevant[:, None]
    return relevance, relevant


def bench_ranking() -> None:
    relevance, relevant = retrieval_rankings(np.random.default_rng(0))

    def table9() -> dict[str, float]:
        ranked = RelevantRanks.from_relevance(relevance, relevant)
        return {name: metric.function(ranked) for name, metric in metrics_of("retrieval", headline_only=True).items()}

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours = best_time(table9, runs=3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"Table 9's columns, {QUERIES} queries: {ours:.3f} s; peak {peak / 2**20:.2f} GiB ({before / 2**20:.2f} before)"
    )
    try:
        import torch
        from torchmetrics.retrieval import RetrievalMAP, RetrievalPrecision
    except ImportError:
        print("torchmetrics is not installed: pip install torchmetrics for the comparison")
        return
    part = torch.from_numpy(relevance[:TORCHMETRICS_QUERIES])
    indexes = torch.arange(len(part)).repeat_interleave(part.shape[1])
    scores = -torch.arange(part.shape[1], dtype=torch.float32).repeat(len(part))

    def peers() -> None:
        for metric in (RetrievalMAP(), *(RetrievalPrecision(top_k=k) for k in (10, 50, 100, 500))):
            metric.update(scores, part.flatten(), indexes=indexes)
            metric.compute()

    theirs = best_time(peers, runs=1) * QUERIES / TORCHMETRICS_QUERIES
    compare("Table 9's columns", ours, f"torchmetrics, {TORCHMETRICS_QUERIES} scaled up", theirs)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    bench_classification()
    bench_ranking()
