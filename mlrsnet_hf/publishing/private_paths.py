"""A run's files without the places of the machine that it ran on."""

import json
import re
from pathlib import Path
from typing import Any

_PREFIX = "local-dir:"
_RUN_PARTS = ("config", "data", "model")
_NAMES = ("label_names", "scene_names")


def public_results(text: str) -> str:
    """Return results.json with each path that leads out of the working folder cut to its last name."""
    content = json.loads(text)
    for part in _RUN_PARTS:
        names = {name: content[part][name] for name in _NAMES if name in content[part]}  # these are no paths
        content[part] = _public(content[part]) | names
    return json.dumps(content, indent=2) + "\n"


def public_settings(text: str, settings: dict[str, Any]) -> str:
    """Return settings.yaml, which holds one setting a line, with the same paths cut and its comments kept.

    Args:
        text: Of the file.
        settings: What it holds.
    """
    for name, value in settings.items():
        if (public := _public(value)) != value:
            line = f"{name}: {json.dumps(public, ensure_ascii=False)}"  # quoted: a folder may be called 0123
            text = re.sub(rf"^{re.escape(name)}:.*(\n[ -].*)*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
    return text


def _public(value: Any) -> Any:  # noqa: ANN401 - what JSON and YAML hold
    if isinstance(value, dict):
        return {name: _public(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_public(part) for part in value]
    if not isinstance(value, str):
        return value
    prefix, path = (_PREFIX, value.removeprefix(_PREFIX)) if value.startswith(_PREFIX) else ("", value)
    return prefix + Path(path).name if _leads_out(path) else value


def _leads_out(path: str) -> bool:
    return len(path) > 1 and (Path(path).is_absolute() or path.startswith("~") or Path(path).parts[:1] == ("..",))
