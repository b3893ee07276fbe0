"""Settings that contradict each other."""

import pytest

from mlrsnet_hf.errors import MLRSNetError, UnknownNameError
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "--model"),
        ({"query_embeddings": "q"}, "database_embeddings"),
        ({"query_embeddings": "q", "database_embeddings": "d", "embeddings": ["e"]}, "query_embeddings"),
        (
            {"query_embeddings": "q", "database_embeddings": "d", "split_seed": [0, 1]},
            "query_embeddings",
        ),
        ({"model": ["a", "b", "c"], "split_seed": [0, 1]}, "3 of --model .* 2 "),
        ({"model": ["a"], "compare": ["a", "b"]}, "2 of --compare .* 1 "),
        ({"model": ["a"], "split_seed": [1, 1]}, r"split_seed=\(1, 1\)"),
        ({"model": ["a"], "batch_size": 0}, "batch_size=0"),
        ({"model": ["a"], "precision": "fp8"}, "precision='fp8'"),
        ({"model": ["a"], "memory_megabytes": -3.0}, "memory_megabytes=-3.0"),
        ({"model": ["a"], "protocol": []}, r"protocol=\(\)"),
        ({"model": ["a"], "dataset": "USER/NAME", "split_seed": [1]}, "USER/NAME"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(MLRSNetError, match=message):
        RetrievalConfig(**settings)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'retrieval10'"):
        RetrievalConfig(model=["a"], protocol=["retrieval1"])
    with pytest.raises(UnknownNameError, match="manhattan"):
        RetrievalConfig(model=["a"], distance="manhattan")
    with pytest.raises(UnknownNameError, match="last"):
        RetrievalConfig(model=["a"], layer="last")
