"""Settings as fields of frozen dataclasses: what each takes, and one check of it wherever the value comes from."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted


@dataclass(frozen=True, slots=True)
class Range:
    """Which numbers a setting takes, or how many characters of text; infinity and NaN are none of them."""

    low: float
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is excluded."""
    below: bool = False
    """Whether `high` itself is excluded."""

    def __contains__(self, value: float) -> bool:
        high_enough = self.low < value if self.above else self.low <= value
        return high_enough and (value < self.high if self.below else value <= self.high) and value < math.inf

    def __str__(self) -> str:
        """Return the words that follow "a number"."""
        if self.high == math.inf:
            return f"{'above' if self.above else 'of at least'} {self.low}"
        return f"{'above' if self.above else 'from'} {self.low} {'to below' if self.below else 'up to'} {self.high}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Marks a setting of text that a file or Python may give as a list, or as a list of lists."""

    @staticmethod
    def text(value: Any) -> Any:  # noqa: ANN401 - any setting
        """Return a list, or a number, as the command line gives it; anything else as it is.

        Examples:
            >>> Joined.text((4, 3, 2)), Joined.text([[0, 3000], [0, 1]]), Joined.text("2%,98%")
            ('4,3,2', '0,3000;0,1', '2%,98%')
        """
        if isinstance(value, list | tuple):
            nested = any(isinstance(entry, list | tuple) for entry in value)
            return (";" if nested else ",").join(str(Joined.text(entry)) for entry in value)
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Count = Annotated[int, Range(1)]
CountOrZero = Annotated[int, Range(0)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
"""What NumPy's and PyTorch's generators take."""
Positive = Annotated[float, Range(0, above=True)]
PositiveOrZero = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1, below=True)]
Share = Annotated[float, Range(0, 1, above=True)]
JoinedText = Annotated[str, Joined()]


def setting(
    default: Any = dataclasses.MISSING,  # noqa: ANN401 - the type is the annotated field's
    text: str = "",
    section: str = "",
    *,
    former: str = "",
    short: str = "",
    metavar: str = "",
    positional: bool = False,
    repeated: bool = False,
) -> Any:  # noqa: ANN401
    """Return a field whose help text serves both the reader and `--help`.

    Args:
        default: Its value if nothing else is given; left out, the setting is required.
        text: A noun phrase, with a full stop; of a setting that may be None, it says what happens then.
        section: Title of the settings from this one on, for `--help` and settings.yaml.
        former: An earlier name, still accepted on the command line and in files.
        short: An option of one letter, such as "-k".
        metavar: What `--help` calls the value, instead of the usual word for its type.
        positional: Whether the command line gives it by its place.
        repeated: Whether the command line gives a list by the option again and again, with one value each time.
    """
    about = {"section": section, "former": former, "short": short, "metavar": metavar, "positional": positional}
    return dataclasses.field(default=default, metadata={"help": text, "repeated": repeated} | about)


class Settings:
    """Base of the frozen dataclasses whose fields are made by `setting`.

    Raises:
        ConfigurationError: A value is of another type or out of range.
        UnknownNameError: A value is none of the known names.
    """

    def __post_init__(self) -> None:
        """Check every value, and bring it to its field's type: text to paths, lists to tuples, 1 to 1.0."""
        for name, (_, kind) in leaves(type(self)).items():
            object.__setattr__(self, name, checked(name, kind, getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON, YAML and trackers."""
        return {name: _plain(getattr(self, name)) for name in leaves(type(self))}

    def _require(self, name: str, fits: bool, expected: str) -> None:
        """Refuse a value that does not fit the others."""
        if not fits:
            value = getattr(self, name)
            shown = quoted(str(value) if isinstance(value, Path) else value)
            raise ConfigurationError(f"{name}={shown} cannot be used", f"Give {expected}.")


def changed_settings(settings: Settings) -> set[str]:
    """Return the names of the settings that are not at their default."""
    return {
        field.name
        for field in dataclasses.fields(settings)  # type: ignore[arg-type] # its children are dataclasses
        if getattr(settings, field.name) != field.default
    }


def parts(settings: type) -> Mapping[str, type]:
    """Return the dataclasses of which some settings are composed, by field."""
    return {name: kind for name, (_, kind) in _fields(settings).items() if dataclasses.is_dataclass(kind)}  # type: ignore[misc]


def leaves(settings: type) -> Mapping[str, tuple[dataclasses.Field, Any]]:
    """Return field and annotated type of every single setting of a dataclass, by name; parts stand apart."""
    return {name: entry for name, entry in _fields(settings).items() if not dataclasses.is_dataclass(entry[1])}


@functools.cache
def _fields(settings: type) -> Mapping[str, tuple[dataclasses.Field, Any]]:
    hints = typing.get_type_hints(settings, include_extras=True)
    return {field.name: (field, hints[field.name]) for field in dataclasses.fields(settings)}


def all_leaves(settings: type) -> Mapping[str, tuple[dataclasses.Field, Any]]:
    """Return what `leaves` does, and behind them those of the parts, in the order in which they stand."""
    found = dict(leaves(settings))
    for part in parts(settings).values():
        found |= all_leaves(part)
    return found


_BEYOND = 2**63
"""No whole number that anything here takes, NumPy and PyTorch above all, is as large."""


def checked(name: str, kind: Any, value: Any) -> Any:  # noqa: ANN401 - any setting
    """Return a value as the type of its setting; `none` unsets what may be unset, as None does.

    Raises:
        ConfigurationError: It is of another type or out of range; the message begins with `name`.
        UnknownNameError: It is none of the known names.
    """
    plain, optional, limits = take_apart(kind)
    if isinstance(value, str) and value in words_beside_number(kind):
        return value
    if optional and (value is None or value == "none"):
        return None
    if Joined() in _notes(kind):
        value = Joined.text(value)
    if typing.get_origin(plain) is tuple and isinstance(value, list | tuple):
        return tuple(checked(name, typing.get_args(plain)[0], entry) for entry in value)
    if typing.get_origin(plain) is Literal:
        known = typing.get_args(plain)
        if type(value) is type(known[0]) and value in known:
            return value
        if isinstance(value, str) and isinstance(known[0], str):
            raise UnknownNameError(f"{name}={quoted(value)} is not known", name_alternatives(value, known))
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND
    if (plain is int and whole) or (plain is float and (whole or isinstance(value, float))):
        if limits is None or value in limits:
            return plain(value)
    elif plain is Path and isinstance(value, str | Path):
        return Path(value)
    elif plain is str and isinstance(value, Path):
        return str(value)
    elif plain in (bool, str) and isinstance(value, plain) and (limits is None or len(value) in limits):
        return value
    raise ConfigurationError(f"{name}={quoted(value)} cannot be used", f"Give {expected(kind)}.")


def from_text(name: str, kind: Any, text: str | list[str]) -> Any:  # noqa: ANN401 - any setting
    """Return what a command line gives as the type of its setting.

    Raises:
        ConfigurationError: See `checked`.
        UnknownNameError: See `checked`.
    """
    plain, _, _ = take_apart(kind)
    if isinstance(text, list):
        (entry, *_) = typing.get_args(plain)
        return checked(name, kind, [_number(entry, word) for word in text])
    return checked(name, kind, _number(plain, text))


def expected(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """Say in words what a setting takes."""
    plain, optional, limits = take_apart(kind)
    if typing.get_origin(plain) is tuple:
        return "a list of whole numbers" if take_apart(typing.get_args(plain)[0])[0] is int else "a list of names"
    if typing.get_origin(plain) is Literal:
        words = f"one of {', '.join(map(str, typing.get_args(plain)))}"
    else:
        known = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
        words = known[plain] + ("" if limits is None else f" {limits}{' characters' * (plain is str)}")
    return " or ".join([words, *words_beside_number(kind), *["none"] * optional])


@functools.cache  # a file of a million lines asks for the same few types
def take_apart(kind: Any) -> tuple[Any, bool, Range | None]:  # noqa: ANN401 - any annotation
    """Return the bare type of an annotation, whether it allows None, and its limits; see also `words_beside_number`."""
    optional = type(None) in _options(kind)
    if len(_options(kind)) > 1:
        others = {type(None), *_word_types(kind)}
        (kind,) = (part for part in typing.get_args(kind) if part not in others)
    limits = next((note for note in _notes(kind) if isinstance(note, Range)), None)
    return (typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind), optional, limits


@functools.cache
def words_beside_number(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - any annotation
    """Return the words that a setting takes in place of its number, as `float | Literal["auto"]` does."""
    return tuple(word for words in _word_types(kind) for word in typing.get_args(words))


def _word_types(kind: Any) -> list[Any]:  # noqa: ANN401 - any annotation
    """Return the literals of a union in which a number stands beside them."""
    options = [option for option in _options(kind) if option is not type(None)]
    return [option for option in options if typing.get_origin(option) is Literal] if len(options) > 1 else []


def _options(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    """Return the parts of a union; of another annotation itself alone."""
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if is_union else (kind,)


@functools.cache
def _notes(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    """Return what an annotation, or the part of it that is not None, is marked with."""
    return tuple(note for option in (kind, *_options(kind)) for note in getattr(option, "__metadata__", ()))


def _number(kind: Any, text: str) -> Any:  # noqa: ANN401
    """Return text as a number, where the type is one and the text says one."""
    plain, _, _ = take_apart(kind)
    plain = type(typing.get_args(plain)[0]) if typing.get_origin(plain) is Literal else plain
    if plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            pass
    return text


def _plain(value: Any) -> Any:  # noqa: ANN401
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
