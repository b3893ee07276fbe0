"""results.json, which a finished run leaves: read and checked without torch, for training and for publishing."""

import json
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError

RESULTS = "results.json"
RESULTS_FORMAT = 2
"""Raised when a reader of the old one would go wrong."""
_FIELDS = (
    *("recipe", "config", "data", "model", "task", "history", "scored_epoch", "scores", "tuned", "eval_symmetries"),
    *("labels", "run"),
)
_REMEDY = f"Give the {RESULTS} of a finished run."


def read_results_file(path: Path) -> dict[str, Any]:
    """Return the content of a run's results file, with all its fields.

    Raises:
        ConfigurationError: There is none, it is damaged, or it has another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})", _REMEDY) from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: holds no results", _REMEDY)
    found = content.get("format")
    if found != RESULTS_FORMAT:
        raise ConfigurationError(
            f"{path}: these results have format {found!r}, this version reads {RESULTS_FORMAT}",
            "Train again, or use the version of mlrsnet-hf that wrote them.",
        )
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise ConfigurationError(
            f"{path}: these results are not whole: {', '.join(missing)} missing", "Use them as a run wrote them."
        )
    return content
