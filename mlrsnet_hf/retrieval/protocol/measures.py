"""The paper's retrieval measures of one split: Table 9, Figs. 10 to 12, and measures on labels beside them.

Relevant is what shows the query's scene (Qi et al. 2020, section 4.1). One pass of the exact search gives the ranks of
all relevant images, hence every measure on scenes, and the first results, hence every measure on labels.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.metrics import METRICS
from mlrsnet_hf.metrics.graded_ranking import common_labels
from mlrsnet_hf.metrics.means import Interval, Mean, bootstrap
from mlrsnet_hf.metrics.ranking import PAPER_DEPTH, PrecisionRecallCurve, precision_recall_curve
from mlrsnet_hf.metrics.registry import PAPER_PRECISION_DEPTHS
from mlrsnet_hf.retrieval.embeddings.files import refuse_not_finite
from mlrsnet_hf.retrieval.protocol.query_database import QueryDatabase
from mlrsnet_hf.retrieval.search.distances import Distance
from mlrsnet_hf.retrieval.search.exact import Search
from mlrsnet_hf.retrieval.search.rankings import Neighbors
from mlrsnet_hf.retrieval.search.relevance import SameClass, best_common_labels

LABEL_DEPTHS = (10, PAPER_DEPTH)
"""Depths of the measures on labels."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of the protocol."""

    title: str
    """What tables call it."""
    function: Callable[..., Mean]
    """Takes the ranks of the relevant images, or the numbers of common labels."""
    depth: int
    """Number of images that the database must have."""


_DEPTHS = {f"precision_at_{k}": k for k in PAPER_PRECISION_DEPTHS} | {
    "retrieval_map": PAPER_DEPTH,
    f"recall_at_{PAPER_DEPTH}": PAPER_DEPTH,
}
SCENE_MEASURES = {
    name: Measure(metric.title, metric.function, _DEPTHS.get(name, 0))
    for name, metric in METRICS.items()
    if metric.inputs == "ranks" and name != "precision_recall_curve"
}
"""Measures on scenes by name: Table 9's columns first, then R@100 and average precision."""
LABEL_MEASURES = {
    f"{name.rpartition('_')[0]}_{k}": Measure(
        f"{metric.title.rpartition('@')[0]}@{k}", partial(metric.documented_function, k=k), k
    )
    for name, metric in METRICS.items()
    if metric.inputs == "gains"
    for k in LABEL_DEPTHS
}
"""Measures on labels by name; the gain is the number of labels that a result has in common with the query."""


def measure_title(name: str) -> str:
    """Return what tables call a measure."""
    return (SCENE_MEASURES | LABEL_MEASURES)[name].title


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of Q queries."""

    data: QueryDatabase
    """Queries and database, without the queries that were left out."""
    values: dict[str, Mean]
    """Measures by name, in the order of the registry; each holds the value of every query."""
    best_possible: dict[str, float]
    """Score of a perfect ranking by measure, where it is below 1 on this database."""
    left_out: dict[str, str]
    """Reason by measure, of the measures that this data does not define."""
    queries_without: dict[str, int]
    """Number of queries by scene that are left out, as the database has no image of their scene."""
    curve: PrecisionRecallCurve
    relevant: npt.NDArray[np.int64]
    """(Q,) number of relevant images of each query, NG(q)."""
    neighbors: Neighbors
    """The first results, `PAPER_DEPTH` of them or the whole database."""
    gains: npt.NDArray[np.float64] | None
    """(Q, k) number of labels that each of them has in common with the query, where the data has labels."""

    @property
    def scenes(self) -> list[str]:
        """The scene of each query."""
        return [self.data.scene_names[scene] for scene in self.data.queries.scenes]


def measure(
    data: QueryDatabase,
    distance: Distance = "euclidean",
    *,
    device: Any = None,  # noqa: ANN401 - torch is not imported here
    memory_megabytes: float = 1024,
    progress: bool = False,
) -> Measured:
    """Search the database for every query, and measure.

    Args:
        data: Queries and database.
        distance: "euclidean" as in the paper, or "cosine".
        device: None for NumPy on the processor; otherwise a device of torch.
        memory_megabytes: What the search may hold besides the embeddings.
        progress: Whether to show a progress bar.

    Raises:
        EmbeddingError: An embedding is not finite; ids are named.
        ConfigurationError: No query has a relevant image in the database.
    """
    for part in (data.queries, data.database):
        refuse_not_finite(part.ids, part.embeddings, "Make the embeddings again.")
    data, without = _with_relevant(data)
    queries, database = data.queries, data.database
    search = Search(database.embeddings, distance, device=device, memory_megabytes=memory_megabytes, ids=database.ids)
    depth = min(PAPER_DEPTH, len(search))
    found = search.rank(queries.embeddings, SameClass(queries.scenes, database.scenes), depth, progress=progress)
    labeled = queries.labels is not None and database.labels is not None
    left_out = {
        name: f"the database holds {len(search):,} images, fewer than {one.depth:,}"
        for name, one in (SCENE_MEASURES | (LABEL_MEASURES if labeled else {})).items()
        if one.depth > len(search)
    }
    values = {name: one.function(found.ranks) for name, one in SCENE_MEASURES.items() if name not in left_out}
    gains = None
    if queries.labels is not None and database.labels is not None:
        gains = common_labels(queries.labels, database.labels, found.neighbors.indices)
        best = best_common_labels(queries.labels, database.labels, depth)
        for name, one in LABEL_MEASURES.items():
            if name not in left_out:
                values[name] = one.function(gains, **({"ideal_gains": best} if name.startswith("ndcg") else {}))
    else:
        left_out |= dict.fromkeys(LABEL_MEASURES, "the embeddings come without labels")
    return Measured(
        data=data,
        values=values,
        best_possible=_best_possible(values, found.ranks.relevant),
        left_out=left_out,
        queries_without=without,
        curve=precision_recall_curve(found.ranks),
        relevant=found.ranks.relevant,
        neighbors=found.neighbors,
        gains=gains,
    )


def _with_relevant(data: QueryDatabase) -> tuple[QueryDatabase, dict[str, int]]:
    """Leave out the queries whose scene the database does not have; count them by scene."""
    answered = np.isin(data.queries.scenes, data.database.scenes)
    if answered.all() and len(answered):
        return data, {}
    if not answered.any():
        raise ConfigurationError(
            f"none of the {len(answered):,} queries has an image of its scene in the database",
            "Check that queries and database belong together.",
        )
    ids, counts = np.unique(data.queries.scenes[~answered], return_counts=True)
    without = {data.scene_names[scene]: int(count) for scene, count in zip(ids, counts, strict=True)}
    kept = data.queries.select(np.flatnonzero(answered))
    return dataclasses.replace(data, queries=kept), without


def _best_possible(values: dict[str, Mean], relevant: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return what a perfect ranking scores where that is below 1, because scenes have fewer images than k."""
    perfect = {f"precision_at_{k}": float(np.minimum(relevant / k, 1).mean()) for k in PAPER_PRECISION_DEPTHS}
    ranks = np.arange(1, PAPER_DEPTH + 1)
    perfect["retrieval_map"] = float(np.minimum(relevant[:, None] / ranks, 1).mean())
    perfect[f"recall_at_{PAPER_DEPTH}"] = float(np.minimum(PAPER_DEPTH / relevant, 1).mean())
    return {name: perfect[name] for name in values if perfect.get(name, 1.0) < 1.0}


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """Mean number of labels that the first k results have in common with their query, by two models."""

    k: int
    first: float
    second: float
    interval: Interval
    """Confidence interval of first - second: percentile bootstrap over queries, each with both of its values."""

    @property
    def difference(self) -> float:
        """How many more the first model's results have."""
        return self.first - self.second

    @property
    def verdict(self) -> str:
        """What the interval says, in words."""
        if self.interval.low > 0:
            return "more"
        return "fewer" if self.interval.high < 0 else "neither more nor fewer"


def compare_common_labels(first: Measured, second: Measured) -> list[LabelComparison]:
    """Compare the labels that results have in common with their query, at each depth that the database has.

    Args:
        first: One model's results.
        second: Another model's, of the same queries and database.

    Returns:
        One for each depth; none where the data has no labels.

    Raises:
        ConfigurationError: The queries or the databases differ.
    """
    for part in ("queries", "database"):
        if getattr(first.data, part).ids != getattr(second.data, part).ids:
            raise ConfigurationError(f"the two models' {part} differ", "Compare them on one split.")
    ours, theirs = first.gains, second.gains
    if ours is None or theirs is None:
        return []
    compared = []
    for k in LABEL_DEPTHS:
        if k <= ours.shape[1]:
            a, b = ours[:, :k].mean(axis=1), theirs[:, :k].mean(axis=1)
            compared.append(LabelComparison(k, float(a.mean()), float(b.mean()), bootstrap(np.mean, a - b)))
    return compared
