"""Settings that contradict each other."""

import pytest

from mlrsnet_hf.errors import MLRSNetError, UnknownNameError
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no model and no embeddings"),
        ({"query_embeddings": "q"}, "query_embeddings and database_embeddings go together"),
        ({"query_embeddings": "q", "database_embeddings": "d", "embeddings": ["e"]}, "neither embeddings nor several"),
        (
            {"query_embeddings": "q", "database_embeddings": "d", "split_seeds": [0, 1]},
            "neither embeddings nor several",
        ),
        ({"model": ["a", "b", "c"], "split_seeds": [0, 1]}, "3 of --model for 2 split seeds"),
        ({"model": ["a"], "compare": ["a", "b"]}, "2 of --compare for 1 split seeds"),
        ({"model": ["a"], "split_seeds": [1, 1]}, r"split_seeds=\(1, 1\)"),
        ({"model": ["a"], "batch_size": 0}, "batch_size=0"),
        ({"model": ["a"], "precision": "fp8"}, "precision='fp8'"),
        ({"model": ["a"], "memory_megabytes": -3.0}, "memory_megabytes=-3.0"),
        ({"model": ["a"], "protocol": []}, r"protocol=\(\)"),
        ({"model": ["a"], "dataset": "USER/NAME", "split_seeds": [1]}, "Only mlrsnet is split by a seed"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(MLRSNetError, match=message):
        RetrievalConfig(**settings)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'retrieval10'"):
        RetrievalConfig(model=["a"], protocol=["retrieval1"])
    with pytest.raises(UnknownNameError, match="distance='manhattan'"):
        RetrievalConfig(model=["a"], distance="manhattan")
    with pytest.raises(UnknownNameError, match="layer='last'"):
        RetrievalConfig(model=["a"], layer="last")
