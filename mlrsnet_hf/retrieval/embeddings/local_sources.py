"""Where the model and the images of an embeddings folder lie on this machine, so that a search can find them again."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlrsnet_hf.retrieval.embeddings.config import ImageSet, ModelChoice

LOCAL_FILE = ".local.json"
"""Beside `embeddings.json`; it holds paths, and is not published."""


_NO_PATHS = ("mlrsnet", "pretrained", "random")
"""Values that name no file, though a file of that name may lie here."""


@dataclass(frozen=True, slots=True)
class LocalSources:
    """Model and images."""

    model: ModelChoice
    images: ImageSet


def to_local(model: ModelChoice, images: ImageSet) -> dict[str, Any]:
    """Return model and images as JSON, with absolute paths."""
    chosen = {field.name: getattr(model, field.name) for field in dataclasses.fields(ModelChoice)}
    return {
        "model": _absolute(chosen, ("model", "weights")),
        "images": _absolute(dataclasses.asdict(images), ("images", "dataset", "data_dir")),
    }


def from_local(content: Mapping[str, Any]) -> LocalSources | None:
    """Return what `to_local` gave; None for anything else."""
    try:
        images = dict(content["images"])
        if "labels" in images:  # the former name
            images["label_version"] = images.pop("labels")
        return LocalSources(ModelChoice(**content["model"]), ImageSet(**images))
    except (KeyError, TypeError):
        return None


def read_local(folder: Path) -> LocalSources | None:
    """Return the sources of an embeddings folder, or None if it was made elsewhere."""
    try:
        return from_local(json.loads((folder / LOCAL_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _absolute(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values, with those that name something on this disk as absolute paths."""
    for name in names:
        if values[name] in _NO_PATHS:
            continue
        path = Path(values[name]).expanduser() if values[name] is not None else None
        if path is not None and path.exists():
            values[name] = str(path.absolute())
    return values
