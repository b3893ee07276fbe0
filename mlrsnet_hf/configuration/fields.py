"""Settings as fields of dataclasses: help text, type, and the way from a command line's or a YAML file's value."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlrsnet_hf.errors import ConfigurationError

_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    tuple: "a list of names",
}


def setting(default: Any, text: str, section: str = "") -> Any:  # noqa: ANN401 - the type is the annotated field's
    """Return a field whose help text serves both the reader and `--help`.

    Args:
        default: Its value if nothing else is given.
        text: One sentence.
        section: Title of the settings from this one on, for `--help` and settings.yaml.
    """
    return dataclasses.field(default=default, metadata={"help": text, "section": section})


def setting_types(config: type) -> Mapping[str, Any]:
    """Return the annotated type of every setting of a dataclass, by name."""
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def check_types(config: Any) -> None:  # noqa: ANN401 - any frozen dataclass of settings
    """Bring the values of a new dataclass to the types of its fields: text to paths, whole numbers to fractions.

    Raises:
        ConfigurationError: A value is of another kind.
    """
    for name, kind in setting_types(type(config)).items():
        object.__setattr__(config, name, typed_value(name, kind, getattr(config, name)))


def typed_value(name: str, kind: Any, value: Any) -> Any:  # noqa: ANN401 - any setting
    """Return a plain value (of a YAML file, say) as the type of its setting.

    Raises:
        ConfigurationError: It is of another kind; the message begins with `name`.
    """
    plain, optional = _without_none(kind)
    if value is None and optional:
        return None
    if plain in (bool, str) and isinstance(value, plain):
        return value
    if plain is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if plain is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if plain is Path and isinstance(value, str | Path):
        return Path(value)
    if _is_list(plain) and isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise ConfigurationError(f"{name}={value!r} cannot be used", f"Give {expected_value(kind)}.")


def value_from_text(name: str, kind: Any, text: str | list[str]) -> Any:  # noqa: ANN401 - any setting
    """Return what a command line gives as the type of its setting; `none` unsets what may be unset.

    Raises:
        ConfigurationError: The text does not say such a value; the message begins with `name`.
    """
    plain, optional = _without_none(kind)
    if optional and text == "none":
        return None
    if plain in (int, float) and isinstance(text, str):
        try:
            return plain(text)
        except ValueError:
            pass
    return typed_value(name, kind, text)


def expected_value(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """Say in words what a setting takes."""
    plain, optional = _without_none(kind)
    return _EXPECTED[tuple if _is_list(plain) else plain] + (" or none" if optional else "")


def _without_none(kind: Any) -> tuple[Any, bool]:  # noqa: ANN401 - any annotation
    """Return the type beside None, and whether None is allowed."""
    if isinstance(kind, types.UnionType):
        (plain,) = (part for part in typing.get_args(kind) if part is not type(None))
        return plain, True
    return kind, False


def _is_list(plain: Any) -> bool:  # noqa: ANN401 - any annotation
    return typing.get_origin(plain) is tuple
