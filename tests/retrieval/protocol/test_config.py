"""Settings that contradict each other."""

import pytest

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError
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
        ({"model": ["a"], "split_seeds": [1, 1]}, r"split_seeds=\[1, 1\] cannot be used"),
        ({"model": ["a"], "batch_size": 0}, "batch_size=0 cannot be used"),
        ({"model": ["a"], "precision": "fp8"}, "precision='fp8' cannot be used"),
        ({"model": ["a"], "memory_megabytes": -3.0}, "memory_megabytes=-3.0 cannot be used"),
        ({"model": ["a"], "protocol": []}, r"protocol=\[\] cannot be used"),
        ({"model": ["a"], "dataset": "USER/NAME", "split_seeds": [1]}, "Only mlrsnet is split by a seed"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RetrievalConfig(**settings)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'retrieval10'"):
        RetrievalConfig(model=["a"], protocol=["retrieval1"])
    with pytest.raises(UnknownNameError, match="distance 'manhattan' is not known"):
        RetrievalConfig(model=["a"], distance="manhattan")
    with pytest.raises(UnknownNameError, match="layer 'last' is not known"):
        RetrievalConfig(model=["a"], layer="last")
