"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import mlrsnet_hf

MODULES = [
    info.name for info in pkgutil.walk_packages(mlrsnet_hf.__path__, "mlrsnet_hf.") if "__main__" not in info.name
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    found = [
        test
        for name in MODULES
        for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
        if test.examples
    ]
    assert len(found) >= 5
