"""ANMRR of rankings for `evaluate`, over `mlrsnet_hf.metrics.anmrr`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import evaluate

from mlrsnet_hf.metrics import METRICS, anmrr
from mlrsnet_hf.metrics.modules.retrieval import RetrievalInputs
from mlrsnet_hf.metrics.ranking import Empty


class Anmrr(RetrievalInputs, evaluate.Metric):
    """Average normalized modified retrieval rank; lower is better."""

    metric = METRICS["anmrr"]

    def _compute(
        self,
        *,
        predictions: Sequence[Any],
        references: Sequence[int],
        relevant: Mapping[Any, int] | None = None,
        depth: int | None = None,
        gtm: int | None = None,
        variant: Literal["mpeg7", "2ng", "k+1"] = "mpeg7",
        empty: Empty = "skip",
        per_query: bool = False,
        per_scene: bool = False,
        **others: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Compute ANMRR.

        Args:
            predictions: See the configuration.
            references: See the configuration.
            relevant: Number of items in the database by scene id or name, for rankings that are cut; "scenes".
            depth: Number of items of each ranking that were looked at, for rankings that are cut; "ranks".
            gtm: Largest number of relevant items of any query, where the call holds a part of the queries.
            variant: "mpeg7", "2ng" or "k+1".
            empty: "skip", "worst" or "error" for queries without any relevant item.
            per_query: Whether to return the NMRR of each query too.
            per_scene: Whether to return the ANMRR of each scene too; "scenes".
            **others: Options of the other retrieval modules, which this one leaves alone.

        Returns:
            anmrr: mean of the queries' NMRR; lower is better.
            anmrr_left_out: number of queries left out of the mean.
            anmrr_per_query: list of floats, NaN for a query left out; with `per_query`.
            anmrr_per_scene: scene id -> ANMRR; with `per_scene`.
        """
        self.refuse_unknown(others)
        ranks = self.ranks(predictions, references, relevant, depth, top=None)
        value = anmrr(ranks, gtm=gtm, variant=variant, empty=empty)
        results = self.results("anmrr", value, references, per_query=per_query, per_scene=per_scene)
        return {**results, "anmrr_left_out": value.undefined}
