"""MLRSNet in the Hugging Face ecosystem: dataset, metrics and training for multi-label aerial scenes.

The names below load their modules when first used, so that `import mlrsnet_hf` stays light. Importing the package also
makes `datasets.load_dataset("mlrsnet")` mean its builder.
"""

import importlib
from typing import Any

from mlrsnet_hf.dataset.registration import register

__version__ = "0.1.0"

_PUBLIC = {
    "Classifier": "mlrsnet_hf.prediction.classifier",
    "FEATURES": "mlrsnet_hf.dataset",
    "METRICS": "mlrsnet_hf.metrics",
    "mean_average_precision": "mlrsnet_hf.metrics",
    "metric_path": "mlrsnet_hf.metrics.modules",
    "sample_f1": "mlrsnet_hf.metrics",
    "Record": "mlrsnet_hf.release",
    "open_release": "mlrsnet_hf.release",
    "write_release": "mlrsnet_hf.release",
    "GROUPS": "mlrsnet_hf.taxonomy",
    "LABELS": "mlrsnet_hf.taxonomy",
    "SCENES": "mlrsnet_hf.taxonomy",
    "find_label": "mlrsnet_hf.taxonomy",
    "find_scene": "mlrsnet_hf.taxonomy",
    "train": "mlrsnet_hf.training.run",
}

__all__ = ["__version__", *_PUBLIC]

register()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
