"""What a finished measurement of retrieval left: whether a later one is spared, or refuses its place."""

import json
from typing import Any

from mlrsnet_hf.configuration.command_line import build, read_values
from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.retrieval.protocol.config import RetrievalConfig

RESULTS = "results.json"
PAGE = "index.html"
SETTINGS = "settings.yaml"


def earlier_results(config: RetrievalConfig) -> dict[str, Any] | None:
    """Return what a finished run with the same settings has written; refuse anything else at its place.

    Raises:
        ConfigurationError: Something else is there.
    """
    folder = config.output_dir.expanduser()
    try:
        found: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        same = build(RetrievalConfig, read_values(folder / SETTINGS, RetrievalConfig)) == config
    except (OSError, ValueError):
        same = False
    if same and isinstance(found, dict) and (folder / PAGE).is_file():
        return found
    refuse_existing(folder)
    return None
