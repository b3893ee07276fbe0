"""Optional dependencies: what a command needs beyond the base install."""

import importlib.util

from mlrsnet_hf.errors import MLRSNetError

EXTRAS = {
    "plots": ("matplotlib",),
    "search": ("milvus_lite", "pymilvus"),
    "train": (
        "accelerate",
        "fsspec",
        "matplotlib",
        "safetensors",
        "simplejpeg",
        "tensorboard",
        "timm",
        "torch",
        "torchvision",
        "transformers",
    ),
}
"""Modules that each extra of setup.cfg brings."""


class MissingExtraError(MLRSNetError, ImportError):
    """A package that is not part of the base install."""


def require_extra(extra: str) -> None:
    """Refuse to go on without the packages of an extra.

    Raises:
        MissingExtraError: A package is missing; the message holds the command that installs it.
    """
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs {', '.join(missing)}, not part of the base install",
            f'Run: pip install "mlrsnet-hf[{extra}]" (in a checkout: pip install ".[{extra}]").',
        )
