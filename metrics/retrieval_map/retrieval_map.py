"""Mean of P@1 to P@100, the mAP of MLRSNet's retrieval tables, for `evaluate`, over `mean_precision_to_k`."""

from collections.abc import Mapping, Sequence
from typing import Any

import evaluate

from mlrsnet_hf.metrics import METRICS, mean_precision_to_k
from mlrsnet_hf.metrics.arguments import whole_number
from mlrsnet_hf.metrics.modules.retrieval import RetrievalInputs
from mlrsnet_hf.metrics.ranking import PAPER_DEPTH, Empty


class RetrievalMap(RetrievalInputs, evaluate.Metric):
    """Mean of the precisions at 1 to 100 retrieved items."""

    metric = METRICS["retrieval_map"]

    def _compute(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[int],
        up_to: int = PAPER_DEPTH,
        relevant: Mapping[Any, int] | None = None,
        depth: int | None = None,
        empty: Empty = "worst",
        per_query: bool = False,
        per_scene: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Compute the mean of P@1 to P@up_to.

        Args:
            predictions: See the configuration.
            references: See the configuration.
            up_to: The largest k; the paper's 100 unless told.
            relevant: Number of items in the database by scene id or name, for rankings that are cut; "scenes".
            depth: Number of items of each ranking that were looked at, for rankings that are cut; "ranks".
            empty: "skip", "worst" or "error" for queries without any relevant item.
            per_query: Whether to return the value of each query too.
            per_scene: Whether to return the value of each scene too; "scenes".
            **others: Options of the other retrieval modules, which this one leaves alone.

        Returns:
            retrieval_map: mean over the queries.
            retrieval_map_left_out: number of queries left out of the mean.
            retrieval_map_per_query: list of floats, NaN for a query left out; with `per_query`.
            retrieval_map_per_scene: scene id -> value; with `per_scene`.
        """
        self.refuse_unknown(others)
        up_to = whole_number("up_to", up_to)
        ranks = self.ranks(predictions, references, relevant, depth, top=up_to if empty == "worst" else None)
        value = mean_precision_to_k(ranks, up_to, empty=empty)
        results = self.results("retrieval_map", value, references, per_query=per_query, per_scene=per_scene)
        return {**results, "retrieval_map_left_out": value.undefined}
