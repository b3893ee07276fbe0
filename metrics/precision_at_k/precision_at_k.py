"""Precision of the first k retrieved items for `evaluate`, over `mlrsnet_hf.metrics.precision_at_k`."""

from collections.abc import Mapping, Sequence
from typing import Any

import evaluate

from mlrsnet_hf.metrics import METRICS, precision_at_k
from mlrsnet_hf.metrics.modules.retrieval import RetrievalInputs
from mlrsnet_hf.metrics.ranking import Empty, depths
from mlrsnet_hf.metrics.registry import PAPER_PRECISION_DEPTHS


class PrecisionAtK(RetrievalInputs, evaluate.Metric):
    """Share of the first k retrieved items that are relevant."""

    metric = METRICS["precision_at_10"]

    def _compute(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[int],
        k: int | Sequence[int] = PAPER_PRECISION_DEPTHS,
        relevant: Mapping[Any, int] | None = None,
        depth: int | None = None,
        empty: Empty = "worst",
        per_query: bool = False,
        per_scene: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Compute precision at k.

        Args:
            predictions: See the configuration.
            references: See the configuration.
            k: One depth or several; the paper's 10, 50, 100 and 500 unless told.
            relevant: Number of items in the database by scene id or name, for rankings that are cut; "scenes".
            depth: Number of items of each ranking that were looked at, for rankings that are cut; "ranks".
            empty: "skip", "worst" or "error" for queries without any relevant item.
            per_query: Whether to return the precision of each query too.
            per_scene: Whether to return the precision of each scene too; "scenes".
            **others: Options of the other retrieval modules, which this one leaves alone.

        Returns:
            precision_at_10, and so on for each k: mean of the queries' precision.
            precision_at_k_left_out: number of queries left out of the means.
            precision_at_10_per_query: list of floats, NaN for a query left out; with `per_query`.
            precision_at_10_per_scene: scene id -> precision; with `per_scene`.
        """
        self.refuse_unknown(others)
        all_k = depths(k)
        ranks = self.ranks(predictions, references, relevant, depth, top=max(all_k) if empty == "worst" else None)
        values = precision_at_k(ranks, all_k, empty=empty)
        results: dict[str, Any] = {}
        for depth_, value in values.items():
            name = f"precision_at_{depth_}"
            results |= self.results(name, value, references, per_query=per_query, per_scene=per_scene)
        return {**results, "precision_at_k_left_out": values[all_k[0]].undefined}
