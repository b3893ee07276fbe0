"""Modules as users load them, with evaluate's caches in a temporary folder."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlrsnet_hf import metric_path

Load = Callable[..., Any]

CLASSIFICATION = ("sample_f1", "multilabel_map")
RETRIEVAL = ("anmrr", "precision_at_k", "retrieval_map")


@pytest.fixture(autouse=True, scope="session")
def evaluate_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' modules and inputs out of the user's cache."""
    import evaluate

    folder = tmp_path_factory.mktemp("evaluate-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", folder / "modules")
        patch.setattr(evaluate.config, "HF_METRICS_CACHE", folder / "metrics")
        patch.setattr(evaluate.config, "HF_EVALUATE_OFFLINE", True)
        yield folder


@pytest.fixture
def load() -> Load:
    """Load a module of this package: name, configuration, keyword arguments of `evaluate.load`."""
    import evaluate

    def load_module(name: str, configuration: str | None = None, **arguments: object) -> "evaluate.EvaluationModule":
        return evaluate.load(metric_path(name), configuration, **arguments)

    return load_module
