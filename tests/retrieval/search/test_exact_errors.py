"""Bad input is refused in one sentence that names it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval import CommonLabels, SameClass, Search


def with_value(value: float, row: int = 2) -> np.ndarray:
    array = np.ones((4, 3))
    array[row, 1] = value
    return array


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "empty": (lambda: Search(np.empty((0, 3))), r"database.*\(0, 3\)"),
    "no matrix": (lambda: Search(np.ones(3)), r"database.*\(3,\)"),
    "words": (lambda: Search([["a"]]), "database.*<U1"),
    "distance": (lambda: Search(np.ones((2, 2)), "hamming"), "hamming"),  # type: ignore[arg-type]
    "nan": (lambda: Search(with_value(np.nan)), r"database\[2\].*nan.*dimension 1"),
    "nan, named": (lambda: Search(with_value(np.nan), ids=list("abcd")), r"database\[2\] \(c\).*nan"),
    "infinite": (lambda: Search(with_value(-np.inf)), r"database\[2\].*-inf"),
    "ids": (lambda: Search(np.ones((2, 2)), ids=["a"]), "1 ids.*2 vectors"),
    "long": (lambda: Search(with_value(1e30)), r"database\[2\].*float32"),
    "short": (lambda: Search(np.full((3, 2), 1e-20)), "database.*float32"),
    "zero": (lambda: Search(np.eye(3) * [1, 0, 1], "cosine"), r"database\[1\].*zero"),
    "memory": (lambda: Search(np.ones((100_000, 2)), memory_megabytes=1), "memory_megabytes=1 "),
    "dimensions": (
        lambda: Search(np.ones((4, 3))).top(np.ones((1, 2)), 1),
        "queries.* 2 .* 3",
    ),
    "query nan": (lambda: Search(np.ones((4, 3))).top(with_value(np.nan, 3), 1), r"queries\[3\].*nan.*dimension 1"),
    "query zero": (lambda: Search(np.ones((4, 3)), "cosine").top(np.zeros((1, 3)), 1), r"queries\[0\].*zero"),
    "no query": (lambda: Search(np.ones((4, 3))).top(np.ones((0, 3)), 1), r"queries.*\(0, 3\)"),
    "deep": (lambda: Search(np.ones((4, 3))).top(np.ones((1, 3)), 5), "k=5 .* 4 items"),
    "k": (lambda: Search(np.ones((4, 3))).top(np.ones((1, 3)), 0), "k=0 "),
    "depth": (
        lambda: Search(np.ones((4, 3))).relevant_ranks(np.ones((1, 3)), SameClass([0], [0] * 4), depth=0),
        "depth=0 ",
    ),
    "shape": (
        lambda: Search(np.ones((4, 3))).relevant_ranks(np.ones((2, 3)), SameClass([0], [0] * 4)),
        r"relevance.*\(1, 4\).*\(2, 4\)",
    ),
    "class": (
        lambda: SameClass(["park", "pier"], ["park"]),
        "query 1 of class 'pier'",
    ),
    "kinds": (lambda: SameClass(["park"], [1]), "query_classes.*names.*database_classes.*numbers"),
    "class matrix": (lambda: SameClass([[1]], [1]), r"query_classes.*\(1, 1\)"),
    "labels": (lambda: CommonLabels([[1, 0]], [[1]]), r"query_labels \(1, 2\).*database_labels \(1, 1\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    function, message = BAD[case]
    with pytest.raises(ConfigurationError, match=message):
        function()


def test_the_least_memory_that_is_named_is_enough() -> None:
    items = np.ones((100_000, 2), dtype=np.float32)
    with pytest.raises(ConfigurationError) as caught:
        Search(items, memory_megabytes=1)
    least = float(caught.value.remedy.removeprefix("Give at least ").removesuffix(".").replace(",", ""))
    assert len(Search(items, memory_megabytes=least).top(items[:2], 1).indices) == 2


def test_a_class_without_items_may_be_left_to_the_metrics() -> None:
    relevance = SameClass(["park", "pier"], ["park", "park"], allow_none=True)
    ranks = Search(np.eye(2)).relevant_ranks(np.eye(2), relevance)
    assert (ranks.ranks.tolist(), ranks.relevant.tolist()) == ([1, 2], [2, 0])
