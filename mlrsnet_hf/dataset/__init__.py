"""Records to `datasets`.

The names below load their modules when first used, so that `registration` can be imported without `datasets`.
"""

import importlib
from typing import Any

_PUBLIC = {
    "DEFAULT_PROTOCOL": "mlrsnet_hf.dataset.splits.protocols",
    "FEATURES": "mlrsnet_hf.dataset.repository.schema",
    "GROUPED_PROTOCOLS": "mlrsnet_hf.dataset.splits.protocols",
    "PROTOCOLS": "mlrsnet_hf.dataset.splits.protocols",
    "split_ids": "mlrsnet_hf.dataset.splits.protocols",
    "to_example": "mlrsnet_hf.dataset.repository.schema",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
