"""A dataclass of settings from the command line: over what a recipe and a YAML file say, and checked as a whole."""

import dataclasses
import inspect
import logging
import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from mlrsnet_hf.configuration.settings import (
    all_leaves,
    checked,
    from_text,
    leaves,
    parts,
    setting,
    take_apart,
    words_beside_number,
)
from mlrsnet_hf.configuration.yaml_file import read_settings_file
from mlrsnet_hf.errors import ConfigurationError, UnknownNameError, name_alternatives
from mlrsnet_hf.escaping import quoted

Command = TypeVar("Command")


@dataclass(frozen=True, kw_only=True)
class _Common:
    config: str | None = setting(None, "YAML file of settings, such as the settings.yaml of a run.", metavar="FILE")
    verbose: bool = setting(False, "Tell more on the way.", section="Output", short="-v")
    quiet: bool = setting(False, "Tell nothing but the result and what is wrong.", short="-q")


@dataclass(frozen=True, slots=True)
class _Given:
    """Text of the command line, apart from a default."""

    text: str | list[str]


def parse(command: type[Command], program: str | None = None, arguments: Sequence[str] | None = None) -> Command:
    """Return the settings that a command line asks for; `--help` prints the docstring of `command` and ends.

    A value of the command line counts before one of the YAML file that `--config` names, and that before the defaults.

    Args:
        command: A dataclass of `setting`s, or of such dataclasses, whose settings are then given side by side.
        program: How it is called, such as "mlrsnet train"; by default the name of the script.
        arguments: By default those of the process.

    Raises:
        UnknownNameError: An option, or a name in the file, is not known, or a value is none of the known names.
        ConfigurationError: A value cannot be used.
    """
    import tyro

    known = all_leaves(command)
    common = dict(all_leaves(_Common))
    file = {"config": common.pop("config")} if parts(command) else {}  # for commands with more than a few options
    options = {**file, **known, **common}
    switches = {name for name, (_, kind) in known.items() if kind is bool}
    words = _with_negative_numbers(sys.argv[1:] if arguments is None else arguments)
    words = [_modern(word, _former(known)) for word in words]
    lists = (name for name, (field, kind) in known.items() if _takes_several(kind) and not field.metadata["repeated"])
    words = _gathered(words, set(map(_option, lists)))
    spelled = [_option(name) for name, (field, _) in options.items() if not field.metadata["positional"]]
    spelled += [_option(f"no_{switch}") for switch in switches]
    for word in words:  # before tyro, which says what else is missing where there is anything
        name = word.partition("=")[0]
        if name.startswith("--") and name not in (*spelled, "--help", "--"):
            raise UnknownNameError(f"there is no option {name!r}", _near(name, [*spelled, "--help"]))
    twin: Any
    twin, unknown = tyro.cli(
        _twin(options),
        args=words,
        prog=program,
        description=inspect.cleandoc(command.__doc__ or ""),
        config=(tyro.conf.OmitArgPrefixes,),
        return_unknown_args=True,
    )
    if unknown:
        name = unknown[0].partition("=")[0]
        if name.startswith("-"):
            raise UnknownNameError(f"there is no option {name!r}", _near(name, spelled))
        raise ConfigurationError(f"{quoted(name)} is more than is asked for", "See --help for what stands where.")
    parsed = dict(_flat(twin))
    if parsed["verbose"] or parsed["quiet"]:
        logging.getLogger("mlrsnet_hf").setLevel(logging.DEBUG if parsed["verbose"] else logging.WARNING)
    given: dict[str, Any] = {name: value.text for name, value in parsed.items() if isinstance(value, _Given)}
    given |= {name: [one.text for one in value] for name, value in parsed.items() if isinstance(value, list) and value}
    from_file = read_values(Path(given.pop("config")), command) if "config" in given else {}
    for word in words:  # tyro does not tell whether a switch was given
        given |= {name: parsed[name] for name in switches if word in (_option(name), _option(f"no-{name}"))}
    return build(command, from_file | {name: from_text(name, known[name][1], text) for name, text in given.items()})


def build(command: type[Command], values: Mapping[str, Any]) -> Command:
    """Return settings, and their parts, with some values, each made once and so checked as a whole.

    A class method `defaults(values)` of `command` may give other defaults, such as those of a recipe.

    Raises:
        UnknownNameError: A value is none of the known names.
        ConfigurationError: A value cannot be used.
    """
    defaults = getattr(command, "defaults", None)
    if defaults is not None:
        values = {**defaults(values), **values}
    own = {name: values[name] for name in leaves(command) if name in values}
    return command(**own, **{name: build(part, values) for name, part in parts(command).items()})


def read_values(path: Path, command: type) -> dict[str, Any]:
    """Return what a YAML file says of settings, by name.

    Raises:
        UnknownNameError: It names what is no setting, or a value is none of the known names.
        ConfigurationError: It cannot be read, or a value cannot be used.
    """
    known = all_leaves(command)
    values: dict[str, Any] = {}
    for written, value in read_settings_file(path).items():
        name = written if written in known else _former(known).get(written, written)
        if name not in known:
            raise UnknownNameError(f"settings file {path}: there is no setting {name!r}", _near(name, known))
        if name in values:
            raise ConfigurationError(f"settings file {path}: {written!r} is {name!r} again", "Leave one of them out.")
        values[name] = checked(f"settings file {path}: {written}", known[name][1], value)
    return values


def _former(known: Mapping[str, tuple[dataclasses.Field, Any]]) -> dict[str, str]:
    """Return the names that settings had before, with those they have now."""
    return {field.metadata["former"]: name for name, (field, _) in known.items() if field.metadata["former"]}


def _with_negative_numbers(words: Sequence[str]) -> list[str]:
    """Return the words with `--value-range -25,0` as `--value-range=-25,0`, which the parser takes for no option."""
    joined: list[str] = []
    for word in words:
        is_value = re.match(r"-[\d.]", word) and joined and re.fullmatch("--[^=]+", joined[-1])
        if is_value:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _modern(word: str, former: Mapping[str, str]) -> str:
    """Return a word of the command line with the name that the option has now, and hyphens in it."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    negation = "no_" if name.startswith("no_") and name[3:] in former else ""
    name = name.removeprefix(negation)
    return f"{_option(negation + former.get(name, name))}{equals}{value}"


def _gathered(words: Sequence[str], several: set[str]) -> list[str]:
    """Return the words with all values of an option that is repeated behind its first.

    Examples:
        >>> _gathered(["--of", "a", "--epochs", "3", "--of=b", "c"], {"--of"})
        ['--of', 'a', 'b', 'c', '--epochs', '3']
    """
    parts: list[list[str]] = [[]]
    places: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name in several:
            part = places.get(name)
            if part is None:
                part = places[name] = [name]
                parts.append(part)
            if equals:
                part.append(value)
            parts.append(part)
        elif word.startswith("-"):
            parts.append([word])
        else:
            parts[-1].append(word)
    seen = {id(part): part for part in parts}  # each once, where it stands first
    return [word for part in seen.values() for word in part]


def _takes_several(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return typing.get_origin(take_apart(kind)[0]) is tuple


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _near(name: str, known: typing.Iterable[str]) -> str:
    """Return a remedy with near names; the whole list may fill a screen."""
    remedy = name_alternatives(name, known)
    return remedy if remedy.startswith("Did you mean") else "See --help for the names."


def _flat(twin: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - made by `_twin`
    for name, value in vars(twin).items():
        if dataclasses.is_dataclass(value) and not isinstance(value, _Given):
            yield from _flat(value)
        else:
            yield name, value


def _twin(options: Mapping[str, tuple[dataclasses.Field, Any]]) -> type:
    """Return a dataclass that tyro parses into: the options by section, their values still text."""
    import tyro

    sections: dict[str, list[Any]] = {"": []}
    section = ""
    for name, (field, kind) in options.items():
        section = field.metadata["section"] or section
        sections.setdefault(section, []).append(_twin_field(name, field, kind))
    fields = sections.pop("")
    for title, entries in sections.items():
        group = dataclasses.make_dataclass("Section", entries, kw_only=True)
        annotation: Any = Annotated.__class_getitem__((group, tyro.conf.arg(name=title, help="")))  # type: ignore[attr-defined]
        fields.append((title.replace(" ", "_"), annotation, dataclasses.field(default_factory=group)))
    return dataclasses.make_dataclass("Options", fields, kw_only=True)


def _twin_field(name: str, field: dataclasses.Field, kind: Any) -> tuple[str, Any, Any]:  # noqa: ANN401
    """Return one option as tyro takes it; its help shows the choices and the default."""
    import tyro

    about = field.metadata
    required = field.default is dataclasses.MISSING
    notes: list[Any] = [
        tyro.conf.arg(
            help=about["help"],
            aliases=[about["short"]] if about["short"] else None,
            help_behavior_hint="" if required or field.default in (None, ()) else f"(default: {_shown(field.default)})",
        )
    ]
    if about["positional"]:
        notes.append(tyro.conf.Positional)
    if kind is bool and about["short"]:
        notes.append(tyro.conf.FlagCreatePairsOff)
    elif kind is not bool:
        several = _takes_several(kind)
        metavar = about["metavar"] or (name.upper() if about["positional"] else _metavar(kind))
        notes.append(
            tyro.constructors.PrimitiveConstructorSpec(
                nargs="*" if several and not about["repeated"] else 1,
                metavar=f"{metavar} ..." if several and about["positional"] else metavar,
                instance_from_str=lambda words: _Given(words if several and not about["repeated"] else words[0]),
                is_instance=lambda _: True,
                str_from_instance=lambda value: [str(value)],
            )
        )
    if about["repeated"]:
        each: Any = Annotated.__class_getitem__((Any, notes.pop()))  # type: ignore[attr-defined]
        entries: Any = Annotated.__class_getitem__((list[each], *notes, tyro.conf.UseAppendAction))  # type: ignore[attr-defined]
        return name, entries, dataclasses.field(default_factory=list)
    default = tyro.MISSING if required else field.default
    return name, Annotated[(bool if kind is bool else Any, *notes)], dataclasses.field(default=default)


def _metavar(kind: Any) -> str:  # noqa: ANN401
    plain, optional, _ = take_apart(kind)
    if typing.get_origin(plain) is tuple:
        return f"[{_metavar(typing.get_args(plain)[0])} ...]"
    if typing.get_origin(plain) is Literal:
        return f"{{{','.join(map(str, [*typing.get_args(plain), *['none'] * optional]))}}}"
    shown = {int: "N", float: "X", str: "TEXT", Path: "PATH"}[plain]
    return "|".join([shown, *words_beside_number(kind), *["none"] * optional])


def _shown(default: Any) -> str:  # noqa: ANN401 - any setting
    if isinstance(default, bool):
        return "yes" if default else "no"
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
