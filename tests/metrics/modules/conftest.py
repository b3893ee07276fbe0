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


@pytest.fixture(scope="session")
def example_values() -> Callable[[str, str], dict[str, float]]:
    """Values by module and configuration."""
    return worked_values


def worked_values(name: str, configuration: str) -> dict[str, float]:
    """Return what a module gives for the example of a configuration with the options of its page, worked by hand."""
    # Image 1: one hit of two predictions and one label, F1 = 2/3; image 2 is right. P = 3/4, R = 1, 2 P R / (P + R).
    sample = {"sample_f1": 5 / 6, "f1_of_means": 6 / 7, "sample_precision": 3 / 4, "sample_recall": 1.0}
    # Airplane, ships and water occur, of 60 labels, and of the three of the multi-hot rows all do.
    absent = 0 if configuration == "multi_hot" else 57
    values = {
        "sample_f1": {**sample, "sample_f1_left_out": 0},
        "multilabel_map": {"multilabel_map": 1.0, "multilabel_map_left_out": absent},
        # NG = 2, K = 4. Ranks 1 and 3: (2 - 1.5) / (5 - 1.5) = 1/7. Ranks 1 and 2: 0.
        "anmrr": {"anmrr": 1 / 14, "anmrr_left_out": 0},
        "precision_at_k": {"precision_at_1": 1, "precision_at_2": 3 / 4, "precision_at_4": 1 / 2}
        | {"precision_at_k_left_out": 0},
        # (1 + 1/2 + 2/3 + 1/2) / 4 = 2/3 and (1 + 1 + 2/3 + 1/2) / 4 = 19/24.
        "retrieval_map": {"retrieval_map": (2 / 3 + 19 / 24) / 2, "retrieval_map_left_out": 0},
    }
    return values[name]
