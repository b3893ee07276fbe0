"""Experiment trackers through Accelerate: which are there, and how each goes on with a resumed run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import accelerate
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from mlrsnet_hf.errors import ConfigurationError

PROJECT = "mlrsnet-hf"

_PACKAGES = {"comet_ml": "comet-ml", "trackio": "'mlrsnet-hf[trackio]'"}
"""Where a tracker's package has another name, or needs older versions of what is here."""


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not installed; Accelerate would leave them out without a word.

    Args:
        names: Accelerate's names, such as `tensorboard`, `trackio`, `wandb` and `mlflow`.

    Raises:
        ConfigurationError: A tracker is not installed, or not known to the Accelerate that is.
    """
    known = {str(tracker) for tracker in LoggerType}
    available = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"Accelerate {accelerate.__version__} does not know tracker {name}",
                "Run: pip install -U accelerate, or leave it out of trackers.",
            )
        if name not in available:
            raise ConfigurationError(
                f"tracker {name} is not installed",
                f"Run: pip install {_PACKAGES.get(name, name)}, or leave it out of trackers.",
            )


def tracker_options(folder: Path, run_id: str, step: int) -> dict[str, dict[str, Any]]:
    """Return what each tracker is told when it starts, by its name.

    Args:
        folder: The run folder.
        run_id: The same for all parts of a resumed run.
        step: Steps taken before a resumption; TensorBoard then hides what was written for later ones.
    """
    return {
        "tensorboard": {"purge_step": step + 1} if step else {},
        "wandb": {"dir": str(folder), "name": folder.name, "id": run_id, "resume": "allow"},
        "trackio": {"name": f"{folder.name}-{run_id}", "resume": "allow"},
    }


def tracked_settings(settings: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """Return settings as the values that every tracker takes; TensorBoard knows neither lists nor None.

    Examples:
        >>> tracked_settings({"epochs": 3, "precision": None, "trackers": ["tensorboard", "trackio"]})
        {'epochs': 3, 'precision': 'none', 'trackers': 'tensorboard, trackio'}
    """
    return {name: _tracked(value) for name, value in settings.items()}


def _tracked(value: Any) -> str | int | float | bool:  # noqa: ANN401 - any setting
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return "none" if value is None else value
