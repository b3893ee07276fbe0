"""Experiment trackers through Accelerate: those of the settings that are installed here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accelerate.tracking import get_available_trackers


def installed_trackers(names: Sequence[str], say: Callable[[str], None] = print) -> list[str]:
    """Return the trackers that Accelerate can start here.

    Args:
        names: Accelerate's names, such as `tensorboard`, `trackio`, `wandb` and `mlflow`.
        say: Is told of each that is not installed; Accelerate would leave it out without a word.
    """
    available = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            say(f"tracker {name} is left out: it is not installed (pip install {name})")
    return [name for name in names if name in available]


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
