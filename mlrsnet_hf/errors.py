"""Typed errors: what was found, where, and what to do about it.

Every error that a user can cause derives from `MLRSNetError`. Programs print its text and exit with its code, 2 for
most; see `runtime.logs.exit_on_error`.
"""

import difflib
import importlib.util
from collections.abc import Iterable

from mlrsnet_hf.escaping import shortened

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, try again. Launchers and schedulers can tell it from a failure."""


class MLRSNetError(Exception):
    """Something that the user can mend.

    Args:
        found: What is wrong, naming the file, row or argument.
        remedy: What to do next, a whole sentence.
    """

    exit_code = EXIT_BAD_INPUT
    heading = "error"

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found, remedy)
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the whole sentence: finding, then remedy."""
        return f"{self.found}. {self.remedy}"


class ReleaseError(MLRSNetError, ValueError):
    """A folder, label file or image of the release is not as published."""


class ImageError(ReleaseError):
    """An image cannot be read."""


class UnknownNameError(MLRSNetError, ValueError):
    """A scene, label, model, metric or option name that is not known."""


class ConfigurationError(MLRSNetError, ValueError):
    """An argument or setting has a value that cannot be used."""


class DivergedError(ConfigurationError):
    """A loss is infinite or not a number."""


class WeightsError(MLRSNetError, ValueError):
    """A weights file that does not fit the model."""


class OutOfMemoryError(MLRSNetError, MemoryError):
    """The device or the host has no memory for the work as it is cut."""


class InterruptedRunError(MLRSNetError):
    """A run was asked to stop (SIGTERM, SIGINT, SIGUSR1), and has kept all that it needs to go on.

    Args:
        found: See `MLRSNetError`.
        remedy: Likewise.
        signal: The one that asked; None where another process was asked, or the launcher has ended.
    """

    exit_code = EXIT_INTERRUPTED
    heading = "stopped"

    def __init__(self, found: str, remedy: str, signal: int | None = None) -> None:
        super().__init__(found, remedy)
        self.signal = signal


_COMPARED = 200
"""Characters of a name; to look for names near a longer one takes long, and finds none."""


def name_alternatives(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a remedy sentence that lists the known names nearest to `name`, in whatever case it is written.

    Examples:
        >>> name_alternatives("mAP", ["sample_f1", "map"])
        "Did you mean 'map'?"
        >>> name_alternatives("f1", ["map", "auc"])
        'Known names: map, auc.'
    """
    known = list(known)
    spelled: dict[str, str] = {}
    for n in known:
        spelled.setdefault(n.casefold(), n)
    near = difflib.get_close_matches(name[:_COMPARED].casefold(), spelled, n=limit, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(repr(spelled[n]) for n in near)}?"
    return f"Known names: {shortened(', '.join(known), 1000)}."


EXTRAS = {
    "clip": ("open_clip",),
    "app": ("gradio", "pytorch_grad_cam"),
    "benchmark": ("scipy",),
    "curate": ("cleanlab", "crowdkit", "krippendorff", "label_studio_sdk", "matplotlib", "sklearn", "scipy"),
    "geo": ("rasterio", "shapely"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "plots": ("matplotlib",),
    "ray": ("ray",),
    "search": ("milvus_lite", "pymilvus"),
    "slurm": ("submitit",),
    "streaming": ("litdata",),
    "train": (
        "accelerate",
        "cv2",
        "fsspec",
        "matplotlib",
        "safetensors",
        "simplejpeg",
        "timm",
        "torch",
        "torchvision",
    ),
}
"""Modules of each extra of setup.cfg that its commands import."""


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
