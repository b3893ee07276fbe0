"""Accelerate's trackers: which are there, and how each goes on with a resumed run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import get_available_trackers

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.training.config import TRACKERS

PROJECT = "mlrsnet-hf"

_PACKAGES = {"comet_ml": "comet-ml"}


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that Accelerate would leave out in silence.

    Raises:
        UnknownNameError: Accelerate knows no such tracker.
        ConfigurationError: Its package is not installed.
    """
    available = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in TRACKERS:
            raise UnknownNameError(f"trackers={name!r} is not known", name_alternatives(name, TRACKERS))
        if name not in available:
            raise ConfigurationError(
                f"the tracker {name} is not installed",
                f"Run: pip install {_PACKAGES.get(name, name)}, or leave it out of trackers.",
            )


def tracker_options(folder: Path, run_id: str, step: int) -> dict[str, dict[str, Any]]:
    """Return what each tracker is told when it starts, by its name.

    Args:
        folder: The run folder.
        run_id: The same for all parts of a resumed run.
        step: Steps taken before a resumption; TensorBoard hides what was written for later ones.
    """
    return {
        "tensorboard": {"purge_step": step + 1} if step else {},
        "wandb": {"dir": str(folder), "name": folder.name, "id": run_id, "resume": "allow"},
        "trackio": {"name": f"{folder.name}-{run_id}", "resume": "allow"},
    }


def plain_settings(settings: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return settings as the plain values that all trackers take."""
    return {
        name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in settings.items()
    }
