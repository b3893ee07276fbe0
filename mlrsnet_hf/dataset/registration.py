# ruff: noqa: ANN401 - the signatures are those of `datasets`
"""`load_dataset("mlrsnet")` means this package's builder: the one place that reaches into `datasets`.

`datasets` has loaders that it knows by name ("csv", "imagefolder"). The name "mlrsnet" joins them, with one difference:
for a name of its own `datasets` lists the working directory, fails on an empty one, and puts what it finds into the
cache key; for "mlrsnet" it looks at nothing. A path, such as "./mlrsnet", is no name and means the folder as before.

`import mlrsnet_hf` must not wait for `datasets`; where that is not loaded yet, the name is registered as soon as it is.
"""

import importlib.abc
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mlrsnet_hf.errors import ConfigurationError

NAME = "mlrsnet"
BUILDER_MODULE = "mlrsnet_hf.dataset.builder"


def register() -> None:
    """Make "mlrsnet" a name that `datasets` knows: now if it is loaded, else as soon as it is."""
    if "datasets" in sys.modules:
        _register()
    elif not any(isinstance(finder, _RegisterOnImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegisterOnImport())


class _RegisterOnImport(importlib.abc.MetaPathFinder):
    """Lets the other finders find `datasets`, and registers the name when the module has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "datasets":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            _call_after(spec.loader, _register)
        return spec


def _call_after(loader: Any, action: Any) -> None:
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        action()

    loader.exec_module = exec_module


def _register() -> None:
    try:
        from datasets import load
        from datasets.data_files import DataFilesDict

        known, _ = load._PACKAGED_DATASETS_MODULES, load.PackagedDatasetModuleFactory
    except (ImportError, AttributeError) as error:
        warnings.warn(f'load_dataset("{NAME}") is not available, `datasets` has changed: {error}', stacklevel=2)
        return
    if NAME in known:
        return

    class ModuleFactory(load.PackagedDatasetModuleFactory):
        """Finds our builder under our name without looking around, and every other as before."""

        def __init__(self, name: str, *args: Any, **options: Any) -> None:
            if name != NAME:
                super().__init__(name, *args, **options)
            elif options.get("data_files") is not None:
                raise ConfigurationError(
                    f'load_dataset("{NAME}") takes no data_files', "Pass the folder or archive as data_dir."
                )
            self.name = name

        def get_module(self) -> Any:
            if self.name != NAME:
                return super().get_module()
            return load.DatasetModule(BUILDER_MODULE, "", {"data_files": DataFilesDict(), "dataset_name": NAME})

    known[NAME] = (BUILDER_MODULE, "")
    load.PackagedDatasetModuleFactory = ModuleFactory
