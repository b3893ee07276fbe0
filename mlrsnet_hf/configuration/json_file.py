"""JSON files from anybody: bounded, and checked against the annotated type of what is built of them, before it is.

What a file may hold stands once, as the annotations of the dataclass or `TypedDict` that it becomes; single values go
through `settings.checked`, as those of YAML and of the command line do.
"""

# ruff: noqa: ANN401 - whatever JSON holds
import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mlrsnet_hf.configuration.settings import Range, checked, take_apart, words_beside_number
from mlrsnet_hf.errors import ConfigurationError, MLRSNetError
from mlrsnet_hf.escaping import quoted, shortened

MOST_BYTES = 32 * 2**20
"""The largest file that is read; ours have a few KB, those of very many labels or images a few MB."""

MOST_BYTES_KEPT = 2**30
"""The largest file that is read of those that our own commands keep in their folders: a study's have many answers."""

NULL_IS_NAN = "null is NaN"
Defined = Annotated[float, NULL_IS_NAN]
"""A number, or null where it is not defined, which is NaN here."""
Name = Annotated[str, Range(0, 1000)]
"""Text that is printed as a name."""
Scalar = str | int | float | bool | None
_ABSENT = object()


def read_json(
    path: Path, kind: Any, remedy: str, error: type[MLRSNetError] = ConfigurationError, most: int | None = None
) -> Any:
    """Return what a JSON file holds, as a value of a type; `json_as` says which types there are.

    Args:
        path: The file.
        kind: See `json_as`.
        remedy: What to do about another content.
        error: What is raised.
        most: Bytes that it may have; those of any file if unset.

    Raises:
        MLRSNetError: Of the type `error`: the file cannot be read, is too large, is no JSON or holds something else.
            The message names the file and the place in it, and ends with `remedy`.
    """
    most = MOST_BYTES if most is None else most
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror or fault})", remedy) from fault
    return parse_json(content, kind, str(path), remedy, error, most)


def parse_json(
    content: bytes | str,
    kind: Any,
    source: str,
    remedy: str,
    error: type[MLRSNetError] = ConfigurationError,
    most: int | None = None,
) -> Any:
    """Return what JSON holds, as a value of a type.

    Args:
        content: The JSON.
        kind: See `json_as`.
        source: Where it lies, for errors.
        remedy: What to do about another content.
        error: What is raised.
        most: Bytes that it may have; those of any file if unset.

    Raises:
        MLRSNetError: See `read_json`.
    """
    most = MOST_BYTES if most is None else most
    if len(content) > most:
        raise error(f"{source}: cannot be read (more than {most:,} bytes)", remedy)
    try:
        values = json.loads(content)
    # What is no text, no JSON, or has more digits than Python reads; lists in lists in lists.
    except (ValueError, RecursionError) as fault:
        raise error(f"{source}: cannot be read ({shortened(str(fault), 200)})", remedy) from fault
    return json_as(values, kind, source, remedy, error)


def json_as(values: Any, kind: Any, source: str, remedy: str, error: type[MLRSNetError] = ConfigurationError) -> Any:
    """Return values of JSON as a type.

    Args:
        values: As `json.loads` gives them.
        kind: A dataclass, which gets exactly its fields; a `TypedDict`, of which a dict holds what it names and
            whatever else there is; `Mapping`, `tuple`, `list` and unions with None of such; `Defined`; what `checked`
            knows, with its limits; or Any.
        source: Where they lie, for errors.
        remedy: What to do about others.
        error: What is raised.

    Raises:
        MLRSNetError: See `read_json`.
    """
    try:
        return _value("", kind, values)
    except MLRSNetError as fault:
        wanted = fault.remedy[:1].lower() + fault.remedy[1:].rstrip(".")
        raise error(f"{source}: {fault.found} ({wanted})", remedy) from fault


def _value(name: str, kind: Any, value: Any) -> Any:
    if _is_plain(_plain(kind), value):
        return value
    if value is None and NULL_IS_NAN in getattr(kind, "__metadata__", ()):
        return math.nan
    choices, plain, optional, limits, origin, is_object = _shape(kind)
    if choices:
        if isinstance(value, choices):
            return value
        raise ConfigurationError(f"{_shown(name)}={quoted(value)} cannot be used", "Give text, a number or null.")
    if optional and value is None:
        return None
    if is_object:
        return _object(name, plain, value)
    if origin is Mapping or origin is dict:
        _refuse_other(name, value, dict, "an object", limits)
        of_names, of_values = typing.get_args(plain)
        names, values = _plain(of_names), _plain(of_values)
        return {
            (key if _is_plain(names, key) else _value(name, of_names, key)): (
                part if _is_plain(values, part) else _value(f"{name}.{key}", of_values, part)
            )
            for key, part in value.items()
        }
    if origin in (tuple, list):
        _refuse_other(name, value, list, "a list", limits)
        inner = typing.get_args(plain)
        each = (inner[0],) * len(value) if inner[1:] == (...,) or origin is list else inner
        if len(each) != len(value):
            raise ConfigurationError(f"{_shown(name)} has {len(value)} entries", f"Give {len(each)}.")
        return origin(
            _value(f"{name}[{i}]", part, entry) for i, (part, entry) in enumerate(zip(each, value, strict=True))
        )
    return checked(_shown(name), kind, value)


class _Plain(NamedTuple):
    """Which single values `_value` gives as they are."""

    exact: Any
    """Their type; Any where all are given so, None where more has to be asked."""
    limits: Range | None


def _is_plain(plain: _Plain, value: Any) -> bool:
    """Return whether a value is given as it is: a log has millions that are, and naming their places takes long."""
    exact, limits = plain
    if exact is not type(value):
        return exact is Any
    if exact is str:
        return value != "none" and (limits is None or len(value) in limits)  # the word may stand for None
    return (exact is float or -(2**63) < value < 2**63) and (limits is None or value in limits)


@cache
def _plain(kind: Any) -> _Plain:
    if kind is Any:
        return _Plain(Any, None)
    choices, plain, _, limits, _, _ = _shape(kind)
    is_single = not choices and plain in (str, int, float) and not words_beside_number(kind)
    return _Plain(plain if is_single else None, limits)


@cache  # a log of a million lines asks for the same few types
def _shape(kind: Any) -> tuple[tuple[Any, ...], Any, bool, Range | None, Any, bool]:
    """Return the parts of a union such as `Scalar`; else bare type, whether None will do, limits, origin, is class."""
    choices = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else ()
    if len(choices) > 2 and not words_beside_number(kind):
        return choices, None, False, None, None, False
    plain, optional, limits = take_apart(kind)
    is_object = dataclasses.is_dataclass(plain) or typing.is_typeddict(plain)
    return (), plain, optional, limits, typing.get_origin(plain), is_object


def _object(name: str, kind: Any, value: Any) -> Any:
    """Return a dataclass made of an object, or a dict as a `TypedDict` has it."""
    _refuse_other(name, value, dict, "an object", None)
    known, needed = _fields(kind)
    if missing := [field for field in needed if field not in value]:
        raise ConfigurationError(f"not whole: {', '.join(_join(name, one) for one in missing)} missing", "Give all.")
    made = {
        field: part if _is_plain(plain, part) else _value(_join(name, field), of, part)
        for field, (of, plain) in known.items()
        if (part := value.get(field, _ABSENT)) is not _ABSENT
    }
    if typing.is_typeddict(kind):
        return value | made
    if unknown := sorted(value.keys() - known.keys()):
        raise ConfigurationError(f"{_join(name, unknown[0])} is not known", "Leave it out.")
    return kind(**made)


@cache
def _fields(kind: Any) -> tuple[dict[str, tuple[Any, _Plain]], tuple[str, ...]]:
    """Return the type of each field, with what `_is_plain` asks, and the fields that must be there."""
    hints = typing.get_type_hints(kind, include_extras=True)
    if typing.is_typeddict(kind):
        return {name: (of, _plain(of)) for name, of in hints.items()}, tuple(sorted(kind.__required_keys__))
    fields = dataclasses.fields(kind)
    missing = dataclasses.MISSING
    needed = tuple(one.name for one in fields if one.default is missing and one.default_factory is missing)
    return {one.name: (hints[one.name], _plain(hints[one.name])) for one in fields}, needed


def _refuse_other(name: str, value: Any, kind: type, words: str, limits: Range | None) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{_shown(name)}={quoted(value)} cannot be used", f"Give {words}.")
    if limits is not None and len(value) not in limits:  # type: ignore[arg-type] # a list or a dict
        raise ConfigurationError(f"{_shown(name)} has {len(value):,} entries", f"Give a number {limits}.")  # type: ignore[arg-type]


def _join(name: str, field: str) -> str:
    return f"{name}.{field}".lstrip(".")


def _shown(name: str) -> str:
    """Return the place of a value in a file as an error names it."""
    return shortened(name.lstrip("."), 200) or "the content"
