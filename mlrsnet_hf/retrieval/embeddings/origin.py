"""What embeddings on the disk were made of: whether a later run goes on with them, or refuses their place."""

import json
from pathlib import Path
from typing import Any

from mlrsnet_hf.files import refuse_existing
from mlrsnet_hf.retrieval.embeddings.config import EmbeddingConfig
from mlrsnet_hf.retrieval.embeddings.info import LOCAL_FILE, EmbeddingInfo

_SETTINGS = ("dtype", "pca", "whiten", "pca_images", "shard_images", "precision")


def origin_of(config: EmbeddingConfig, raw_info: EmbeddingInfo) -> dict[str, Any]:
    """Return what must be the same for a later run to go on."""
    return {"embeddings": raw_info.to_json(), "settings": {name: getattr(config, name) for name in _SETTINGS}}


def origin_of_whole(folder: Path) -> list[dict[str, Any]]:
    """Return what a folder was made of that is whole but did not get its name."""
    try:
        return [json.loads((folder / LOCAL_FILE).read_text(encoding="utf-8"))["origin"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def refuse_others(target: Path, config: EmbeddingConfig) -> None:
    """Refuse a target, before anything is loaded, that a run with these settings cannot have made.

    Raises:
        ConfigurationError: It exists, and is another's.
    """
    if target.exists() and (made := origin_of_whole(target)):
        settings = made[0].get("settings", {})
        if all(settings.get(name) == getattr(config, name) for name in _SETTINGS):
            return
    refuse_existing(target)
