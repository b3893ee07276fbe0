"""The examples in docstrings give what they say."""

import doctest
import importlib
import importlib.util
import pkgutil

import pytest

import mlrsnet_hf

LEFT_OUT = ("__main__",) if importlib.util.find_spec("gradio") else ("__main__", "mlrsnet_hf.apps.")
"""The application's modules are imported where Gradio is, which .[test] does not bring."""
MODULES = [
    info.name
    for info in pkgutil.walk_packages(mlrsnet_hf.__path__, "mlrsnet_hf.")
    if not any(name in info.name for name in LEFT_OUT)
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
